internal import ClusterPlanning
internal import Fence
internal import KubernetesClient
internal import PostgresClusterAPI

/// Making things go wrong, and well again.
extension World {
    func faults() {
        self.after(self.random.between(self.scenario.faultInterval / 4, self.scenario.faultInterval * 7 / 4)) {
            guard self.isChaotic else { return }
            if let fault = self.random.pick(self.scenario.faults) { self.happen(fault) }
            self.faults()
        }
    }

    /// Trouble comes when it hurts most: when something was decided.
    func decided(_ status: PostgresClusterStatus) {
        guard self.isChaotic, self.random.chance(self.scenario.malice) else { return }
        guard let fault = self.random.pick(self.scenario.faults) else { return }
        let involved = [status.transition?.from, status.transition?.to, status.primary].compactMap(\.self)
        self.after(self.random.between(0, 150) * Self.millisecond) {
            guard self.isChaotic else { return }
            self.target = self.random.pick(involved)
            self.happen(fault)
            self.target = nil
        }
    }

    /// A decision for anybody, at any time, as a planner would make it that has lost its mind.
    func decideMadly() {
        guard self.isChaotic else { return }
        self.after(self.random.between(500, self.scenario.madness) * Self.millisecond) { self.decideMadly() }
        self.decideForNoReason()
    }

    private func decideForNoReason() {
        guard self.isChaotic else { return }
        var status = self.api.status
        guard !self.api.isDown, status.systemIdentifier != nil, let from = status.primary,
            let chosen = self.random.pick(status.members)
        else { return }
        self.note("FAULT", "\(chosen) is made primary of term \(status.term + 1) for no reason")
        let now = Timestamp(MachineClock.reference(self.now), precision: .microseconds)
        status.term += 1
        status.primary = chosen
        status.transition = Transition(
            kind: .failover,
            from: from,
            to: chosen,
            reason: .primaryLost,
            phase: .promoting,
            startedAt: now,
            phaseStartedAt: now
        )
        _ = self.writeStatus(status, over: self.api.cluster.version)
    }

    /// Undoes something after a while, if the chaos has not ended before and undone everything.
    private func later(_ low: Int, _ high: Int, _ action: @escaping () -> Void) {
        self.after(self.random.between(low, high) * Self.millisecond) {
            if self.isChaotic { action() }
        }
    }

    private func happen(_ fault: Fault) {
        self.mix(UInt64(self.random.below(1 << 16)))
        if self.scenario.isOperatorMad, self.random.chance(0.3) {
            // Best while somebody does not hear of it.
            self.after(self.random.between(0, 3000) * Self.millisecond) { self.decideForNoReason() }
        }
        switch fault {
        case .instanceKilled:
            guard let process = self.victim() else { return }
            self.note("FAULT", "\(process.instance): supervisor killed")
            process.machine.run { self.kill(process) }
        case .postgresKilled:
            guard let process = self.victim(), let postmaster = process.postmaster else { return }
            self.note("FAULT", "\(process.instance): PostgreSQL killed")
            process.machine.run { self.endPostgres(postmaster) }
        case .machineCrashed, .machineGone, .machineSuspended: self.happenToMachine(fault)
        case .machineCutOff, .pairCutOff, .controlPlaneCutOff, .apiCutOff, .peersCutOff, .oneWayCutOff, .operatorCutOff,
            .messagesLost, .messagesLate, .watchLags:
            self.happenToNetwork(fault)
        case .apiDown:
            guard !self.api.isDown else { return }
            self.note("FAULT", "API server down")
            self.api.isDown = true
            for watcher in self.api.watchers { self.breakOff(watcher) }
            self.later(500, 15_000) { self.api.isDown = self.api.isRestoring }
        case .operatorKilled, .twoLeaders: self.happenToOperator(fault)
        case .clockJumps:
            guard let index = self.machines.indices.randomElement(using: &self.random) else { return }
            self.machines[index].clock.wallOffset += self.random.between(-60_000, 60_000) * Self.millisecond
        case .supervisorFrozen:
            guard let process = self.victim(), !process.isFrozen else { return }
            self.note("FAULT", "\(process.instance): supervisor frozen")
            process.isFrozen = true
            self.later(200, 15_000) { process.thaw() }
        case .diskFull:
            guard let volume = self.random.pick(self.volumes.values.sorted { $0.instance < $1.instance }) else {
                return
            }
            self.note("FAULT", "\(volume.instance): disk full")
            volume.isFull = true
            self.later(500, 10_000) { volume.isFull = false }
        case .nodeCordoned, .cordonStorm, .nodeDrained, .everythingEvicted, .podDeleted, .leaseDeleted,
            .apiRestored, .durationChanged, .scaled:
            self.happenToObjects(fault)
        }
    }

