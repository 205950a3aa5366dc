import Certificates
import EventLoop
import Foundation
import HTTPClient
import Logging
import PodProgram
import PoolerAPI
import PostgresClusterAPI
import RequestFuzzing
import Testing
import Workload

@testable import Pooler

/// The API of a pooler under requests that nobody in his right mind would send.
@Suite(.serialized, .timeLimit(.minutes(4)))
struct PoolerFuzzTests {
    private static let known = [
        KnownRequest("GET", PoolerAPIPath.status),
        KnownRequest(
            "POST",
            PoolerAPIPath.pause,
            #"{"term":1,"transition":"t","leaseMilliseconds":50,"drainMilliseconds":20,"longTransactions":"Wait"}"#
        ),
        KnownRequest("POST", PoolerAPIPath.resume, #"{"term":1,"primary":"db-1","address":"127.9.0.1"}"#),
    ]

    private static func serving(
        _ body: (Pooler, FuzzTarget) async throws -> Void
    ) async throws {
        let eventLoop = try EventLoop(name: "pooler-fuzz")
        defer { eventLoop.shutdown() }
        let directory = try LocalPostgres.temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let authority = try CertificateAuthority.make(commonName: "db CA", lifetime: 3600, now: Date())
        var configuration = PoolerConfiguration(
            cluster: "db",
            pooler: "db-pooler-1",
            namespace: "test",
            podUID: "uid-1",
            podIP: "127.0.0.1"
        )
        configuration.certificates = directory + "/tls"
        configuration.directory = directory + "/run"
        configuration.port = try LocalPostgres.freePort()
        configuration.apiPort = try LocalPostgres.freePort()
        // PgBouncer never comes up: what is asked for is decided, and carried out in vain.
        configuration.program = "/bin/false"
        try PoolerFixture.issue(authority, to: configuration.certificates)
        let logger = Logger(label: "pooler") { _ in SwiftLogNoOpLogHandler() }
        let pooler = Pooler(
            configuration: configuration,
            processes: Processes(eventLoop: eventLoop),
            eventLoop: eventLoop,
            logger: logger
        )
        let server = PoolerServer(pooler: pooler, configuration: configuration, logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pooler.run() }
            let serving = Task { try await server.run() }
            let target = FuzzTarget(
                host: configuration.podIP,
                port: configuration.apiPort,
                name: "db-pooler",
                authority: authority
            )
            let result: Result<Void, any Error>
            do {
                let host = try target.somebody(DatabaseRoles.operator)
                try #require(try await target.isUp(PoolerAPIPath.status, for: host), "the API does not come up")
                result = .success(try await body(pooler, target))
            } catch {
                result = .failure(error)
            }
            await pooler.endForTests()
            serving.cancel()
            _ = try? await serving.value
            try await group.waitForAll()
            try result.get()
        }
    }

    @Test func whoeverHasNoRightCertificateChangesNothingWhateverHeSends() async throws {
        try await Self.serving { pooler, target in
            let foreign = try CertificateAuthority.make(commonName: "db CA", lifetime: 3600, now: Date())
            let before = await pooler.status()
            for (identity, isHeard) in [
                (target.nobody, false),
                (try target.somebody(DatabaseRoles.operator, signedBy: foreign), false),
                (try target.somebody("db-1"), true), (try target.somebody(DatabaseRoles.pooler), true),
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
            let after = await pooler.status()
            #expect(after == before)
            #expect(try await target.answers(PoolerAPIPath.status, to: target.somebody(DatabaseRoles.operator)))
        }
    }

    @Test func survivesWhateverTheOperatorMightSend() async {
        // In a process of its own: its end, and its memory, are nobody else's.
        await #expect(processExitsWith: .success) {
            try await PoolerFuzzTests.sendAsTheOperator()
        }
    }

    fileprivate static func sendAsTheOperator() async throws {
        try await Self.serving { _, target in
            let identity = try target.somebody(DatabaseRoles.operator)
            #expect(try await target.misunderstood(Self.known, from: identity) == [])
            let memory = FuzzRun.residentKibibytes
            let statuses = try await target.trouble(
                with: Self.known,
                as: identity,
                cases: 600,
                patience: .milliseconds(200)
            )
            #expect([200, 400, 413].allSatisfy { statuses[$0] != nil }, "\(statuses)")
            #expect(statuses[500] == nil, "\(statuses)")
            #expect(try await target.answers(PoolerAPIPath.status, to: target.somebody(DatabaseRoles.operator)))
            #expect(FuzzRun.residentKibibytes - memory < 100_000)
        }
    }
}
