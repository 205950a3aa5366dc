internal import ClusterPlanning
internal import Fence
internal import struct Foundation.Date
internal import JSON
internal import KubernetesClient
internal import PostgresClusterAPI

/// The objects, each with its version.
final class APIServer {
    enum Failure: Error {
        case conflict
        case notFound
        case unreachable
        /// Who asks is not known any more.
        case forbidden
    }

    var isDown = false
    /// It is down until a backup has been put in the place of what there was.
    var isRestoring = false
    var version = 1
    var cluster: ClusterObject
    var status: PostgresClusterStatus { self.cluster.status }
    var lease: PrimaryLease?
    var leaseVersion = 1
    var pods: [PodObject] = []
    var claims: [ClaimObject] = []
    var budgets: [BudgetObject] = []
    var nodes: [NodeObject] = []
    var watchers: [Watcher] = []
    /// An older state, as a backup has it.
    struct Backup {
        var status: PostgresClusterStatus
        var lease: PrimaryLease?
        var instances: [String]
    }

    /// The newest backup, if one was made.
    var backup: Backup?

    init(spec: ResolvedSpec) {
        self.cluster = ClusterObject(
            status: PostgresClusterStatus(),
            leaseDuration: spec.leaseDuration,
            instances: spec.instances,
            version: 1
        )
    }

    func forget() {
        self.watchers = []
    }

    func pod(_ instance: String) -> PodObject? { self.pods.first { $0.instance == instance } }
    func node(_ name: String) -> NodeObject? { self.nodes.first { $0.facts.name == name } }

    var listing: Listing {
        Listing(
            version: self.version,
            cluster: self.cluster,
            lease: self.lease,
            leaseVersion: self.leaseVersion,
            pods: self.pods,
            claims: self.claims,
            budgets: self.budgets,
            nodes: self.nodes
        )
    }
}

extension World {
    // MARK: Requests

    /// A request to the API server; it may be carried out although no answer comes.
    func request<Answer>(
        from endpoint: Int,
        _ work: @escaping (APIServer) -> Result<Answer, APIServer.Failure>,
        answered: @escaping (Result<Answer, APIServer.Failure>) -> Void
    ) {
        self.ask(from: endpoint, to: Network.api, timeout: 5 * Self.second) {
            (reply: @escaping (Result<Answer, APIServer.Failure>) -> Void) in
            guard !self.api.isDown else { return }
            reply(work(self.api))
        } answered: { answer in
            answered(answer ?? .failure(.unreachable))
        }
    }

    // MARK: Watches

    func watch(_ watcher: Watcher) {
        self.api.watchers.removeAll { $0.isEnded }
        self.api.watchers.append(watcher)
        self.list(watcher)
    }

    private func isReachable(_ watcher: Watcher) -> Bool {
        !self.api.isDown && !self.network.isBlocked(Network.api, watcher.endpoint)
            && !self.network.isBlocked(watcher.endpoint, Network.api)
    }

    /// Tells everybody who watches.
    func changed(_ change: Change) {
        self.mix(UInt64(self.api.version))
        for watcher in self.api.watchers where !watcher.isEnded && !watcher.isBroken {
            guard !watcher.isInstance || change.isForInstances else { continue }
            guard self.isReachable(watcher) else {
                self.breakOff(watcher)
                continue
            }
            let stream = watcher.stream
            let time = max(watcher.newest + 1, self.now + watcher.lag + self.latency())
            watcher.newest = time
            self.after(time - self.now) {
                guard !watcher.isEnded, !watcher.isBroken, watcher.stream == stream else { return }
                guard self.isReachable(watcher) else { return self.breakOff(watcher) }
                watcher.run {
                    guard !watcher.isEnded, watcher.stream == stream else { return }
                    watcher.changed(change)
                }
            }
        }
    }

    func breakOff(_ watcher: Watcher) {
        guard !watcher.isBroken, !watcher.isEnded else { return }
        watcher.isBroken = true
        watcher.stream += 1
        self.list(watcher)
    }

    private func list(_ watcher: Watcher) {
        self.after(self.random.between(5, 800) * Self.millisecond) {
            guard !watcher.isEnded, watcher.isBroken else { return }
            guard self.isReachable(watcher) else { return self.list(watcher) }
            watcher.isBroken = false
            watcher.stream += 1
            let stream = watcher.stream
            let listing = self.api.listing
            let time = max(watcher.newest + 1, self.now + watcher.lag + self.latency())
            watcher.newest = time
            self.after(time - self.now) {
                guard !watcher.isEnded, watcher.stream == stream, !watcher.isBroken else { return }
                watcher.run {
                    guard !watcher.isEnded, watcher.stream == stream else { return }
                    watcher.listed(listing)
                }
            }
        }
    }