    /// Somebody to hurt: the one that matters, half of the time.
    private func victim() -> InstanceModel? {
        if let target = self.target { return self.processes.first { $0.isAlive && $0.instance == target } }
        if self.random.chance(0.5), let primary = self.api.status.primary {
            return self.processes.first { $0.isAlive && $0.instance == primary }
        }
        return self.random.pick(self.processes.filter(\.isAlive))
    }

    private func happenToMachine(_ fault: Fault) {
        let usable = self.machines.filter { $0.isAlive && !$0.isSuspended }
        guard let machine = self.victim()?.machine ?? self.random.pick(usable), machine.isAlive, !machine.isSuspended
        else { return }
        switch fault {
        case .machineSuspended:
            self.note("FAULT", "\(machine.name): suspended")
            self.suspend(machine)
            self.later(200, 12_000) { self.resume(machine) }
        case .machineCrashed:
            self.note("FAULT", "\(machine.name): power lost")
            self.powerOff(machine)
            self.later(1000, 12_000) { self.powerOn(machine) }
        default:
            // Not more than there can be.
            guard self.machines.count(where: \.isGone) < 8 else { return }
            // A disk that goes with its machine may take the only data along.
            guard !self.scenario.hasLocalVolumes else { return }
            self.note("FAULT", "\(machine.name): gone for ever")
            self.powerOff(machine)
            machine.isGone = true
            self.after(self.random.between(2000, 15_000) * Self.millisecond) { self.removeNode(machine.name) }
            self.after(self.random.between(500, 8000) * Self.millisecond) { self.addMachine() }
        }
    }

    /// Nothing runs, so nothing is written either.
    ///
    /// Afterwards the watchdog comes first: what a commit could still do in
    /// the instant before is not modelled.
    private func suspend(_ machine: Machine) {
        machine.isSuspended = true
        for process in self.processes where process.machine === machine {
            if let postmaster = process.postmaster { self.stopAccepting(postmaster) }
        }
    }

    private func resume(_ machine: Machine) {
        guard machine.isSuspended else { return }
        for process in self.processes where process.machine === machine { process.watchdogWakes() }
        for process in self.processes where process.machine === machine {
            if let postmaster = process.postmaster, postmaster.isPrimary, postmaster.accepts {
                self.beginAccepting(postmaster)
            }
        }
        machine.resume()
    }

    func addMachine() {
        let number = self.machines.count + 1
        let machine = Machine(
            endpoint: Network.api + 1 + self.operators.count + self.machines.count,
            name: "m\(number)",
            clock: MachineClock(random: &self.random)
        )
        self.machines.append(machine)
        self.heardOf[machine.name] = self.now
        self.addNode(machine)
    }

    private func powerOff(_ machine: Machine) {
        for process in self.processes where process.machine === machine { self.kill(process) }
        machine.isAlive = false
        machine.isSuspended = false
        machine.deferred = []
    }

    private func powerOn(_ machine: Machine) {
        guard !machine.isGone else { return }
        machine.isAlive = true
        self.kubelet(machine)
    }

