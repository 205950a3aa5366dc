import Certificates
import EventLoop
import Fence
import Foundation
import Glibc
import InstanceAPI
import Logging
import PodProgram
import PostgresClusterAPI
import RequestFuzzing
import Testing

@testable import Instance

/// The API of an instance without PostgreSQL, under requests that nobody in his right mind would send.
@Suite(.serialized, .timeLimit(.minutes(4)))
struct InstanceFuzzTests {
    private static let known = [
        KnownRequest("GET", InstanceAPIPath.status), KnownRequest("GET", InstanceAPIPath.statusStream),
        KnownRequest("GET", InstanceServer.historyPath + "?term=1"), KnownRequest("GET", InstanceAPIPath.hotBlocks),
        KnownRequest(
            "POST",
            InstanceAPIPath.promise,
            #"{"term":1,"primary":"db-2","podUID":"u","incarnation":"i","ask":1,"durationMilliseconds":15000,"#
                + #""members":["db-1","db-2"],"joining":[]}"#
        ),
        KnownRequest(
            "POST",
            InstanceAPIPath.release,
            #"{"term":1,"primary":"db-2","incarnation":"i","ask":1,"grantor":"db-1"}"#
        ),
        KnownRequest("POST", InstanceAPIPath.withhold, #"{"term":1,"withdraw":false}"#),
        KnownRequest("POST", InstanceAPIPath.standstill, #"{"term":1}"#),
        KnownRequest("POST", InstanceAPIPath.prepare, #"{"term":1,"slots":["db_2"]}"#),
        KnownRequest("POST", InstanceAPIPath.checkpoint, #"{"count":1}"#),
        KnownRequest("POST", InstanceAPIPath.demote, #"{"term":1,"deadlineMilliseconds":50}"#),
        KnownRequest("POST", InstanceAPIPath.promote, #"{"term":1,"attempt":1,"minimumLSN":"0/0"}"#),
        KnownRequest("POST", InstanceAPIPath.warm, #"{"term":1,"primary":"db-2"}"#),
        KnownRequest("POST", InstanceAPIPath.declare, #"{"term":1,"roles":[],"databases":[]}"#),
        KnownRequest("POST", InstanceAPIPath.restart, #"{"term":1,"asPrimary":true}"#),
    ]

    /// - Parameters:
    ///   - isLast: whether the process ends with it, and with all that was begun meanwhile.
    ///   - body: is given the instance and its API.
    /// - Throws: what `body` throws.
    private static func serving(
        isLast: Bool = false,
        _ body: (Supervisor, FuzzTarget) async throws -> Void
    ) async throws {
        let eventLoop = try EventLoop(name: "instance-fuzz")
        let disk = try EventLoop(name: "instance-fuzz-disk")
        let directory = NSTemporaryDirectory() + "drover-fuzz-" + UUID().uuidString.prefix(8).lowercased()
        defer {
            try? FileManager.default.removeItem(atPath: directory)
            eventLoop.shutdown()
            disk.shutdown()
        }
        let authority = try CertificateAuthority.make(commonName: "db CA", lifetime: 3600, now: Date())
        var configuration = InstanceConfiguration(
            cluster: "db",
            instance: "db-1",
            namespace: "test",
            podUID: "uid-1",
            podIP: "127.0.0.1"
        )
        configuration.volume = directory + "/volume"
        configuration.certificates = directory + "/tls"
        configuration.apiPort = try await RawConnection.freePort(host: configuration.podIP)
        try Self.issue(authority, to: configuration.certificates)
        try FileManager.default.createDirectory(atPath: configuration.volume, withIntermediateDirectories: true)
        let logger = Logger(label: "instance") { _ in SwiftLogNoOpLogHandler() }
        let volume = Volume(layout: configuration.layout, thread: disk)
        let processes = Processes(eventLoop: eventLoop)
        let supervisor = Supervisor(
            configuration: configuration,
            eventLoop: eventLoop,
            volume: volume,
            processes: processes,
            watchdog: Watchdog(
                eventLoop: eventLoop,
                processes: processes,
                executable: "/bin/false",
                arguments: [],
                environment: [:],
                logger: logger
            ),
            directory: NoDirectory(),
            peers: NoPeers(),
            incarnation: "life",
            systemUser: "postgres",
            logger: logger
        )
        try await supervisor.claimVolume()
        let api = InstanceServer(supervisor: supervisor, configuration: configuration, logger: logger)
        let serving = Task { try await api.run() }
        let target = FuzzTarget(
            host: configuration.podIP,
            port: configuration.apiPort,
            name: "db-1",
            authority: authority
        )
        let result: Result<Void, any Error>
        do {
            let host = try target.somebody(DatabaseRoles.operator)
            try #require(try await target.isUp(InstanceAPIPath.status, for: host), "the API does not come up")
            result = .success(try await body(supervisor, target))
        } catch {
            result = .failure(error)
        }
        if isLast, case .success = result {
            try? FileManager.default.removeItem(atPath: directory)
            exit(EXIT_SUCCESS)
        }
        serving.cancel()
        _ = try? await serving.value
        try result.get()
    }

    private static func issue(_ authority: CertificateAuthority, to directory: String) throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let issue = { (name: String) in
            try authority.issue(
                CertificateRequest(commonName: name, dnsNames: [name], usages: [.server, .client], lifetime: 3600),
                now: Date()
            )
        }
        let (server, replica) = (try issue("db-1"), try issue(DatabaseRoles.replication))
        for (name, text) in [
            ("ca.crt", authority.certificatePEM), ("tls.crt", server.certificatePEM), ("tls.key", server.keyPEM),
            ("replica.crt", replica.certificatePEM), ("replica.key", replica.keyPEM),
        ] {
            try text.write(toFile: "\(directory)/\(name)", atomically: true, encoding: .utf8)
        }
    }

    /// What counts of a status: everything but the clock.
    private static func summary(_ supervisor: Supervisor) async -> InstanceStatus {
        var status = await supervisor.status()
        status.fence?.lastAskAgoMilliseconds = nil
        status.fence?.promiseExpiresInMilliseconds = 0
        status.fence?.mayWriteForMilliseconds = nil
        return status
    }

    @Test func whoeverHasNoRightCertificateChangesNothingWhateverHeSends() async throws {
        try await Self.serving { supervisor, target in
            let foreign = try CertificateAuthority.make(commonName: "db CA", lifetime: 3600, now: Date())
            let before = await Self.summary(supervisor)
            for (identity, isHeard) in [
                (target.nobody, false),
                (try target.somebody(DatabaseRoles.operator, signedBy: foreign), false),
                (try target.somebody(DatabaseRoles.replication), true),
                // Instances of clusters whose names begin alike.
                (try target.somebody("db-x-1"), true), (try target.somebody("db-01"), true),
            ] {
                let statuses = try await target.trouble(
                    with: Self.known,
                    as: identity,
                    cases: 100,
                    patience: .seconds(20)
                )
                #expect(statuses.keys.allSatisfy { (400..<500).contains($0) }, "\(statuses)")
                #expect((statuses[403] != nil) == isHeard, "\(statuses)")
            }
            #expect(await Self.summary(supervisor) == before)
            #expect(try await target.answers(InstanceAPIPath.status, to: target.somebody(DatabaseRoles.operator)))
        }
    }

    @Test func aPeerCannotDoWhatIsTheOperators() async throws {
        try await Self.serving { supervisor, target in
            let before = await Self.summary(supervisor)
            let identity = try target.somebody("db-3")
            // Promises are asked for by db-2, whose certificate this is not.
            let known = Self.known.filter { $0.method == "POST" }
            let statuses = try await target.trouble(
                with: known,
                as: identity,
                cases: 200,
                patience: .seconds(20)
            )
            #expect(statuses.keys.allSatisfy { (400..<500).contains($0) }, "\(statuses)")
            #expect(statuses[403] != nil)
            #expect(await Self.summary(supervisor) == before)
        }
    }

    @Test func doesNotWaitForEverForSomebodyWhoSaysNothing() async throws {
        try await Self.serving { _, target in
            try await target.waitInSilence()
        }
    }

    @Test func survivesWhateverTheOperatorAndPeersMightSend() async {
        // In a process of its own: its end, and its memory, are nobody else's.
        await #expect(processExitsWith: .success) {
            try await InstanceFuzzTests.sendAsThoseWhoMay()
        }
    }

    fileprivate static func sendAsThoseWhoMay() async throws {
        try await Self.serving(isLast: true) { _, target in
            let host = try target.somebody(DatabaseRoles.operator)
            #expect(try await target.misunderstood(Self.known, from: host) == [])
            let memory = FuzzRun.residentKibibytes
            for (identity, expected) in [(host, [200, 400, 413]), (try target.somebody("db-2"), [200, 400, 403])] {
                let statuses = try await target.trouble(
                    with: Self.known,
                    as: identity,
                    cases: 600,
                    patience: .milliseconds(200)
                )
                #expect(expected.allSatisfy { statuses[$0] != nil }, "\(statuses)")
                #expect(statuses[500] == nil, "\(statuses)")
            }
            #expect(try await target.answers(InstanceAPIPath.status, to: target.somebody(DatabaseRoles.operator)))
            #expect(FuzzRun.residentKibibytes - memory < 100_000)
        }
    }
}

/// A Kubernetes API that is away.
private struct NoDirectory: ClusterDirectory {
    private var away: DirectoryError { DirectoryError(.unreachable, "away") }

    func cluster() async throws(DirectoryError) -> PostgresCluster { throw self.away }
    func lease() async throws(DirectoryError) -> PrimaryLease? { throw self.away }
    func replace(_ lease: PrimaryLease) async throws(DirectoryError) -> PrimaryLease { throw self.away }
    func create(_ lease: PrimaryLease) async throws(DirectoryError) -> PrimaryLease { throw self.away }
    func followCluster(_ handler: @escaping @Sendable (PostgresCluster) async -> Void) async {}
    func followLease(_ handler: @escaping @Sendable (PrimaryLease?) async -> Void) async {}
}

/// Peers that are away.
private struct NoPeers: PeerDirectory {
    private var away: InstanceAPIError { InstanceAPIError(.notRunning, "away") }

    func history(ofInstance name: String, address: String, term: Int, afterCheckpoint: Bool) async throws
        -> HistoryReport
    { throw self.away }
    func promise(instance name: String, address: String, _ request: PromiseRequest, timeout: Duration) async throws
        -> PromiseResponse
    { throw self.away }
    func release(instance name: String, address: String, _ request: ReleaseRequest, timeout: Duration) async throws
        -> ReleaseResponse
    { throw self.away }
    func newestTerm(ofInstance name: String, address: String, timeout: Duration) async throws -> Int { throw self.away }
    func hotBlocks(ofInstance name: String, address: String, timeout: Duration) async throws -> HotBlocks {
        throw self.away
    }
    func useNewCertificates() {}
}
