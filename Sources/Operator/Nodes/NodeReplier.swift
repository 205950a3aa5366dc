internal import ClusterPlanning
internal import Foundation
internal import JSON
internal import KubernetesClient
internal import Logging
internal import PostgresClusterAPI

/// Answers upgrade managers: writes on a node whether it may be emptied.
struct NodeReplier: Sendable {
    let client: KubernetesClient
    let state: OperatorState
    let logger: Logger

    /// Brings the reply on a node up to date.
    func reply(on name: String) async throws {
        let now = Date()
        let (nodes, assessments) = self.state.nodes(now: now)
        // Before every cluster has been planned, nobody can say that a node is free of primaries.
        guard let node = nodes[name], self.state.isPlanned else { return }
        let written = node.annotations[Annotations.evictionStatus].flatMap { NodeReply(annotation: $0) }
        let isAsked =
            (assessments[name]?.rank ?? .fresh) >= .announced || node.annotations[Annotations.plannedEviction] != nil
            || node.annotations[Annotations.evictionDeadline] != nil
        var annotations: [String: JSONValue] = [:]
        var details: Logger.Metadata = [LogKey.node: "\(name)"]
        if isAsked {
            let reply = NodeReply(on: name, moves: self.state.moves(), now: now)
            let isReady = reply.primaries == 0 && reply.moving == 0 ? "true" : "false"
            if node.annotations[Annotations.evictionReady] == isReady, let written, written.saysTheSame(as: reply) {
                return
            }
            annotations[Annotations.evictionReady] = .string(isReady)
            annotations[Annotations.evictionStatus] = .string(try reply.annotation())
            details[LogKey.evictionReady] = "\(isReady)"
            details[LogKey.primaries] = "\(reply.primaries)"
            details[LogKey.moving] = "\(reply.moving)"
            for blocker in reply.blocked.prefix(1) {
                details[LogKey.reason] = "\(blocker.cluster): \(blocker.reason.rawValue)"
            }
        } else {
            // Nobody asks any more: an old answer must not be taken for one to the next question.
            for key in [Annotations.evictionReady, Annotations.evictionStatus] where node.annotations[key] != nil {
                annotations[key] = .null
            }
            guard !annotations.isEmpty else { return }
        }
        let patch: JSONValue = ["metadata": ["uid": .string(node.uid), "annotations": .object(annotations)]]
        let changed = try await self.client.patch(Node.self, name, .merge(patch))
        if let facts = NodeFacts(changed) { self.state.setReply(name, facts) }
        self.logger.info(isAsked ? "Answered on the node" : "Withdrew the answer on the node", metadata: details)
    }
}

extension NodeReply {
    /// What the clusters mean for a node.
    ///
    /// - Parameters:
    ///   - node: the node's name.
    ///   - moves: what was planned last for each cluster.
    ///   - now: the wall clock.
    init(on node: String, moves: [ObjectKey: OperatorState.ClusterMove], now: Date) {
        var primaries = 0
        var moving = 0
        var blocked: [Blocker] = []
        for (key, move) in moves.sorted(by: { $0.key < $1.key }) {
            let isHere = move.primaryNode == node
            if isHere { primaries += 1 }
            switch move.summary {
            case .settled: break
            // Its candidate is to become primary here, or its primary has yet to be gone from here.
            case .moving:
                if [move.primaryNode, move.candidateNode, move.leavingNode].contains(node) { moving += 1 }
            case .blocked(let reason, _):
                guard isHere, blocked.count < 500 else { break }
                blocked.append(
                    Blocker(cluster: "\(key)", reason: reason, since: move.since ?? Timestamp(now))
                )
            }
        }
        self.init(
            observedAt: Timestamp(now),
            primaries: primaries,
            moving: moving,
            replicas: moves.values.count { $0.keptReplicaNodes.contains(node) },
            blocked: blocked
        )
    }
}