    private func happenToNetwork(_ fault: Fault) {
        let machines = self.machines.map(\.endpoint)
        switch fault {
        case .machineCutOff, .controlPlaneCutOff, .apiCutOff, .peersCutOff:
            guard let machine = self.victim()?.machine.endpoint ?? self.random.pick(machines) else { return }
            let operators = fault == .apiCutOff ? [] : self.operators.map(\.endpoint)
            let control = fault == .peersCutOff ? [] : [Network.api] + operators
            let peers = fault == .controlPlaneCutOff || fault == .apiCutOff ? [] : machines.filter { $0 != machine }
            let others = control + peers
            self.note("FAULT", "endpoint \(machine): cut off from \(others)")
            for other in others { self.cut(machine, other, isCut: true) }
            self.later(500, 15_000) { for other in others { self.cut(machine, other, isCut: false) } }
        case .pairCutOff, .oneWayCutOff:
            let all = [Network.api] + self.operators.map(\.endpoint) + machines
            guard let one = self.victim()?.machine.endpoint ?? self.random.pick(all),
                let other = self.random.pick(all.filter { $0 != one })
            else { return }
            self.note("FAULT", "endpoints \(one) and \(other): \(fault)")
            self.network.block(one, other, true)
            if fault == .pairCutOff { self.network.block(other, one, true) }
            self.later(500, 15_000) { self.cut(one, other, isCut: false) }
        case .operatorCutOff:
            guard let one = self.random.pick(self.operators)?.endpoint else { return }
            let others = self.random.chance(0.5) ? machines : [Network.api]
            self.note("FAULT", "operator \(one): cut off from \(others)")
            for other in others { self.cut(one, other, isCut: true) }
            self.later(500, 15_000) { for other in others { self.cut(one, other, isCut: false) } }
        case .messagesLost:
            self.note("FAULT", "messages get lost")
            self.network.loss = 0.05
            self.later(500, 8000) { self.network.loss = 0 }
        case .messagesLate:
            self.note("FAULT", "messages come late")
            self.network.lateness = 0.15
            self.later(500, 8000) { self.network.lateness = 0 }
        default:
            guard let watcher = self.random.pick(self.api.watchers.filter { !$0.isEnded }) else { return }
            self.note("FAULT", "watch of endpoint \(watcher.endpoint) lags")
            watcher.lag = self.random.between(50, 6000) * Self.millisecond
            self.later(500, 10_000) { watcher.lag = 0 }
        }
    }

    private func cut(_ one: Int, _ other: Int, isCut: Bool) {
        self.network.block(one, other, isCut)
        self.network.block(other, one, isCut)
    }

    private func happenToOperator(_ fault: Fault) {
        guard let leader = self.operators.first(where: \.isLeader),
            let other = self.operators.first(where: { $0 !== leader })
        else { return }
        switch fault {
        case .operatorKilled:
            self.note("FAULT", "\(leader.name): killed")
            leader.crash()
            self.later(500, 4000) { leader.start() }
            self.later(100, 5000) { if other.isAlive { other.lead(true) } else { self.electAnew() } }
        default:
            guard other.isAlive else { return }
            self.note("FAULT", "\(other.name) leads beside \(leader.name)")
            other.lead(true)
            self.later(50, 10_000) { leader.lead(false) }
        }
    }

    private func electAnew() {
        guard !self.operators.contains(where: \.isLeader) else { return }
        guard let one = self.operators.first(where: \.isAlive) else {
            return self.later(500, 1000) { self.electAnew() }
        }
        one.lead(true)
    }

    private func happenToObjects(_ fault: Fault) {
        guard !self.api.isRestoring else { return }
        switch fault {
        case .nodeCordoned: self.cordon(self.node(), for: 500...20_000)
        case .cordonStorm:
            for node in self.api.nodes.map(\.facts.name) where self.random.chance(0.6) {
                self.cordon(node, for: 100...6000)
            }
        case .nodeDrained:
            guard let node = self.node() else { return }
            self.cordon(node, for: 8000...20_000)
            self.drain(node, until: self.now + 15 * Self.second)
        case .everythingEvicted:
            self.evictEverything(until: self.now + self.random.between(0, 2000) * Self.millisecond)
        case .podDeleted:
            guard let pod = self.random.pick(self.api.pods) else { return }
            let isForced = self.random.chance(0.4)
            self.note("FAULT", "pod of \(pod.instance) deleted by hand\(isForced ? ", by force" : "")")
            self.deletePod(pod.instance, uid: pod.uid, gracePeriod: isForced ? 0 : 30 * Self.second)
        case .apiRestored:
            guard let backup = self.api.backup else {
                if self.api.status.systemIdentifier != nil, self.api.status.transition == nil {
                    self.api.backup = APIServer.Backup(
                        status: self.api.status,
                        lease: self.api.lease,
                        instances: self.api.claims.map(\.facts.instance)
                    )
                }
                return
            }
            self.api.backup = nil
            // One that forgets members needs a person to say who goes on.
            guard backup.status.members == self.api.status.members else { return }
            // What an operator makes from memory for one that the backup has never heard of, nobody takes away.
            guard backup.status.lastInstanceNumber == self.api.status.lastInstanceNumber else { return }
            // Nor can anybody find out that commits have waited for others since, or for nobody.
            guard
                backup.status.term != self.api.status.term
                    || backup.status.synchronous == self.api.status.synchronous
            else { return }
            self.note("FAULT", "API server stopped, to come back from a backup of term \(backup.status.term)")
            self.restoreAPI(from: backup)
        case .durationChanged:
            let seconds = self.random.pick([4, 6, Self.longestLease]) ?? 6
            self.note("FAULT", "the Lease shall last \(seconds) seconds")
            self.storeCluster { $0.leaseDuration = .seconds(seconds) }
        case .scaled:
            let change = self.random.chance(0.5) ? 1 : -1
            let instances = min(max(1, self.api.cluster.instances + change), self.scenario.maximumInstances)
            guard instances > self.scenario.spec.synchronousCount else { return }
            self.note("FAULT", "there shall be \(instances) instances")
            self.storeCluster { $0.instances = instances }
        default:
            guard self.random.chance(0.3) else { return }
            self.note("FAULT", "Lease deleted by hand")
            self.deleteLease()
        }
    }

