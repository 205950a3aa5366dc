import Foundation
import JSON
import KubernetesClient
import PostgresClient
import PostgresClusterAPI
import Testing
import Workload

/// The openssl program, as an authority of somebody else and as somebody who looks.
private struct OpenSSL {
    static let path = "/usr/bin/openssl"
    static var isThere: Bool { FileManager.default.isExecutableFile(atPath: self.path) }

    let playground: Playground
    let directory: String

    init(_ playground: Playground) throws {
        self.playground = playground
        self.directory = "\(playground.directory)/openssl"
        try FileManager.default.createDirectory(atPath: self.directory, withIntermediateDirectories: true)
    }

    func succeeds(_ arguments: String...) async throws -> Bool {
        let process = try await ChildProcess.start(
            [Self.path] + arguments,
            output: "\(self.directory)/log",
            eventLoop: self.playground.eventLoop
        )
        return await process.wait() == .exited(0)
    }

    private func key(_ name: String) async throws {
        try #require(try await self.succeeds("genrsa", "-out", "\(self.directory)/\(name).key", "2048"))
    }

    func makeAuthority() async throws {
        try await self.key("ca")
        try #require(
            try await self.succeeds(
                "req",
                "-x509",
                "-new",
                "-key",
                "\(self.directory)/ca.key",
                "-out",
                "\(self.directory)/ca.crt",
                "-days",
                "2",
                "-subj",
                "/CN=Corporate CA"
            )
        )
    }

    func issue(_ name: String, commonName: String, alternatives: String) async throws {
        try await self.key(name)
        let base = "\(self.directory)/\(name)"
        try "subjectAltName=\(alternatives)\n".write(toFile: "\(base).ext", atomically: true, encoding: .utf8)
        try #require(
            try await self.succeeds(
                "req",
                "-new",
                "-key",
                "\(base).key",
                "-out",
                "\(base).csr",
                "-subj",
                "/CN=\(commonName)"
            )
        )
        try #require(
            try await self.succeeds(
                "x509",
                "-req",
                "-in",
                "\(base).csr",
                "-CA",
                "\(self.directory)/ca.crt",
                "-CAkey",
                "\(self.directory)/ca.key",
                "-CAcreateserial",
                "-days",
                "2",
                "-extfile",
                "\(base).ext",
                "-out",
                "\(base).crt"
            )
        )
    }

    func text(_ file: String) throws -> String {
        try String(contentsOfFile: "\(self.directory)/\(file)", encoding: .utf8)
    }

    /// Whether PostgreSQL at an address shows what an authority vouches for, with a name.
    func isKnown(_ address: String, by authority: String, as host: String) async throws -> Bool {
        try await self.succeeds(
            "s_client",
            "-starttls",
            "postgres",
            "-connect",
            "\(address):\(InstancePorts.postgres)",
            "-CAfile",
            "\(self.directory)/\(authority)",
            "-verify_return_error",
            "-verify_hostname",
            host
        )
    }
}

@Suite(.serialized, .timeLimit(.minutes(8)), .enabled(if: OpenSSL.isThere))
struct ServerCertificateTests {
    private func put(_ playground: Playground, _ name: String, _ values: [String: String]) async throws {
        _ = try await playground.client.createObject(
            Secret.resourceType,
            [
                "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                "metadata": ["name": .string(name), "namespace": .string(playground.namespace)],
                "data": .object(values.mapValues { .string(Data($0.utf8).base64EncodedString()) }),
            ]
        )
    }

    private func name(_ playground: Playground, _ secret: String?) async throws {
        let tls: JSONValue = secret.map { ["secretName": .string($0)] } ?? .null
        _ = try await playground.client.patch(
            PostgresCluster.self,
            "orders",
            namespace: playground.namespace,
            .merge(["spec": ["tls": tls]])
        )
    }

    private func pods(_ playground: Playground) async throws -> [String: String] {
        let pods = try await playground.pods(of: "orders")
        return Dictionary(
            uniqueKeysWithValues: pods.map {
                let restarts = $0.status?.containerStatuses?.first?.restartCount ?? 0
                return ($0.status?.podIP ?? "", "\($0.metadata.uid ?? "") \(restarts)")
            }
        )
    }

