internal import PostgresClusterAPI
internal import KubernetesClient
internal import struct Foundation.Date

// What the status says beside the decisions.
extension Planning {
    mutating func present() {
        // While the primary stops, every write of the status would be in the way of the one that counts.
        if self.status.transition?.phase == .demoting, self.plan.decision == nil { return }
        var status = self.plan.status
        status.observedGeneration = self.facts.generation
        status.selector = Labels.instancesSelector(cluster: self.facts.name)
        status.replicas = self.facts.pods.count
        status.primaryNode = self.facts.primaryPod?.node
        let standbys = self.standbysOfPrimary
        status.instances = self.facts.instances.map { self.summary(of: $0, standbys: standbys) }
        status.readyInstances = self.facts.instances.count { self.facts.pods[$0]?.isReady == true }
        if self.facts.isPrimaryServing, let primary = self.status.primary, let report = self.facts.report(of: primary),
            report.appliedSynchronous != nil
        {
            status.synchronous?.weakerCommits = report.weakerCommits
            status.synchronous?.cancelledWaits = report.cancelledWaits
            let new = (report.cancelledWaits ?? 0) - (self.status.synchronous?.cancelledWaits ?? 0)
            if new > 0 {
                self.plan.events.append(
                    PlannedEvent(
                        warning: "SynchronousWaitCancelled",
                        "\(new) sessions of \(primary) gave up waiting for a standby: a failover may lose their commits"
                    )
                )
            }
        } else {
            status.synchronous?.cancelledWaits = self.status.synchronous?.cancelledWaits
            status.synchronous?.weakerCommits = self.status.synchronous?.weakerCommits
        }
        self.presentDeclared(in: &status)
        self.presentConditions(in: &status)
        self.plan.status = status
    }

    private func summary(
        of instance: String,
        standbys: [String: InstanceFacts.Standby]?
    ) -> PostgresClusterStatus.InstanceSummary {
        let standby = standbys?[instance]
        let pod = self.facts.pods[instance]
        let report = self.facts.report(of: instance)
        let before = self.status.instance(named: instance)
        if self.facts.departed?.instance == instance, report == nil, var before {
            // Only this says where it was, and it may still have to be asked to stop. The next life speaks once it has the
            // volume, when the one before is over.
            before.ready = false
            return before
        }
        // What is not watched at rest keeps what was said of it, as long as it is the same pod.
        let isSame = before?.podUID == pod?.uid
        let role: InstanceRole? =
            switch report?.role {
            case .primary: .primary
            case .replica: .replica
            case .starting, .demoted, .stopped: nil
            case nil: isSame ? before?.role : nil
            }
        return PostgresClusterStatus.InstanceSummary(
            name: instance,
            podUID: pod?.uid,
            address: pod?.address,
            node: pod?.node,
            zone: self.facts.zone(ofNode: pod?.node),
            role: pod == nil ? nil : role,
            timeline: report?.timeline ?? (isSame ? before?.timeline : nil),
            syncState: standby?.syncState
                ?? (isSame && !self.facts.isPrimaryServing ? before?.syncState : nil),
            lagBytes: standby?.lagBytes
                ?? (isSame && !self.facts.isPrimaryServing ? before?.lagBytes : nil),
            ready: pod?.isReady ?? false,
            settingsGeneration: self.settledGeneration(of: instance)
        )
    }

    /// What the primary's `pg_stat_replication` says.
    private var standbysOfPrimary: [String: InstanceFacts.Standby]? {
        guard self.facts.isPrimaryServing, let primary = self.status.primary else { return nil }
        return self.facts.report(of: primary)?.standbys
    }

    private mutating func presentConditions(in status: inout PostgresClusterStatus) {
        let generation = self.facts.generation
        let now = self.now
        func set(_ type: ConditionType, _ value: Bool, _ reason: ConditionReason, _ message: String) {
            status.conditions.set(
                type,
                ConditionStatus(value),
                reason: reason,
                message: message,
                observedGeneration: generation,
                now: Timestamp(now)
            )
        }
        let isServing = self.hasReadyPrimary
        let wanted = self.facts.spec.instances
        let ready = status.readyInstances
        if !isServing {
            let isNew = status.systemIdentifier == nil
            set(.ready, false, isNew ? .bootstrapping : .noPrimary, isNew ? "no database yet" : "no primary is ready")
        } else if ready < wanted {
            set(.ready, false, .instancesMissing, self.readiness(ready, of: wanted))
        } else {
            set(.ready, true, .asDeclared, "\(ready) of \(wanted) instances are ready")
        }
        if let transition = status.transition {
            let reason: ConditionReason = transition.kind == .failover ? .failover : .switchover
            set(
                .progressing,
                true,
                reason,
                "\(transition.from) to \(transition.to ?? "?"): \(transition.phase.rawValue)"
            )
        } else if let rollout = self.rolloutProgress {
            set(.progressing, true, rollout.reason, SchemaLimits.cut(rollout.message))
        } else if ready < wanted || !status.joining.isEmpty {
            set(.progressing, true, .creatingInstances, "\(ready) of \(wanted) instances are ready")
        } else if status.members.count > wanted {
            set(.progressing, true, .removingInstances, "\(status.members.count) instances, \(wanted) are wanted")
        } else if let growth = self.growthProgress {
            set(.progressing, true, .growingVolumes, growth)
        } else {
            set(.progressing, false, .asDeclared, "nothing is under way")
        }
        self.presentDegraded(set, declared: self.declarationObstacle(in: status))
        self.presentMovable(set)
        switch self.plan.move {
        case .settled: set(.readyForEviction, true, .nothingToMove, "no primary is on a node that leaves")
        case .moving: set(.readyForEviction, false, .moving, "the primary moves")
        case .blocked(let reason, let message):
            if self.status.conditions[.readyForEviction]?.reason != reason {
                self.plan.events.append(
                    PlannedEvent(warning: "MoveBlocked", SchemaLimits.cut("\(reason.rawValue): \(message)"))
                )
            }
            set(.readyForEviction, false, reason, message)
        }
    }

