internal import ClusterPlanning
internal import Foundation
internal import KubernetesClient
internal import PostgresClusterAPI

extension OperatorState {
    /// What a leader knows of clusters and nodes, in Prometheus' text format.
    func metricsText(now: Date) -> String {
        let moves = self.moves()
        var moving = 0
        var reasons: [String: Int] = [:]
        var blocked: [String] = []
        for (key, move) in moves.sorted(by: { $0.key < $1.key }) {
            switch move.summary {
            case .settled: break
            case .moving: moving += 1
            case .blocked(let reason, _):
                reasons[reason.rawValue, default: 0] += 1
                // Names of objects need no quoting: letters, digits, '-' and '.' only.
                blocked.append(
                    #"drover_move_blocked{namespace="\#(key.namespace)",cluster="\#(key.name)",reason="\#(reason.rawValue)"} 1"#
                )
            }
        }
        var lines = [
            "# TYPE drover_operator_leader gauge", "drover_operator_leader 1",
            "# TYPE drover_clusters gauge", "drover_clusters \(moves.count)",
            "# TYPE drover_clusters_moving gauge", "drover_clusters_moving \(moving)",
            "# TYPE drover_clusters_blocked gauge",
        ]
        lines += reasons.sorted { $0.key < $1.key }
            .map { #"drover_clusters_blocked{reason="\#($0.key)"} \#($0.value)"# }
        lines.append("# TYPE drover_move_blocked gauge")
        lines += blocked
        lines.append("# TYPE drover_node_eviction_ready gauge")
        for (name, node) in self.nodes(now: now).nodes.sorted(by: { $0.key < $1.key }) {
            // Only nodes on which somebody has asked carry an answer.
            guard let answer = node.annotations[Annotations.evictionReady] else { continue }
            lines.append(#"drover_node_eviction_ready{node="\#(name)"} \#(answer == "true" ? 1 : 0)"#)
        }
        lines += self.certificateLines()
        return lines.joined(separator: "\n") + "\n"
    }

    /// When the authority of each cluster ends, and the first of what it has issued.
    private func certificateLines() -> [String] {
        var authorities: [ObjectKey: Date] = [:]
        var leaves: [ObjectKey: Date] = [:]
        for (key, secret) in self.secrets.all() {
            let annotations = secret.annotations
            if let handedOut = HandedOut(annotations) {
                leaves[key] = min(leaves[key] ?? .distantFuture, handedOut.notAfter)
            } else if annotations[OperatorAnnotations.steppedAt] != nil,
                let end = annotations[OperatorAnnotations.notAfter].flatMap({ Timestamp(rawValue: $0).date })
            {
                authorities[key] = end
            }
        }
        var lines = ["# TYPE drover_certificate_end_timestamp_seconds gauge"]
        for (kind, ends) in [("authority", authorities), ("instance", leaves)] {
            for (key, end) in ends.sorted(by: { $0.key < $1.key }) {
                let labels = #"namespace="\#(key.namespace)",cluster="\#(key.name)",kind="\#(kind)""#
                lines.append("drover_certificate_end_timestamp_seconds{\(labels)} \(Int64(end.timeIntervalSince1970))")
            }
        }
        return lines
    }
}
