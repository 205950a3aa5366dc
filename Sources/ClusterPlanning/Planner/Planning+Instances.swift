internal import PostgresClusterAPI
internal import struct Foundation.Date

// Who belongs to the cluster, and what has to exist for it.
extension Planning {
    // MARK: Membership

    /// Decides who joins, who has joined and who leaves, one step at a time.
    mutating func planMembership() {
        guard self.plan.decision == nil, let primary = self.status.primary else { return }
        if self.status.systemIdentifier == nil {
            guard self.facts.isPrimaryServing, let found = self.facts.report(of: primary)?.systemIdentifier else {
                return
            }
            self.decide(PlannedEvent("Bootstrapped", "\(primary) is primary")) { $0.systemIdentifier = found }
            return
        }
        if let joined = self.status.joining.first(where: { self.hasJoined($0) }) {
            self.decide(PlannedEvent("InstanceJoined", "\(joined) streams and is a member")) { status in
                status.joining.removeAll { $0 == joined }
                status.members.append(joined)
            }
            return
        }
        guard self.facts.problems.isEmpty else { return }
        if self.isReplicaHeldByCount, !self.isReplacementComplete { self.needsExtraInstance = true }
        self.planReplacement()
        if self.needsInstanceForRollout { self.needsExtraInstance = true }
        // One that has never joined has nothing that others lack: another one takes its place.
        if let stuck = self.status.joining.first(where: { self.cannotJoin($0) || self.isInTheWay($0) }) {
            self.giveUp(joining: stuck)
            return
        }
        if let lost = self.status.members.first(where: { $0 != primary && self.hasLostVolume($0) }) {
            self.decide(PlannedEvent(warning: "VolumeLost", "\(lost) has lost its volume and is replaced")) { status in
                status.members.removeAll { $0 == lost }
            }
            return
        }
        let wanted = self.wantedInstances
        let count = self.facts.instances.count
        if count < wanted, self.facts.isPrimaryServing {
            let first = self.status.lastInstanceNumber + 1
            let numbers = first..<(first + wanted - count)
            let names = numbers.map { self.facts.names.instance($0) }
            let purpose = self.plan.replacedInstance.map { ", to take the place of \($0)" } ?? ""
            self.decide(PlannedEvent("InstancesAdded", names.joined(separator: ", ") + purpose)) { status in
                status.joining.append(contentsOf: names)
                status.lastInstanceNumber = numbers.upperBound - 1
            }
        } else if count > wanted || self.hasUselessExtraInstance, self.facts.isPrimaryServing,
            let leaving = self.nextToLeave
        {
            // Not while the primary may be lost: the one too many may be the one that takes over.
            self.decide(PlannedEvent("InstanceRemoved", "\(leaving) is one more than needed")) { status in
                status.members.removeAll { $0 == leaving }
                status.joining.removeAll { $0 == leaving }
            }
        }
    }

    /// Whether a replica has to leave its node and cannot, because commits need it: then another one comes first.
    private var isReplicaHeldByCount: Bool {
        guard self.facts.spec.isSynchronousRequired, self.facts.spec.instances - 1 <= self.facts.spec.synchronousCount
        else { return false }
        return self.status.members.contains { member in
            member != self.status.primary
                && (self.facts.rank(ofNode: self.facts.pods[member]?.node) ?? .fresh) >= .announced
        }
    }

    private var wantedInstances: Int {
        // One more for each one that is stuck, until as many as are wanted are well without them; then they are too many.
        let members = self.status.members
        let isOneMissing = members.count { self.facts.pods[$0]?.isReady == true } < self.facts.spec.instances
        let stuck = isOneMissing ? members.count { self.isStuck($0) } : 0
        return self.facts.spec.instances + max(self.needsExtraInstance ? 1 : 0, stuck)
    }

    /// Whether an instance cannot come back where its volume is, for as long as one waits for a fresh node.
    func isStuck(_ instance: String) -> Bool {
        guard instance != self.status.primary, let pod = self.facts.pods[instance], let since = pod.notReadySince else {
            return false
        }
        guard self.now >= since.addingTimeInterval(self.facts.spec.freshNodeWait.seconds) else { return false }
        return pod.isUnschedulable || (pod.node != nil && self.facts.rank(ofNode: pod.node) == .leaving)
    }

    /// Whether one that is joining waits for a place that another one would not have to wait for.
    ///
    /// Without a volume that ties it to a place it can go anywhere, so another one could do no better; making one after
    /// another would only leave volumes behind.
    private func cannotJoin(_ instance: String) -> Bool {
        guard self.isStuck(instance) else { return false }
        if self.facts.pods[instance]?.node != nil { return true }
        guard let volume = self.facts.volumes[instance], volume.isBound else { return false }
        return volume.zones != nil || volume.nodes != nil
    }

    private mutating func giveUp(joining instance: String) {
        self.decide(PlannedEvent(warning: "InstanceStuck", "\(instance) cannot join and is replaced")) { status in
            status.joining.removeAll { $0 == instance }
        }
    }

