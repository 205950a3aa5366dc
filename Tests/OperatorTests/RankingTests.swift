import ClusterPlanning
import Foundation
import JSON
import KubernetesClient
import Logging
import PostgresClusterAPI
import Testing

@testable import Operator

struct RankingReaderTests {
    private func data(_ text: String) -> Data { Data(text.utf8) }

    @Test func aChangeIsUsedAndTheSameAgainIsNone() {
        var reader = RankingReader()
        #expect(reader.read(nil) == .use(NodeRanking()))
        #expect(reader.read(nil) == .nothing)
        let text = self.data(#"{"signals": [{"place": "label", "key": "example.org/reboot", "level": 2}]}"#)
        let signals = [NodeSignal(place: .label, key: "example.org/reboot", level: 2)]
        #expect(reader.read(text) == .use(NodeRanking(signals: signals)))
        #expect(reader.read(text) == .nothing)
        // A ConfigMap that is deleted leaves the defaults.
        #expect(reader.read(nil) == .use(NodeRanking()))
    }

    @Test(arguments: [
        "", "{", "[]", #"{"signal": []}"#, #"{"signals": [{"place": "label", "key": "a", "level": 4}]}"#,
        #"{"signals": [{"place": "label", "key": "a", "level": 0}]}"#,
        #"{"signals": [{"place": "roof", "key": "a", "level": 2}]}"#,
        #"{"signals": [{"place": "label", "key": "*", "level": 3}]}"#, #"{"drainGraceSeconds": -1}"#,
        #"{"drainGraceSeconds": 99999999999}"#,
    ])
    func whatCannotBeUsedIsRefusedOnce(_ text: String) {
        var reader = RankingReader()
        guard case .refuse(let problem) = reader.read(self.data(text)) else {
            Issue.record("accepted \(text)")
            return
        }
        #expect(!problem.isEmpty)
        #expect(reader.read(self.data(text)) == .nothing)
        #expect(reader.read(self.data("{}")) == .use(NodeRanking()))
    }
}

@Suite(.timeLimit(.minutes(3)))
struct RankingFileTests {
    @Test func aSignalThatIsAddedMovesAPrimaryAndABrokenFileChangesNothing() async throws {
        let path = NSTemporaryDirectory() + "ranking-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await OperatorFixture.with { fixture in
            try await fixture.createCluster("orders")
            let drover = fixture.makeOperator()
            let logger = Logger(label: "ranking") { _ in SwiftLogNoOpLogHandler() }
            let file = RankingFile(path: path, interval: .milliseconds(50), drover: drover, logger: logger)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await drover.run() }
                group.addTask { try await file.run() }
                defer { group.cancelAll() }
                let home = try #require(try await fixture.waitUntilReady("orders").primaryNode)
                _ = try await fixture.client.patch(
                    Node.self,
                    home,
                    .merge(["metadata": ["labels": ["example.org/reboot": "soon"]]])
                )
                // Nobody knows that label yet, and what cannot be read does not change that.
                try "{".write(toFile: path, atomically: true, encoding: .utf8)
                try await fixture.waitFor("orders", "the refusal") { _ in
                    drover.metricsText.contains("drover_node_ranking_refused 1\n")
                }
                #expect(try await fixture.status("orders").primaryNode == home)
                try #"{"signals": [{"place": "label", "key": "example.org/reboot", "level": 3}]}"#
                    .write(toFile: path, atomically: true, encoding: .utf8)
                try await fixture.waitFor("orders", "the move") { status in
                    status.transition == nil && status.primaryNode != nil && status.primaryNode != home
                }
                #expect(drover.metricsText.contains("drover_node_ranking_refused 0\n"))
            }
        }
    }
}
