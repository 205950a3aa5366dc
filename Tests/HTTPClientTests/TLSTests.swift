import Certificates
import Foundation
import HTTPClient
import Testing

extension TLSServer {
    var trust: TLSSettings { TLSSettings(caPEM: self.authority.certificatePEM) }

    func request(_ path: String, tls: TLSSettings? = nil) -> HTTPRequest {
        HTTPRequest(url: "https://localhost:\(self.port)\(path)", connectTo: ("127.0.0.1", self.port), tls: tls)
    }
}

private func text(_ response: HTTPResponse) -> String { String(decoding: response.body, as: UTF8.self) }

@Suite(.timeLimit(.minutes(3)))
struct TLSTests {
    @Test func serverOfTheGivenAuthorityIsTrusted() async throws {
        try await TLSServer.with { server in
            try await withClient { client in
                let response = try await client.send(server.request("/name", tls: server.trust))
                #expect(text(response) == "localhost:\(server.port)")
            }
        }
    }

    @Test func serverOfAnotherAuthorityIsNot() async throws {
        let other = try CertificateAuthority.make(commonName: "other CA", lifetime: 3600, now: Date())
        try await TLSServer.with { server in
            try await withClient { client in
                for settings in [TLSSettings(caPEM: other.certificatePEM), TLSSettings()] {
                    let failure = await error { _ = try await client.send(server.request("/name", tls: settings)) }
                    #expect(failure?.code == .tlsFailed)
                    #expect(failure?.requestWasSent == false)
                }
                var careless = server.trust
                careless.caPEM = other.certificatePEM
                careless.verifyPeer = false
                let response = try await client.send(server.request("/name", tls: careless))
                #expect(response.status == 200)
            }
        }
    }

    @Test func nameThatTheCertificateLacksIsRefused() async throws {
        try await TLSServer.with { server in
            try await withClient { client in
                var request = server.request("/name", tls: server.trust)
                request.url = "https://orders-1:\(server.port)/name"
                let failure = await error { _ = try await client.send(request) }
                #expect(failure?.code == .tlsFailed)
                // The name to verify may be another than the one in the URL, which the server is told.
                request.tls?.serverName = "localhost"
                let response = try await client.send(request)
                #expect(text(response) == "orders-1:\(server.port)")
                // Without an address to go to, the URL's own is used.
                request = HTTPRequest(url: "https://127.0.0.1:\(server.port)/name", tls: request.tls)
                let direct = try await client.send(request)
                #expect(text(direct) == "127.0.0.1:\(server.port)")
            }
        }
    }

    @Test func clientCertificateIsShownWhenThereIsOne() async throws {
        try await TLSServer.with(requiresClientCertificate: true) { server in
            let leaf = try server.authority.issue(
                CertificateRequest(commonName: "drover_operator", usages: [.client], lifetime: 3600),
                now: Date()
            )
            try await withClient { client in
                let failure = await error { _ = try await client.send(server.request("/name", tls: server.trust)) }
                #expect(failure != nil)
                var settings = server.trust
                settings.certificatePEM = leaf.certificatePEM
                settings.keyPEM = leaf.keyPEM
                let response = try await client.send(server.request("/name", tls: settings))
                #expect(response.status == 200)
                // A connection with a certificate is not used by a request without one.
                let again = await error { _ = try await client.send(server.request("/name", tls: server.trust)) }
                #expect(again != nil)
            }
        }
    }

    @Test func brokenPEMIsNotSent() async throws {
        try await TLSServer.with { server in
            try await withClient { client in
                var settings = server.trust
                settings.certificatePEM = "-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n"
                settings.keyPEM = "-----BEGIN PRIVATE KEY-----\nbroken\n-----END PRIVATE KEY-----\n"
                let failure = await error { _ = try await client.send(server.request("/name", tls: settings)) }
                #expect(failure?.code == .invalidRequest)
                let broken = TLSSettings(caPEM: "not PEM at all")
                let second = await error { _ = try await client.send(server.request("/name", tls: broken)) }
                #expect(second?.code == .invalidRequest || second?.code == .tlsFailed)
            }
        }
    }

    @Test func sharedRequestsShareOneConnectionOverHTTP2() async throws {
        try await TLSServer.with { server in
            try await withClient { client in
                let ports = try await withThrowingTaskGroup(of: String.self) { group in
                    for _ in 0..<20 {
                        group.addTask { text(try await client.send(server.request("/port", tls: server.trust))) }
                    }
                    return try await group.reduce(into: Set<String>()) { $0.insert($1) }
                }
                #expect(ports.count == 1)
            }
        }
    }

    @Test(arguments: [HTTPRequest.Connection.dedicated, .shared])
    func pausedStreamHoldsUpNoOtherRequest(_ connection: HTTPRequest.Connection) async throws {
        try await TLSServer.with { server in
            try await withClient { client in
                var request = server.request("/stream", tls: server.trust)
                request.timeout = nil
                request.connection = connection
                let total = try await client.withStream(request) { _, chunks in
                    var iterator = chunks.makeAsyncIterator()
                    var total = try await iterator.next()?.count ?? 0
                    for _ in 0..<20 {
                        let response = try await client.send(server.request("/name", tls: server.trust))
                        #expect(response.status == 200)
                        try await Task.sleep(for: .milliseconds(20))
                    }
                    while let chunk = try await iterator.next() { total += chunk.count }
                    return total
                }
                #expect(total == 320 * 65_536)
            }
        }
    }
}