    // MARK: Writes; each is one moment

    private func nextVersion() -> Int {
        self.api.version += 1
        return self.api.version
    }

    func writeStatus(_ status: PostgresClusterStatus, over version: Int) -> Result<Int, APIServer.Failure> {
        guard self.api.cluster.version == version || self.isMutated(.statusOverwritten) else {
            return .failure(.conflict)
        }
        self.checkDecision(from: self.api.status, to: status)
        let isDecision =
            status.term != self.api.status.term || status.transition?.phase != self.api.status.transition?.phase
            || status.members != self.api.status.members || status.joining != self.api.status.joining
        self.storeStatus(status)
        if isDecision { self.decided(status) }
        return .success(self.api.cluster.version)
    }

    func storeStatus(_ status: PostgresClusterStatus) {
        self.storeCluster { $0.status = status }
    }

    func storeCluster(_ change: (inout ClusterObject) -> Void) {
        change(&self.api.cluster)
        self.api.cluster.version = self.nextVersion()
        self.changed(.cluster(self.api.cluster))
    }

    /// Stops the API server, and starts it again as an older backup has it.
    ///
    /// Nobody restores etcd under an API server that runs: until the old state is served, every Lease and every promise
    /// has run out that rested on the newer one.
    func restoreAPI(from backup: APIServer.Backup) {
        self.api.isRestoring = true
        self.api.isDown = true
        for watcher in self.api.watchers { self.breakOff(watcher) }
        // By the clocks of those who wait for that, which may go too slow.
        let outage = self.random.between(Self.longestLease * 1050, Self.longestLease * 2000)
        self.after(outage * Self.millisecond) {
            self.note("FAULT", "API server is back, in term \(backup.status.term)")
            self.takeBack(to: backup)
            self.api.isRestoring = false
            self.api.isDown = false
        }
    }

    /// The objects are as they were; versions go on growing, and all watches begin anew.
    private func takeBack(to backup: APIServer.Backup) {
        let newest = max(self.history.newestTerm, Int(self.api.status.term))
        if newest > Int(backup.status.term) {
            self.forgottenTerm = newest
            self.restoredAt = self.now
        }
        // What was made since is known to nobody.
        for pod in self.api.pods where !backup.instances.contains(pod.instance) {
            self.removePod(pod.instance, uid: pod.uid)
        }
        for claim in self.api.claims where !backup.instances.contains(claim.facts.instance) {
            self.removeClaim(claim.facts.instance)
        }
        self.storeStatus(backup.status)
        if let lease = backup.lease { self.storeLease(lease) } else { self.deleteLease() }
        for watcher in self.api.watchers { self.breakOff(watcher) }
    }

    /// Creates or replaces the Lease; the resource version in it is the precondition.
    func writeLease(_ lease: PrimaryLease, isNew: Bool) -> Result<PrimaryLease, APIServer.Failure> {
        if isNew {
            guard self.api.lease == nil else { return .failure(.conflict) }
        } else {
            guard let present = self.api.lease else { return .failure(.notFound) }
            guard present.resourceVersion == lease.resourceVersion else { return .failure(.conflict) }
        }
        // Who writes over a Lease that a restore has brought back renews what it took before.
        if let holder = lease.holder, !holder.isOperator, Int64(holder.term) < self.api.status.term,
            self.api.lease?.holder != holder, self.lastTaker != holder
        {
            self.lateTakers.insert(holder)
        }
        self.lastTaker = lease.holder
        return .success(self.storeLease(lease))
    }

    @discardableResult
    func storeLease(_ lease: PrimaryLease) -> PrimaryLease {
        var written = lease
        let version = self.nextVersion()
        written.document[path: ["metadata", "resourceVersion"]] = .string(String(version))
        self.api.lease = written
        self.api.leaseVersion = version
        self.changed(.lease(written, version: version))
        return written
    }

    func deleteLease() {
        guard self.api.lease != nil else { return }
        self.api.lease = nil
        self.api.leaseVersion = self.nextVersion()
        self.changed(.lease(nil, version: self.api.leaseVersion))
    }

    /// Changes a pod.
    /// - Returns: the pod, nil when it is gone or another one.
    @discardableResult
    func updatePod(_ instance: String, uid: String, _ change: (inout PodObject) -> Void) -> PodObject? {
        guard let index = self.api.pods.firstIndex(where: { $0.instance == instance && $0.uid == uid }) else {
            return nil
        }
        change(&self.api.pods[index])
        self.api.pods[index].version = self.nextVersion()
        self.changed(.pod(self.api.pods[index]))
        self.disruptionController()
        return self.api.pods[index]
    }

