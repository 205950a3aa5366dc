internal import ClusterPlanning
internal import Foundation
internal import KubernetesClient
internal import PostgresClusterAPI

/// What would go wrong if the nodes under the clusters were replaced now, one after another.
struct Preflight: Sendable {
    let fleet: Fleet

    /// Looks at clusters.
    func report(on clusters: [PostgresCluster]) -> PreflightReport {
        PreflightReport(
            clusters: clusters.count,
            findings: clusters.flatMap { self.findings(on: $0) }
                .sorted { ($0.severity, $0.cluster, $0.reason) < ($1.severity, $1.cluster, $1.reason) },
            gaps: self.fleet.gaps
        )
    }

    /// What is wrong with one cluster; of two rules that find the same reason the first one counts.
    func findings(on cluster: PostgresCluster) -> [Finding] {
        var reasons: Set<String> = []
        return [
            self.state(cluster), self.move(cluster), self.open(cluster), self.hold(cluster), self.redundancy(cluster),
            self.budgets(cluster), self.places(cluster),
        ]
        .flatMap(\.self).filter { reasons.insert($0.reason).inserted }
    }

    // MARK: Rules

    /// What the operator says itself.
    private func state(_ cluster: PostgresCluster) -> [Finding] {
        guard cluster.isStatusReadable else {
            return [self.blocks(cluster, .unreadableStatus, "the status cannot be read")]
        }
        let status = cluster.status ?? PostgresClusterStatus()
        var findings: [Finding] = []
        if let degraded = status.conditions[.degraded], degraded.status == .true {
            findings.append(self.blocks(cluster, degraded.reason, degraded.message))
        }
        if let ready = status.conditions[.ready], ready.status != .true {
            let isServing = ready.reason == .instancesMissing
            findings.append(
                isServing
                    ? self.warns(cluster, ready.reason, ready.message)
                    : self.blocks(cluster, ready.reason, ready.message)
            )
        }
        let isSeen = (status.observedGeneration ?? 0) >= (cluster.metadata.generation ?? 0)
        if !isSeen || status.conditions[.ready] == nil {
            findings.append(
                self.finding(
                    cluster,
                    .blocks,
                    "NotObserved",
                    "the operator has not looked at the present spec",
                    "see whether the operator runs: kubectl get pods -n drover-system"
                )
            )
        }
        if let transition = status.transition {
            findings.append(
                self.finding(
                    cluster,
                    .warns,
                    transition.kind.rawValue,
                    "\(transition.from) to \(transition.to ?? "?") is under way (\(transition.phase.rawValue))",
                    "wait for its end"
                )
            )
        }
        return findings
    }

    /// What the planner would do if the primary's node were announced now.
    private func move(_ cluster: PostgresCluster) -> [Finding] {
        guard let primary = cluster.status?.primary, cluster.status?.transition == nil,
            let pod = self.fleet.pods[cluster.key]?.first(where: { $0.metadata.name == primary }),
            let node = pod.spec?.nodeName, self.fleet.nodes[node] != nil
        else { return [] }
        let nodes = self.fleet.announcing([node], deadline: nil)
        switch MoveForecast(self.fleet.assumedFacts(of: cluster, nodes: nodes), now: self.fleet.now).outcome {
        case .stays, .moves, .underWay: return []
        case .blocked(let reason, let message): return [self.blocks(cluster, reason, message)]
        case .waits(let reason, let message, let preparation):
            // Asked for a second instance, a single one is moved by way of it.
            guard reason != .singleInstance else { return [] }
            let first = preparation == nil ? "" : "; a replica is brought to a fresh node first"
            return [self.warns(cluster, reason, message + first)]
        }
    }

    /// What the operator has found in PostgreSQL at its last look.
    private func open(_ cluster: PostgresCluster) -> [Finding] {
        guard let movable = cluster.status?.conditions[.movable], movable.status == .false else { return [] }
        return movable.reason == .longTransaction
            ? [self.warns(cluster, movable.reason, movable.message)]
            : [self.blocks(cluster, movable.reason, movable.message)]
    }

    private func hold(_ cluster: PostgresCluster) -> [Finding] {
        cluster.hold.map { [self.blocks(cluster, .held, $0)] } ?? []
    }

