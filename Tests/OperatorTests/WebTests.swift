import Crypto
import Foundation
import HTTPClient
import JSON
import KubernetesClient
import Logging
import PostgresClusterAPI
import Synchronization
import Testing

@testable import Operator

/// The page for people and what the planner sees, over HTTP, of an operator at work.
@Suite(.timeLimit(.minutes(3)))
struct WebTests {
    private struct Web: Sendable {
        let fixture: OperatorFixture
        let http: HTTPClient
        let port: Int

        func request(_ path: String, host: String = "127.0.0.1") -> HTTPRequest {
            HTTPRequest(
                url: "http://\(host):\(self.port)\(path)",
                connectTo: (address: "127.0.0.1", port: self.port),
                timeout: .seconds(20)
            )
        }

        func get(_ path: String, host: String = "127.0.0.1") async throws -> HTTPResponse {
            try await self.http.send(self.request(path, host: host))
        }

        func json(_ path: String) async throws -> JSONValue { try JSONValue(parsing: try await self.get(path).body) }
    }

    private func serving(_ body: @escaping @Sendable (Web) async throws -> Void) async throws {
        try await OperatorFixture.with { fixture in
            try await fixture.createCluster("orders")
            let drover = fixture.makeOperator()
            let (ports, continuation) = AsyncStream.makeStream(of: Int.self)
            let server = WebServer(
                address: try #require(HealthAddress("127.0.0.1:0")),
                drover: drover,
                logger: Logger(label: "web") { _ in SwiftLogNoOpLogHandler() },
                onListening: { continuation.yield($0) }
            )
            let http = HTTPClient(eventLoop: fixture.eventLoop)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await drover.run() }
                let serving = Task { try await server.run() }
                defer {
                    serving.cancel()
                    group.cancelAll()
                }
                var iterator = ports.makeAsyncIterator()
                let port = try #require(await iterator.next())
                _ = try await fixture.waitUntilReady("orders")
                try await body(Web(fixture: fixture, http: http, port: port))
            }
            http.shutdown()
        }
    }

    @Test func thePageNeedsNothingFromAnywhereElse() async throws {
        try await self.serving { web in
            let page = try await web.get("/")
            #expect(page.status == 200)
            let text = String(decoding: page.body, as: UTF8.self)
            let policy = try #require(page.headers["content-security-policy"])
            #expect(policy.hasPrefix("default-src 'none'"))
            for (tag, directive) in [("script", "script-src"), ("style", "style-src")] {
                let content = try #require(
                    text.components(separatedBy: "<\(tag)>").last?.components(separatedBy: "</\(tag)>").first
                )
                let digest = Data(SHA256.hash(data: Data(content.utf8))).base64EncodedString()
                #expect(policy.contains("\(directive) 'sha256-\(digest)'"))
            }
            #expect(!text.contains("http://") && !text.contains("https://") && !text.contains("innerHTML"))
            // A name that somebody else made to lead here.
            #expect(try await web.get("/fleet", host: "rebound.example.org").status == 421)
            #expect(try await web.get("/debug/clusters/shop/nobody").status == 404)
            #expect(try await web.get("/debug").status == 404)
        }
    }

    @Test func showsTheFleetAndWhatThePlannerSees() async throws {
        try await self.serving { web in
            let fleet = try await web.json("/fleet")
            #expect(fleet["nodes"]?.arrayValue?.count == 3)
            let cluster = fleet["clusters"]?.arrayValue?.first
            #expect(cluster?["name"] == "orders")
            #expect(cluster?["instances"]?.arrayValue?.count == 3)
            let primaries = cluster?["instances"]?.arrayValue?.filter { $0["role"] == "primary" && $0["ready"] == true }
            #expect(primaries?.count == 1)
            let dump = try await web.json("/debug/clusters/shop/orders")
            #expect(dump["facts"]?["status"]?["primary"] == "orders-1")
            #expect(dump["facts"]?["pods"]?["orders-2"]?["isReady"] == true)
            #expect(dump["facts"]?["reports"]?["orders-1"]?["role"] == "primary")
            #expect(dump["plan"]?["status"]?["term"] == 1)
            #expect(dump["plan"]?["decision"] == .null)
            #expect(dump["plan"]?["move"] == "settled")
        }
    }

    @Test func tellsOfAMoveWhileItHappens() async throws {
        try await self.serving { web in
            let home = try #require(try await web.fixture.status("orders").primaryNode)
            var request = web.request("/fleet/events")
            request.timeout = .seconds(100)
            request.connection = .dedicated
            let isMoved = try await web.http.withStream(request) { head, chunks in
                #expect(head.status == 200)
                var text = ""
                var hasCordoned = false
                for try await chunk in chunks {
                    text += String(decoding: chunk, as: UTF8.self)
                    while let end = text.range(of: "\n\n") {
                        let event = text[..<end.lowerBound]
                        text = String(text[end.upperBound...])
                        guard event.hasPrefix("data: ") else { continue }
                        let fleet = try JSONValue(parsing: Array(event.dropFirst(6).utf8))
                        let cluster = fleet["clusters"]?.arrayValue?.first
                        let primary = cluster?["instances"]?.arrayValue?.first { $0["role"] == "primary" }
                        if !hasCordoned {
                            #expect(primary?["node"]?.stringValue == home)
                            try await web.fixture.cordon(home)
                            hasCordoned = true
                        } else if let node = primary?["node"]?.stringValue, node != home,
                            cluster?["last"]?["kind"] == "Switchover"
                        {
                            return true
                        }
                    }
                }
                return false
            }
            #expect(isMoved)
        }
    }

    @Test(arguments: [
        ("127.0.0.1", true), ("127.9.8.7", true), ("localhost", true), ("::1", true), ("0.0.0.0", false), ("", false),
        ("10.0.0.1", false), ("127.0.0.1.example.org", false), ("127.0.0", false), ("127.0.0.256", false),
    ])
    func servesOnLoopbackOnly(host: String, isLoopback: Bool) {
        #expect(WebServer.isLoopback(host) == isLoopback)
    }
}