    private func node() -> String? {
        if self.random.chance(0.6), let node = self.api.status.primary.flatMap({ self.api.pod($0)?.node }) {
            return node
        }
        return self.random.pick(self.api.nodes)?.facts.name
    }

    private func cordon(_ name: String?, for time: ClosedRange<Int>) {
        guard let name else { return }
        self.note("FAULT", "\(name): cordoned")
        self.updateNode(name) { $0.isUnschedulable = true }
        self.later(time.lowerBound, time.upperBound) {
            self.note("FAULT", "\(name): uncordoned")
            self.updateNode(name) { $0.isUnschedulable = false }
        }
    }

    private func evictEverything(until end: Int) {
        guard self.isChaotic else { return }
        if !self.api.isDown {
            for pod in self.api.pods { _ = self.evict(pod.instance, uid: pod.uid) }
        }
        let pause = self.random.between(5, 60) * Self.millisecond
        if self.now + pause < end { self.after(pause) { self.evictEverything(until: end) } }
    }

    /// What `kubectl drain` does: evicts, again and again.
    private func drain(_ node: String, until end: Int) {
        guard self.isChaotic, self.now < end else { return }
        if !self.api.isDown {
            for pod in self.api.pods where pod.node == node { _ = self.evict(pod.instance, uid: pod.uid) }
        }
        self.after(self.random.between(100, 2000) * Self.millisecond) { self.drain(node, until: end) }
    }

    /// A person, who is asked when a status from a backup does not tell who has been primary last: names the one with
    /// the newest history.
    func answerForHelp() {
        self.after(5 * Self.second) { self.answerForHelp() }
        let status = self.api.status
        guard status.conditions[.degraded]?.reason == .unreadableStatus else { return }
        let known = (status.members + status.joining).compactMap { self.volumes[$0] }
        let best = known.filter { $0.data != nil }.max { self.newness($0) < self.newness($1) }
        guard let best else { return }
        let wanted = "\(best.instance)@\(status.term)"
        guard self.api.cluster.failoverTo != wanted else { return }
        self.note("PERSON", "wants \(wanted)")
        self.storeCluster { $0.failoverTo = wanted }
    }

    private func newness(_ volume: Volume) -> (Int, UInt64) {
        // Pieces of history are numbered as they are made.
        (volume.data?.branches.last?.id ?? 0, volume.data?.end ?? 0)
    }

    /// The end of all trouble.
    func calm() {
        self.isChaotic = false
        self.note("FAULT", "no more")
        self.answerForHelp()
        self.network.heal()
        self.api.isDown = self.api.isRestoring
        for watcher in self.api.watchers { watcher.lag = 0 }
        for machine in self.machines {
            if machine.isSuspended { self.resume(machine) }
            if !machine.isAlive { self.powerOn(machine) }
        }
        for process in self.processes where process.isFrozen { process.thaw() }
        for volume in self.volumes.values { volume.isFull = false }
        for node in self.api.nodes { self.updateNode(node.facts.name) { $0.isUnschedulable = false } }
        for each in self.operators where !each.isAlive { each.start() }
        let leader = self.operators.first(where: \.isLeader) ?? self.operators[0]
        for each in self.operators where each !== leader { each.lead(false) }
        leader.lead(true)
    }
}