    /// Gives the place of one that has never joined to a primary that finds no other.
    ///
    /// Answers whether it did.
    mutating func makeRoom() -> Bool {
        guard let joining = self.status.joining.first(where: { self.isInTheWay($0) }) else { return false }
        self.giveUp(joining: joining)
        return true
    }

    /// Whether an instance sits where the primary could live, which finds no other place: and without a primary it
    /// cannot even join.
    private func isInTheWay(_ instance: String) -> Bool {
        guard let primary = self.status.primary, self.facts.pods[primary]?.isUnschedulable == true,
            let volume = self.facts.volumes[primary], let node = self.facts.pods[instance]?.node
        else { return false }
        return volume.isReachable(fromNode: node, zone: self.facts.zone(ofNode: node))
    }

    private func hasJoined(_ instance: String) -> Bool {
        guard let primary = self.status.primary, self.facts.isPrimaryServing,
            let primaryReport = self.facts.report(of: primary), let timeline = primaryReport.timeline,
            let report = self.facts.report(of: instance), self.facts.pods[instance]?.isReady == true
        else { return false }
        // From the moment it is a member it may be promoted, so the primary must be asking for its promises by then.
        guard let acknowledged = primaryReport.acknowledged, acknowledged.term == self.status.term,
            acknowledged.incarnation == primaryReport.incarnation, acknowledged.instances.contains(instance)
        else { return false }
        return report.role == .replica && report.isStreaming && report.timeline == timeline
    }

    private func hasLostVolume(_ instance: String) -> Bool {
        self.facts.volumes[instance] == nil && self.facts.pods[instance] == nil
    }

    /// Who goes when there are too many: never the primary, first who is not well, then who is on the worst node,
    /// then who shares a zone.
    private var nextToLeave: String? {
        if let unwanted = self.joiningInVain { return unwanted }
        // While somebody joins, or the primary has yet to move, nobody leaves.
        // One that joins and finds no place is the one too many.
        let isAnybodyComing = self.status.joining.contains { self.facts.pods[$0]?.isUnschedulable != true }
        guard !isAnybodyComing || self.facts.instances.count > self.facts.spec.instances + 1,
            self.plan.move == .settled || self.hasUselessExtraInstance || self.isReplacementComplete
        else { return nil }
        return self.facts.instances.filter { $0 != self.status.primary }
            .max { left, right in
                self.leavingKey(left) < self.leavingKey(right)
            }
    }

    /// One that has not joined yet, and whom nobody needs any more: what it was made for was taken back.
    private var joiningInVain: String? {
        let members = self.status.members
        guard self.plan.move == .settled, members.count >= self.facts.spec.instances,
            members.allSatisfy({ member in
                self.facts.pods[member]?.isReady == true
                    && (self.facts.rank(ofNode: self.facts.pods[member]?.node) ?? .leaving) < .announced
            })
        else { return nil }
        return self.status.joining.last
    }

    private func leavingKey(_ instance: String) -> (Int, Int, Int, Int) {
        let pod = self.facts.pods[instance]
        let zone = self.facts.zone(ofNode: pod?.node)
        // An instance alone in its zone is worth more than one that shares it.
        let isAlone = !self.facts.pods.values.contains { other in
            other.instance != instance && self.facts.zone(ofNode: other.node) == zone
        }
        return (
            pod?.isReady == true ? 0 : 1, (self.facts.rank(ofNode: pod?.node) ?? .leaving).rawValue,
            isAlone ? 0 : 1, self.facts.names.number(ofInstance: instance) ?? 0
        )
    }

    // MARK: Existence

    mutating func planInstances() {
        let instances = self.facts.instances
        // Only who has no place yet needs one.
        let isEverybodyPlaced = instances.allSatisfy { self.facts.pods[$0]?.node != nil }
        let avoiding = isEverybodyPlaced ? NodesToAvoid() : self.nodesToAvoid
        for instance in instances {
            let pod = self.facts.pods[instance]
            let volume = self.facts.volumes[instance]
            let isNew = self.status.joining.contains(instance) || self.status.systemIdentifier == nil
            self.plan.instances.append(
                DesiredInstance(
                    name: instance,
                    createsVolume: volume == nil && isNew && self.facts.problems.isEmpty,
                    createsPod: pod == nil && self.facts.problems.isEmpty
                        && (volume.map { !$0.isTerminating } ?? isNew),
                    avoidedNodes: pod == nil ? self.avoidedNodes(for: instance, among: avoiding) : [],
                    preferredZone: pod == nil ? self.preferredZone(for: instance) : nil
                )
            )
            guard let pod else { continue }
            self.planDeletion(of: pod, avoiding: avoiding)
        }
        // Names that were given out and are in no list any more: dropped from the status before anything was deleted.
        // During a transition nothing is taken away, but for what keeps a lost primary from coming up again.
        let isPlaceWanted =
            self.status.transition?.phase == .fencing
            && self.status.primary.flatMap { self.facts.pods[$0] }?.isUnschedulable == true
        guard self.status.transition == nil || isPlaceWanted, self.plan.decision == nil else { return }
        var leftovers = self.facts.pods.keys.filter { !instances.contains($0) }
        leftovers += self.facts.volumes.keys.filter { !instances.contains($0) && self.facts.pods[$0] == nil }
        self.plan.removals = leftovers.sorted()
            .filter { name in
                guard let number = self.facts.names.number(ofInstance: name) else { return false }
                return number <= self.status.lastInstanceNumber
            }
    }