    @Test func clientsKnowTheServerByTheirOwnAuthorityAndTheClusterGoesOn() async throws {
        try await withPlayground { playground in
            let openSSL = try OpenSSL(playground)
            let host = "orders.\(playground.namespace).svc"
            try await openSSL.makeAuthority()
            try await openSSL.issue("right", commonName: "orders", alternatives: "DNS:\(host)")
            try await openSSL.issue("wrong", commonName: "orders", alternatives: "DNS:\(host)")
            try await openSSL.issue("client", commonName: DatabaseRoles.operator, alternatives: "DNS:client")
            try await playground.createCluster("orders", instances: 2)
            try await playground.waitUntilReady("orders")
            let before = try await self.pods(playground)
            let addresses = before.keys.sorted()
            #expect(addresses.count == 2)
            let authorities = try await playground.client.get(
                Secret.self,
                "orders-ca",
                namespace: playground.namespace
            )
            try String(decoding: authorities.data?["ca.crt"]?.bytes ?? [], as: UTF8.self)
                .write(toFile: "\(openSSL.directory)/own.crt", atomically: true, encoding: .utf8)
            #expect(try await openSSL.isKnown(addresses[0], by: "own.crt", as: host))
            #expect(try await !openSSL.isKnown(addresses[0], by: "ca.crt", as: host))

            try await playground.withWriter(to: "orders") { writer in
                let right = [
                    "tls.crt": try openSSL.text("right.crt"), "tls.key": try openSSL.text("right.key"),
                    "ca.crt": try openSSL.text("ca.crt"),
                ]
                try await self.put(playground, "right", right)
                try await self.name(playground, "right")
                try await playground.eventually("both show what the Secret has", within: .seconds(120)) {
                    for address in addresses where try await !openSSL.isKnown(address, by: "ca.crt", as: host) {
                        return false
                    }
                    return true
                }
                #expect(writer.current.failedAttempts == 0)
                #expect(try await self.pods(playground) == before)

                // Its key is that of another.
                try await self.put(
                    playground,
                    "wrong",
                    right.merging(["tls.key": try openSSL.text("wrong.key")]) { $1 }
                )
                try await self.name(playground, "wrong")
                try await playground.eventually("the wrong one is told", within: .seconds(90)) {
                    let condition = try await playground.cluster("orders").status?.conditions[.degraded]
                    return condition?.reason == .serverCertificateInvalid
                        && condition?.message.contains("tls.key") == true
                }
                #expect(try await openSSL.isKnown(addresses[0], by: "ca.crt", as: host))

                // Operator, replica and application meet another server under this certificate.
                let old = try await playground.primary(of: "orders")
                try await playground.annotate(cluster: "orders", Annotations.switchoverTo, "@1")
                try await playground.eventually("another primary with a replica", within: .seconds(120)) {
                    let status = try await playground.cluster("orders").status
                    return status?.term == 2 && status?.transition == nil && status?.primary != old.instance
                        && status?.conditions.isTrue(.ready) == true && status?.readyInstances == 2
                }
            }
            #expect(try await self.pods(playground) == before)

            // Whom clients know vouches for nobody who comes.
            let base = "\(openSSL.directory)/client"
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: "\(base).key")
            let stranger = PostgresConfiguration(
                host: host,
                hostaddr: addresses[0],
                port: InstancePorts.postgres,
                database: "postgres",
                user: DatabaseRoles.operator,
                sslMode: .verifyFull,
                sslRootCertPEMFile: "\(openSSL.directory)/ca.crt",
                sslCertFile: "\(base).crt",
                sslKeyFile: "\(base).key",
                connectTimeout: .seconds(10)
            )
            await #expect(throws: PostgresError.self) {
                try await PostgresConnection.connect(stranger, eventLoop: playground.eventLoop).close()
            }

            try await self.name(playground, nil)
            try await playground.eventually("all show what is the cluster's own", within: .seconds(120)) {
                for address in addresses where try await !openSSL.isKnown(address, by: "own.crt", as: host) {
                    return false
                }
                return try await playground.cluster("orders").status?.conditions[.degraded]?.status == .false
            }
            #expect(try await !openSSL.isKnown(addresses[0], by: "ca.crt", as: host))
        }
    }
}
