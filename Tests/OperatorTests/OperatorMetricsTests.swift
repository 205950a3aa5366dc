import ClusterPlanning
import Foundation
import KubernetesClient
import PostgresClusterAPI
import Testing

@testable import Operator

struct OperatorMetricsTests {
    @Test func tellsWhatMovesWhatIsBlockedAndWhichNodesWait() throws {
        let state = OperatorState(ranking: NodeRanking())
        let key = { (name: String) in ObjectKey(namespace: "shop", name: name) }
        _ = state.setMove(.init(primaryNode: "a", summary: .settled), of: key("rest"))
        _ = state.setMove(.init(primaryNode: "a", summary: .moving), of: key("moves"))
        _ = state.setMove(.init(primaryNode: "a", summary: .blocked(.held, message: "by hand")), of: key("held"))
        for (name, answer) in [("a", "false"), ("b", "true"), ("c", nil)] {
            let node = Node(
                metadata: ObjectMeta(name: name, uid: name, annotations: answer.map { [Annotations.evictionReady: $0] })
            )
            _ = state.setNode(name, NodeFacts(node))
        }
        let lines = Set(state.metricsText(now: Date()).split(separator: "\n").map(String.init))
        for line in [
            "drover_operator_leader 1", "drover_clusters 3", "drover_clusters_moving 1",
            #"drover_clusters_blocked{reason="Held"} 1"#,
            #"drover_move_blocked{namespace="shop",cluster="held",reason="Held"} 1"#,
            #"drover_node_eviction_ready{node="a"} 0"#, #"drover_node_eviction_ready{node="b"} 1"#,
        ] {
            #expect(lines.contains(line), "\(line) is missing")
        }
        #expect(!lines.contains { $0.contains(#"node="c""#) })
    }

    @Test func tellsWhenCertificatesEnd() throws {
        let state = OperatorState(ranking: NodeRanking())
        let key = ObjectKey(namespace: "shop", name: "orders")
        let end = { (seconds: Double) in Timestamp(Date(timeIntervalSince1970: seconds)).rawValue }
        let secrets: [(String, [String: String])] = [
            (
                "orders-ca",
                [OperatorAnnotations.steppedAt: end(1_700_000_000), OperatorAnnotations.notAfter: end(2_000_000_000)]
            ),
            ("orders-app", [OperatorAnnotations.trust: "t"]),
            ("orders-1-tls", self.handedOut(until: end(1_900_000_001))),
            ("orders-2-tls", self.handedOut(until: end(1_900_000_000))),
        ]
        for (name, annotations) in secrets {
            let metadata = ObjectMeta(name: name, resourceVersion: "1", annotations: annotations)
            state.secrets.store(SecretFacts(metadata), metadata: metadata, of: key)
        }
        let text = state.metricsText(now: Date())
        for (kind, end) in [("authority", "2000000000"), ("instance", "1900000000")] {
            let labels = #"{namespace="shop",cluster="orders",kind="\#(kind)"}"#
            #expect(text.contains("drover_certificate_end_timestamp_seconds\(labels) \(end)\n"))
        }
    }

    private func handedOut(until end: String) -> [String: String] {
        [
            OperatorAnnotations.trust: "t", OperatorAnnotations.issuer: "i", OperatorAnnotations.certificate: "c",
            OperatorAnnotations.notAfter: end,
        ]
    }
}