    private mutating func planDeletion(of pod: PodFacts, avoiding: NodesToAvoid) {
        // Nobody is left who could confirm the end of the pod, or somebody vouches for it.
        let isNodeGone =
            pod.node.map { name in
                self.facts.nodes[name]?.taints.contains { $0.key == "node.kubernetes.io/out-of-service" } ?? true
            } ?? false
        if pod.isTerminating {
            guard isNodeGone else { return }
            self.plan.deletions.append(PodReference(instance: pod.instance, uid: pod.uid, isForced: true))
        } else if pod.isFinished || isNodeGone {
            self.plan.deletions.append(PodReference(instance: pod.instance, uid: pod.uid, isForced: isNodeGone))
        } else if pod.node == nil, pod.isUnschedulable,
            pod.avoidedNodes != self.avoidedNodes(for: pod.instance, among: avoiding)
        {
            // It was told to stay away from nodes that it could have by now, or waits for one that leaves.
            self.plan.deletions.append(PodReference(instance: pod.instance, uid: pod.uid))
        }
    }

    /// The nodes a new pod must stay away from: all that will go, or, when the volume can be reached from no other,
    /// those that are going.
    private func avoidedNodes(for instance: String, among nodes: NodesToAvoid) -> Set<String> {
        let volume = self.facts.volumes[instance]
        let hasBetter = nodes.others.contains { name in
            !nodes.taken.contains { $0.node == name && $0.instance != instance }
                && (volume.map { $0.isReachable(fromNode: name, zone: self.facts.zone(ofNode: name)) } ?? true)
        }
        return hasBetter ? nodes.announced : nodes.leaving
    }

    /// The nodes by what they are good for, and who is there: the same for all instances.
    private struct NodesToAvoid {
        /// Those on which a new pod could go.
        var others: [String] = []
        /// Those that will go.
        var announced: Set<String> = []
        /// Those of them that are going.
        var leaving: Set<String> = []
        var taken: [(instance: String, node: String)] = []
    }

    private var nodesToAvoid: NodesToAvoid {
        var nodes = NodesToAvoid()
        for (name, assessment) in self.facts.assessments {
            if assessment.rank < .announced { nodes.others.append(name) } else { nodes.announced.insert(name) }
            if assessment.rank >= .leaving { nodes.leaving.insert(name) }
        }
        for pod in self.facts.pods.values {
            if let node = pod.node { nodes.taken.append((pod.instance, node)) }
        }
        return nodes
    }

    // MARK: Labels and endpoint

    /// The role labels, old primary first: for a moment nobody is `master`, never two are.
    mutating func planLabels() {
        guard let primary = self.status.primary else { return }
        for pod in self.facts.pods.values.filter({ $0.instance != primary && $0.role != .replica })
            .sorted(by: { $0.instance < $1.instance })
        {
            self.plan.labels.append(RoleChange(instance: pod.instance, uid: pod.uid, role: .replica))
        }
        guard let pod = self.facts.pods[primary], self.isPromoted else { return }
        if pod.role != .master, self.facts.primaryBudget != nil {
            self.plan.labels.append(RoleChange(instance: primary, uid: pod.uid, role: .master))
        }
    }

    /// Whether the instance that should be primary is, in the present term.
    private var isPromoted: Bool {
        if self.facts.isPrimaryServing { return true }
        guard let primary = self.status.primary, let transition = self.status.transition,
            transition.phase >= .promoting
        else { return false }
        return self.facts.calls.contains { call, state in
            guard case .promote(primary, self.status.term, _) = call else { return false }
            return state.isDone
        }
    }

    /// The endpoint follows the Lease: sent when it is taken, so that it travels while PostgreSQL promotes.
    mutating func planEndpoint() {
        guard let primary = self.status.primary else { return }
        guard let pod = self.facts.pods[primary], let address = pod.address, !pod.isFinished else {
            // An old primary that stops keeps the endpoint until there is a new one: one update, not two.
            if self.facts.pods[primary] == nil, self.status.transition == nil { self.plan.endpoint = .nobody }
            return
        }
        let holdsLease = self.facts.lease?.isHeld(by: primary, term: self.status.term) ?? false
        guard holdsLease || self.isPromoted else { return }
        self.plan.endpoint = .instance(primary, address: address, node: pod.node, podUID: pod.uid)
    }
}