    func removePod(_ instance: String, uid: String) {
        guard let index = self.api.pods.firstIndex(where: { $0.instance == instance && $0.uid == uid }) else { return }
        self.api.pods.remove(at: index)
        self.changed(.podGone(instance: instance, version: self.nextVersion()))
        self.disruptionController()
    }

    func createPod(_ instance: String, avoiding avoided: Set<String>, now: Date) -> PodObject {
        if let pod = self.api.pod(instance) { return pod }
        var pod = PodObject(instance: instance, uid: "u\(self.number())", avoidedNodes: avoided)
        pod.version = self.nextVersion()
        pod.notReadySince = now
        pod.role = .replica
        self.api.pods.append(pod)
        self.note(instance, "pod \(pod.uid) is made")
        self.changed(.pod(pod))
        self.schedulePod(pod.instance, uid: pod.uid)
        return pod
    }

    func createClaim(_ instance: String) -> ClaimObject {
        if let claim = self.api.claims.first(where: { $0.facts.instance == instance }) { return claim }
        let volume = Volume(instance: instance, uid: "v\(self.number())")
        self.volumes[instance] = volume
        let claim = ClaimObject(
            facts: VolumeFacts(instance: instance, uid: volume.uid),
            version: self.nextVersion()
        )
        self.api.claims.append(claim)
        self.changed(.claim(claim))
        return claim
    }

    /// From now on the volume is a disk of that machine.
    func bindClaim(_ instance: String, to node: String) {
        guard let index = self.api.claims.firstIndex(where: { $0.facts.instance == instance }) else { return }
        self.api.claims[index].facts.nodes = [node]
        self.api.claims[index].version = self.nextVersion()
        self.volumes[instance]?.machine = node
        self.changed(.claim(self.api.claims[index]))
    }

    func removeClaim(_ instance: String) {
        guard self.api.pod(instance) == nil else {
            // Protected for as long as a pod uses it.
            self.after(Self.second) { self.removeClaim(instance) }
            return
        }
        guard let index = self.api.claims.firstIndex(where: { $0.facts.instance == instance }) else { return }
        self.api.claims.remove(at: index)
        self.changed(.claimGone(instance: instance, version: self.nextVersion()))
    }

    func updateNode(_ name: String, _ change: (inout NodeFacts) -> Void) {
        guard let index = self.api.nodes.firstIndex(where: { $0.facts.name == name }) else { return }
        let before = self.api.nodes[index].facts
        change(&self.api.nodes[index].facts)
        guard self.api.nodes[index].facts != before else { return }
        self.api.nodes[index].version = self.nextVersion()
        self.changed(.node(self.api.nodes[index]))
    }

    func addNode(_ machine: Machine) {
        let node = NodeObject(
            facts: NodeFacts(
                name: machine.name,
                uid: "n\(self.number())",
                labels: ["zone": "z"],
                kubeletVersion: "v1.36.0"
            ),
            version: self.nextVersion()
        )
        self.api.nodes.append(node)
        self.changed(.node(node))
    }

    func removeNode(_ name: String) {
        guard let index = self.api.nodes.firstIndex(where: { $0.facts.name == name }) else { return }
        self.api.nodes.remove(at: index)
        self.changed(.nodeGone(name: name, version: self.nextVersion()))
    }

    func applyBudget(_ role: PodRole, minAvailable: Int, policy: String?) -> BudgetObject {
        let version = self.nextVersion()
        let result: BudgetObject
        if let index = self.api.budgets.firstIndex(where: { $0.role == role }) {
            if self.api.budgets[index].minAvailable != minAvailable || self.api.budgets[index].policy != policy {
                self.api.budgets[index].minAvailable = minAvailable
                self.api.budgets[index].policy = policy
                self.api.budgets[index].generation += 1
                self.api.budgets[index].version = version
                self.changed(.budget(self.api.budgets[index]))
            }
            result = self.api.budgets[index]
        } else {
            result = BudgetObject(role: role, version: version, minAvailable: minAvailable, policy: policy)
            self.api.budgets.append(result)
            self.changed(.budget(result))
        }
        self.disruptionController()
        return result
    }

    func storeBudgetStatus(_ role: PodRole, _ change: (inout BudgetObject) -> Void) {
        guard let index = self.api.budgets.firstIndex(where: { $0.role == role }) else { return }
        change(&self.api.budgets[index])
        self.api.budgets[index].version = self.nextVersion()
        self.changed(.budget(self.api.budgets[index]))
    }
}
