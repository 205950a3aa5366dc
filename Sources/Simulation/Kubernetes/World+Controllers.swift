internal import ClusterPlanning
internal import PostgresClusterAPI

/// What Kubernetes itself does: budgets, evictions, scheduling, the life of nodes.
extension World {
    // MARK: Budgets

    /// Counts anew, a little later: what a budget's status says may be old.
    func disruptionController() {
        guard !self.isCounting else { return }
        self.isCounting = true
        let delay = self.isChaotic && self.random.chance(0.1) ? 700 : 12
        self.after(self.random.between(2, delay) * Self.millisecond) {
            self.isCounting = false
            for budget in self.api.budgets { self.count(budget) }
        }
    }

    private func count(_ budget: BudgetObject) {
        let pods = self.api.pods.filter { $0.role == budget.role }
        let healthy = pods.count { $0.isReady && !$0.isTerminating }
        let allowed = pods.isEmpty ? 0 : max(0, healthy - budget.minAvailable)
        guard
            budget.observedGeneration != budget.generation || budget.disruptionsAllowed != allowed
                || budget.currentHealthy != healthy || budget.desiredHealthy != budget.minAvailable
        else { return }
        self.storeBudgetStatus(budget.role) {
            $0.observedGeneration = budget.generation
            $0.disruptionsAllowed = allowed
            $0.currentHealthy = healthy
            $0.desiredHealthy = budget.minAvailable
        }
    }

    /// The eviction of a pod, as the API server decides it from what the budgets' statuses say.
    /// - Returns: false for "429 Too Many Requests".
    func evict(_ instance: String, uid: String) -> Bool {
        guard let pod = self.api.pod(instance), pod.uid == uid else { return true }
        guard !pod.isTerminating else { return true }
        if pod.isRunning, let budget = self.api.budgets.first(where: { $0.role == pod.role }) {
            let isFree =
                !pod.isReady
                && (budget.policy == "AlwaysAllow"
                    || (budget.currentHealthy >= budget.desiredHealthy && budget.desiredHealthy > 0))
            if !isFree {
                guard budget.observedGeneration >= budget.generation, budget.disruptionsAllowed > 0 else {
                    return false
                }
                self.storeBudgetStatus(budget.role) { $0.disruptionsAllowed -= 1 }
            }
        }
        self.checkEviction(of: pod)
        self.note(instance, "pod \(uid) is evicted")
        self.deletePod(instance, uid: uid, gracePeriod: 30 * Self.second)
        return true
    }

    /// Marks a pod for deletion, or removes it at once.
    func deletePod(_ instance: String, uid: String, gracePeriod: Int) {
        guard let pod = self.api.pod(instance), pod.uid == uid else { return }
        guard gracePeriod > 0, pod.node != nil else {
            self.note(instance, "pod \(uid) is removed")
            self.removePod(instance, uid: uid)
            return
        }
        if pod.isTerminating { return }
        self.updatePod(instance, uid: uid) {
            $0.isTerminating = true
            $0.gracePeriod = gracePeriod
        }
    }

    // MARK: Scheduling

    func schedulePod(_ instance: String, uid: String) {
        self.after(self.random.between(5, 100) * Self.millisecond) { self.place(instance, uid: uid) }
    }

    private func place(_ instance: String, uid: String) {
        guard let pod = self.api.pod(instance), pod.uid == uid, pod.node == nil, !pod.isTerminating else { return }
        let taken = Set(self.api.pods.compactMap(\.node))
        let claim = self.api.claims.first { $0.facts.instance == instance }
        let nodes = self.api.nodes.map(\.facts)
            .filter { node in
                !node.isUnschedulable && node.conditions["Ready"] == "True" && !taken.contains(node.name)
                    && !pod.avoidedNodes.contains(node.name)
                    && claim.map { $0.facts.isReachable(fromNode: node.name, zone: nil) } == true
            }
            .map(\.name)
        guard let node = self.random.pick(nodes) else {
            if !pod.isUnschedulable { self.updatePod(instance, uid: uid) { $0.isUnschedulable = true } }
            self.after(self.random.between(300, 900) * Self.millisecond) { self.place(instance, uid: uid) }
            return
        }
        self.note(instance, "pod \(uid) goes to \(node)")
        if self.scenario.hasLocalVolumes { self.bindClaim(instance, to: node) }
        self.updatePod(instance, uid: uid) {
            $0.node = node
            $0.isUnschedulable = false
        }
        if let machine = self.machines.first(where: { $0.name == node }) { self.kubelet(machine) }
    }

    // MARK: Nodes

    /// Looks, once a second, which nodes have been heard of.
    func nodeLifecycle() {
        self.after(Self.second) { self.nodeLifecycle() }
        for node in self.api.nodes {
            let machine = self.machines.first { $0.name == node.facts.name }
            let isHeard =
                machine.map {
                    $0.isAlive && !$0.isSuspended && !self.network.isBlocked($0.endpoint, Network.api)
                } ?? false
            if isHeard { self.heardOf[node.facts.name] = self.now }
            let silence = self.now - (self.heardOf[node.facts.name] ?? 0)
            let isReady = silence < 4 * Self.second
            guard (node.facts.conditions["Ready"] == "True") != isReady else { continue }
            self.note(node.facts.name, isReady ? "node is ready" : "node is not ready")
            self.updateNode(node.facts.name) { $0.conditions["Ready"] = isReady ? "True" : "Unknown" }
            guard !isReady else { continue }
            for pod in self.api.pods where pod.node == node.facts.name && pod.isReady {
                self.updatePod(pod.instance, uid: pod.uid) {
                    $0.isReady = false
                    $0.notReadySince = MachineClock.reference(self.now)
                }
            }
        }
    }
}