    private mutating func presentDegraded(
        _ set: (ConditionType, Bool, ConditionReason, String) -> Void,
        declared: Obstacle?
    ) {
        func degrade(_ reason: ConditionReason, _ message: String) {
            if self.status.conditions[.degraded]?.reason != reason {
                self.plan.events.append(PlannedEvent(warning: reason.rawValue, SchemaLimits.cut(message)))
            }
            set(.degraded, true, reason, message)
        }
        if let problem = self.facts.problems.first {
            let more = self.facts.problems.count - 1
            degrade(.invalidSpec, problem.description + (more > 0 ? " (and \(more) more)" : ""))
        } else if let obstacle = self.facts.obstacle, obstacle.reason == .namespaceTerminating {
            degrade(obstacle.reason, obstacle.message)
        } else if let obstacle = self.plan.failoverObstacle {
            if self.status.conditions[.degraded]?.reason != obstacle.reason {
                self.plan.events.append(
                    PlannedEvent(
                        warning: "FailoverRefused",
                        SchemaLimits.cut("\(obstacle.reason.rawValue): \(obstacle.message)")
                    )
                )
            }
            set(.degraded, true, obstacle.reason, obstacle.message)
        } else if let obstacle = self.facts.obstacle {
            degrade(obstacle.reason, obstacle.message)
        } else if self.status.term == 0, !self.facts.volumes.isEmpty || !self.facts.pods.isEmpty {
            degrade(
                .unreadableStatus,
                "there are volumes of this cluster but no status: restore the status, or delete the volumes"
            )
        } else if let (instance, problem) = self.firstProblem {
            if self.facts.report(of: instance)?.isDiskFull == true {
                degrade(.diskFull, "\(instance): its volume is full, make room or the volume larger")
            } else {
                degrade(.instanceFailing, "\(instance): \(problem)")
            }
        } else if let refusal = self.settingsRefusal {
            degrade(refusal.reason, refusal.message)
        } else if let obstacle = self.synchronousObstacle {
            degrade(obstacle.reason, obstacle.message)
        } else if let pod = self.facts.pods.values.filter(\.isUnschedulable).min(by: { $0.instance < $1.instance }) {
            degrade(.unschedulable, "\(pod.instance): \(pod.schedulingProblem ?? "no node fits")")
        } else if let (instance, problem) = self.startProblem {
            degrade(.podNotStarting, "\(instance): \(problem)")
        } else if let (pooler, problem) = self.poolerProblem {
            degrade(.poolerNotStarting, "\(pooler): \(problem)")
        } else if let obstacle = self.facts.certificateProblem {
            degrade(obstacle.reason, obstacle.message)
        } else if let obstacle = declared {
            degrade(obstacle.reason, obstacle.message)
        } else if self.status.transition == nil, let replica = self.idleReplicas.first {
            // Mostly for a moment, after a restart of either side: no event.
            set(.degraded, true, .replicaNotStreaming, "\(replica) does not stream from the primary")
        } else if self.status.transition == nil, self.status.systemIdentifier != nil, !self.hasReadyPrimary {
            // Either it is back in a moment, or a failover begins.
            set(.degraded, true, .noPrimary, "\(self.status.primary ?? "the primary") is not ready")
        } else {
            set(.degraded, false, .asDeclared, "nothing is wrong")
        }
    }

    private var hasReadyPrimary: Bool {
        self.facts.primaryPod.map { $0.isReady && $0.role == .master } ?? false
    }

    /// How many are ready, and which are not.
    private func readiness(_ ready: Int, of wanted: Int) -> String {
        let others = self.facts.instances.filter { self.facts.pods[$0]?.isReady != true }
        let count = "\(ready) of \(wanted) instances are ready"
        return others.isEmpty ? count : "\(count), not \(others.sorted().joined(separator: ", "))"
    }

    private var startProblem: (String, String)? {
        self.facts.pods.values.lazy.compactMap { pod in pod.waiting.map { (pod.instance, $0) } }.min { $0.0 < $1.0 }
    }

    private var poolerProblem: (String, String)? {
        self.facts.poolers.values.lazy.compactMap { pooler in pooler.waiting.map { (pooler.name, $0) } }
            .min { $0.0 < $1.0 }
    }

    private var firstProblem: (String, String)? {
        for instance in self.facts.instances {
            if let problem = self.facts.report(of: instance)?.problem { return (instance, problem) }
        }
        return nil
    }
}