    private func redundancy(_ cluster: PostgresCluster) -> [Finding] {
        guard let status = cluster.status, status.term > 0 else { return [] }
        let wanted = cluster.spec.resolved.instances
        var findings: [Finding] = []
        if wanted == 1 {
            findings.append(
                self.finding(
                    cluster,
                    .warns,
                    ConditionReason.singleInstance.rawValue,
                    cluster.spec.resolved.singleInstance == .restart
                        ? "it is evicted, and nobody can write until it has started elsewhere"
                        : "a second instance is cloned before every move, which takes as long as copying the database",
                    "set spec.instances to 2 or more before the roll"
                )
            )
        } else if wanted == 2 {
            findings.append(
                self.finding(
                    cluster,
                    .warns,
                    "NoSpareReplica",
                    "while one of the two instances is on its way there is nobody to fail over to",
                    "set spec.instances to 3 before the roll"
                )
            )
        }
        let limit = cluster.spec.resolved.switchoverMaximumLag
        // What is written down says "at least".
        let lagging = status.instances.filter { $0.name != status.primary && ($0.lagBytes ?? 0) >= max(limit, 1) }
        if !lagging.isEmpty {
            let names = lagging.map(\.name).joined(separator: ", ")
            findings.append(self.warns(cluster, .replicaLagging, "\(names) is too far behind to become primary"))
        }
        let timeline = status.primary.flatMap { status.instance(named: $0)?.timeline }
        let astray = status.instances.filter {
            $0.name != status.primary && $0.timeline != nil && $0.timeline != timeline
        }
        if timeline != nil, !astray.isEmpty {
            findings.append(
                self.finding(
                    cluster,
                    .warns,
                    "OtherTimeline",
                    "\(astray.map(\.name).joined(separator: ", ")) is on another timeline than the primary",
                    "wait until it follows; if it does not, look at its log"
                )
            )
        }
        return findings
    }

    /// Budgets: ours must be there, and nobody else's may count our pods.
    private func budgets(_ cluster: PostgresCluster) -> [Finding] {
        guard !self.fleet.gaps.contains(where: { $0.hasPrefix("budgets") }) else { return [] }
        let names = Names(cluster: cluster.key.name)
        let budgets = self.fleet.budgets.filter { $0.metadata.namespace == cluster.key.namespace }
        var findings: [Finding] = []
        if (cluster.status?.term ?? 0) > 0, !budgets.contains(where: { $0.metadata.name == names.primaryBudget }) {
            findings.append(
                self.finding(
                    cluster,
                    .blocks,
                    "BudgetMissing",
                    "there is no budget \(names.primaryBudget): nothing refuses the eviction of the primary",
                    "see whether the operator runs and may write budgets"
                )
            )
        }
        let pods = self.fleet.pods[cluster.key] ?? []
        let foreign = budgets.filter { budget in
            budget.metadata.labels?[Labels.cluster] != cluster.key.name
                && budget.metadata.name != names.primaryBudget && budget.metadata.name != names.replicasBudget
                && pods.contains { budget.spec?.selector?.matches($0.metadata.labels ?? [:]) ?? false }
        }
        if !foreign.isEmpty {
            let list = foreign.compactMap(\.metadata.name).sorted().joined(separator: ", ")
            findings.append(
                self.finding(
                    cluster,
                    .blocks,
                    "ForeignBudget",
                    "\(list) selects our pods, too: a pod under two budgets cannot be evicted (the API answers 500)",
                    "delete it, or narrow its selector"
                )
            )
        }
        return findings
    }

    /// Whether the instances find other nodes.
    private func places(_ cluster: PostgresCluster) -> [Finding] {
        guard !self.fleet.nodes.isEmpty else { return [] }
        let facts = self.fleet.assumedFacts(of: cluster, nodes: self.fleet.nodes)
        let taken = Set(facts.pods.values.compactMap(\.node))
        let free = facts.assessments.filter { $0.value.rank < .announced && !taken.contains($0.key) }.keys
        let stuck = facts.pods.values.sorted { $0.instance < $1.instance }
            .filter { pod in
                !free.contains { node in
                    facts.volumes[pod.instance]?.isReachable(fromNode: node, zone: facts.zone(ofNode: node)) ?? true
                }
            }
        guard !stuck.isEmpty else { return [] }
        let zones = Set(stuck.compactMap { facts.zone(ofNode: $0.node) }).sorted().joined(separator: ", ")
        return [
            self.finding(
                cluster,
                .warns,
                "NoSpareNode",
                "\(stuck.map(\.instance).joined(separator: ", ")) cannot come back before there is another node"
                    + (zones.isEmpty ? "" : " in \(zones)"),
                "roll with surge: add the new node before the old one is drained"
            )
        ]
    }

    // MARK: Making findings

    private func finding(
        _ cluster: PostgresCluster,
        _ severity: Finding.Severity,
        _ reason: String,
        _ message: String,
        _ remedy: String
    ) -> Finding {
        Finding(cluster: "\(cluster.key)", severity: severity, reason: reason, message: message, remedy: remedy)
    }

    private func blocks(_ cluster: PostgresCluster, _ reason: ConditionReason, _ message: String) -> Finding {
        self.finding(cluster, .blocks, reason.rawValue, message, self.remedy(reason, cluster))
    }

    private func warns(_ cluster: PostgresCluster, _ reason: ConditionReason, _ message: String) -> Finding {
        self.finding(cluster, .warns, reason.rawValue, message, self.remedy(reason, cluster))
    }

    private func remedy(_ reason: ConditionReason, _ cluster: PostgresCluster) -> String {
        Remedy.text(for: reason, cluster: "\(cluster.key.name) -n \(cluster.key.namespace)")
    }
}
