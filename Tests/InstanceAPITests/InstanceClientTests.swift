import EventLoop
import Foundation
import HTTPClient
import InstanceAPI
import JSON
import PostgresClusterAPI
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(3))) struct InstanceClientTests {
    private static let status = InstanceStatus(
        instance: "orders-1",
        podUID: "uid",
        incarnation: "abc",
        term: 3,
        role: .primary,
        state: .running,
        timeline: 2,
        currentLSN: LSN(rawValue: 0x500_0028),
        lease: .init(held: true, term: 3, expiresInMilliseconds: 9000)
    )

    private func line(term: Int64 = 3) throws -> String {
        var status = Self.status
        status.term = term
        return try JSONValue(encoding: status).serialized()
    }

    private func withClient<Result>(
        name: String = "orders-1",
        replies: [String: InstanceServer.Reply],
        _ body: (InstanceClient, InstanceEndpoint, InstanceServer) async throws -> Result
    ) async throws -> Result {
        let authority = try #require(TestAuthority.shared)
        let http = HTTPClient(eventLoop: try EventLoop(name: "instance-client-tests"))
        defer { http.shutdown() }
        let client = InstanceClient(http: http, tls: try authority.clientSettings())
        return try await withInstanceServer(name: name, authority: authority, replies: replies) { server, port in
            let endpoint = InstanceEndpoint(name: "orders-1", address: "127.0.0.1", port: port)
            return try await body(client, endpoint, server)
        }
    }

    @Test func readsTheStatusOfTheInstanceAtAnAddressUnderItsName() async throws {
        let replies = [InstanceAPIPath.status: InstanceServer.Reply.answer(200, try self.line())]
        try await self.withClient(replies: replies) { client, endpoint, server in
            let status = try await client.status(of: endpoint, timeout: .seconds(30))
            #expect(status == Self.status)
            #expect(status.lastLSN == LSN(rawValue: 0x500_0028))
            #expect(server.requests.withLock { $0.map(\.host) } == ["orders-1:\(endpoint.port)"])
        }
    }

    @Test func refusesAnInstanceOfAnotherName() async throws {
        let replies = [InstanceAPIPath.status: InstanceServer.Reply.answer(200, try self.line())]
        try await self.withClient(name: "orders-2", replies: replies) { client, endpoint, server in
            let error = await #expect(throws: InstanceClientError.self) {
                try await client.status(of: endpoint, timeout: .seconds(30))
            }
            #expect(error?.code == .untrusted)
            #expect(server.requests.withLock { $0.isEmpty })
        }
    }

    @Test func sendsAndReadsEveryRequest() async throws {
        let replies: [String: InstanceServer.Reply] = [
            InstanceAPIPath.prepare: .answer(200, #"{"term":3,"slots":["orders_3"],"replayedLSN":"0/10"}"#),
            InstanceAPIPath.checkpoint: .answer(200, #"{"count":2,"lastMilliseconds":12,"currentLSN":"0/3000028"}"#),
            InstanceAPIPath.demote: .answer(200, #"{"shutdownLSN":"0/20","timeline":2,"term":3}"#),
            InstanceAPIPath.promote: .answer(
                200,
                #"{"timeline":3,"promotedAtMilliseconds":1800000000000,"walSwitchLSN":"0/20"}"#
            ),
        ]
        try await self.withClient(replies: replies) { client, endpoint, server in
            let prepared = try await client.prepare(
                endpoint,
                PrepareRequest(term: 3, slots: ["orders_3"]),
                timeout: .seconds(30)
            )
            #expect(prepared == PrepareResponse(term: 3, slots: ["orders_3"], replayedLSN: LSN(rawValue: 0x10)))
            let checkpoint = try await client.checkpoint(endpoint, CheckpointRequest(count: 2), timeout: .seconds(30))
            #expect(
                checkpoint == CheckpointResponse(count: 2, lastMilliseconds: 12, currentLSN: LSN(rawValue: 0x3000028))
            )
            let demoted = try await client.demote(endpoint, DemoteRequest(term: 3, deadlineMilliseconds: 28000))
            #expect(demoted == DemoteResponse(shutdownLSN: LSN(rawValue: 0x20), timeline: 2, term: 3))
            let promoted = try await client.promote(
                endpoint,
                PromoteRequest(term: 4, attempt: 1, minimumLSN: LSN(rawValue: 0x20)),
                timeout: .seconds(30)
            )
            #expect(promoted.walSwitchLSN == LSN(rawValue: 0x20))
            let bodies = server.requests.withLock { $0 }
            #expect(bodies.map(\.method) == ["POST", "POST", "POST", "POST"])
            #expect(
                try bodies.map { try JSONValue(parsing: $0.body) } == [
                    ["term": 3, "slots": ["orders_3"]],
                    ["count": 2],
                    ["term": 3, "deadlineMilliseconds": 28000],
                    ["term": 4, "attempt": 1, "minimumLSN": "0/20"],
                ]
            )
        }
    }

    @Test func givesTheReasonOfARefusal() async throws {
        let replies: [String: InstanceServer.Reply] = [
            InstanceAPIPath.demote: .answer(409, #"{"reason":"StaleTerm","message":"term 3 is over"}"#),
            InstanceAPIPath.status: .answer(502, "<html>"),
        ]
        try await self.withClient(replies: replies) { client, endpoint, _ in
            var error = await #expect(throws: InstanceClientError.self) {
                try await client.demote(endpoint, DemoteRequest(term: 3, deadlineMilliseconds: 28000))
            }
            #expect(error?.code == .refused)
            #expect(error?.reason == .staleTerm)
            error = await #expect(throws: InstanceClientError.self) {
                try await client.status(of: endpoint, timeout: .seconds(30))
            }
            #expect(error?.code == .malformed)
        }
    }

    @Test func endsACallAtItsDeadline() async throws {
        try await self.withClient(replies: [InstanceAPIPath.status: .silence]) { client, endpoint, _ in
            let error = await #expect(throws: InstanceClientError.self) {
                try await client.status(of: endpoint, timeout: .milliseconds(300))
            }
            #expect(error?.code == .timedOut)
        }
    }

    @Test func refusesAnAnswerThatIsTooLongOrNoStatus() async throws {
        let long = #"{"instance":""# + String(repeating: "a", count: 1_000_000) + #""}"#
        for (text, path) in [(long, "long"), ("[]", "array"), ("", "empty")] {
            try await self.withClient(replies: [InstanceAPIPath.status: .answer(200, text)]) { client, endpoint, _ in
                let error = await #expect(throws: InstanceClientError.self, "\(path)") {
                    try await client.status(of: endpoint, timeout: .seconds(30))
                }
                #expect(error?.code == .malformed, "\(path)")
            }
        }
    }

    @Test(arguments: [
        InstanceEndpoint(name: "orders-1/../x", address: "127.0.0.1", port: 1),
        InstanceEndpoint(name: "orders-1@evil", address: "127.0.0.1", port: 1),
        InstanceEndpoint(name: "", address: "127.0.0.1", port: 1),
        InstanceEndpoint(name: "orders-1", address: "evil.example", port: 1),
        InstanceEndpoint(name: "orders-1", address: "", port: 1),
        InstanceEndpoint(name: "orders-1", address: "127.0.0.1", port: 0),
    ])
    func refusesEndpointsThatAreNone(_ endpoint: InstanceEndpoint) async throws {
        try await self.withClient(replies: [:]) { client, _, _ in
            let error = await #expect(throws: InstanceClientError.self) { try await client.status(of: endpoint) }
            #expect(error?.code == .invalidEndpoint)
        }
    }

    @Test func followsTheStatusUntilTheStreamEnds() async throws {
        let first = try self.line(term: 3) + "\n"
        let second = try self.line(term: 4) + "\n"
        // Cut in the middle of a line; what belongs together may arrive in one piece, of which the newest counts.
        let pieces: [String] = [
            String(first.prefix(20)), String(first.dropFirst(20) + second.prefix(7)), String(second.dropFirst(7)),
        ]
        let replies = [InstanceAPIPath.statusStream: InstanceServer.Reply.stream(pieces, open: false)]
        try await self.withClient(replies: replies) { client, endpoint, _ in
            let terms = try await client.withStatusStream(of: endpoint) { statuses in
                var terms: [Int64] = []
                for try await case .status(let status) in statuses {
                    terms.append(status.term)
                }
                return terms
            }
            #expect(terms.last == 4)
            #expect(terms == [3, 4] || terms == [4])
        }
    }

    @Test func leavesAStreamThatGoesOn() async throws {
        let replies = [
            InstanceAPIPath.statusStream: InstanceServer.Reply.stream([try self.line() + "\n"], open: true)
        ]
        try await self.withClient(replies: replies) { client, endpoint, _ in
            let report = try await client.withStatusStream(of: endpoint) { reports -> InstanceReport? in
                for try await report in reports {
                    return report
                }
                return nil
            }
            #expect(report == .status(Self.status))
        }
    }

    @Test func takesAPositionByItself() async throws {
        let line = try self.line() + "\n"
        let pieces = ["0/1\n" + line + "\n0/2000", "060\n\n"]
        let replies = [InstanceAPIPath.statusStream: InstanceServer.Reply.stream(pieces, open: false)]
        try await self.withClient(replies: replies) { client, endpoint, _ in
            let reports = try await client.withStatusStream(of: endpoint) { reports in
                var all: [InstanceReport] = []
                for try await report in reports { all.append(report) }
                return all
            }
            // What came before a status that says all is of no interest, if it came with it.
            #expect(reports.suffix(2) == [.status(Self.status), .position(LSN(rawValue: 0x200_0060))])
        }
    }

    @Test(arguments: ["no status\n", "0/\n", "[]\n"])
    func refusesALineThatIsNeitherStatusNorPosition(_ line: String) async throws {
        let replies = [InstanceAPIPath.statusStream: InstanceServer.Reply.stream([line], open: true)]
        try await self.withClient(replies: replies) { client, endpoint, _ in
            let error = await #expect(throws: InstanceClientError.self) {
                try await client.withStatusStream(of: endpoint) { reports in
                    for try await _ in reports {}
                }
            }
            #expect(error?.code == .malformed)
        }
    }

    @Test func refusesALineWithoutEnd() async throws {
        let endless = [String](repeating: String(repeating: "a", count: 50_000), count: 2)
        let replies = [InstanceAPIPath.statusStream: InstanceServer.Reply.stream(endless, open: true)]
        try await self.withClient(replies: replies) { client, endpoint, _ in
            let error = await #expect(throws: InstanceClientError.self) {
                try await client.withStatusStream(of: endpoint) { statuses in
                    for try await _ in statuses {}
                }
            }
            #expect(error?.code == .malformed)
        }
    }

    @Test func passesOnARefusalOfTheStream() async throws {
        let replies = [
            InstanceAPIPath.statusStream: InstanceServer.Reply.answer(403, #"{"reason":"Forbidden","message":"no"}"#)
        ]
        try await self.withClient(replies: replies) { client, endpoint, _ in
            let error = await #expect(throws: InstanceClientError.self) {
                try await client.withStatusStream(of: endpoint) { _ in }
            }
            #expect(error?.reason == .forbidden)
        }
    }
}

@Suite struct InstanceAPIErrorTests {
    @Test func everyReasonHasAStatusAndIsAWord() {
        for reason in InstanceAPIReason.all {
            #expect((400...599).contains(reason.httpStatus), "\(reason.rawValue)")
            #expect(reason.rawValue.first?.isUppercase ?? false)
        }
        #expect(Set(InstanceAPIReason.all).count == InstanceAPIReason.all.count)
        #expect(InstanceAPIReason.staleTerm.httpStatus == 409)
        #expect(InstanceAPIReason(rawValue: "SomethingNew").httpStatus == 500)
    }

    @Test
    func withholdingIsWhatAShortRequestMeans() throws {
        let request = try JSONDecoder().decode(WithholdRequest.self, from: Data(#"{"term": 4}"#.utf8))
        #expect(request == WithholdRequest(term: 4))
        let withdrawn = WithholdRequest(term: 4, withdraw: true)
        #expect(try JSONDecoder().decode(WithholdRequest.self, from: JSONEncoder().encode(withdrawn)) == withdrawn)
    }
}
