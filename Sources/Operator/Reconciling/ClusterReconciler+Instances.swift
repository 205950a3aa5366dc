internal import InstanceAPI
internal import ClusterPlanning
internal import Foundation
internal import JSON
internal import KubernetesClient
internal import Logging
internal import PostgresClusterAPI

// What exists for a cluster and its instances, and the talk with them.
extension ClusterReconciler {
    // MARK: Objects

    /// Makes what is there once per cluster.
    ///
    /// Remembered for this version of the spec, so that it costs nothing later.
    func ensureBase(
        _ cluster: PostgresCluster,
        uid: String,
        objects: ClusterObjects,
        runtime: ClusterRuntime,
        key: ObjectKey
    ) async throws {
        _ = try await self.credentials.ensure(for: key, objects: objects, ownerUID: uid, now: Date())
        let phase = cluster.status?.transition?.phase
        guard phase != .demoting, phase != .promoting, cluster.validate().isEmpty else { return }
        let version = "\(uid)/\(cluster.metadata.generation ?? 0)"
        let names = objects.names
        let isComplete =
            self.state.services.entry(names.primaryService, of: key) != nil
            && self.state.services.entry(names.replicasService, of: key) != nil
            && self.state.leases.entry(names.lease, of: key) != nil
            && self.state.secrets.entry(names.applicationSecret, of: key) != nil
            && self.state.accounts.entry(names.serviceAccount, of: key) != nil
            && self.state.roles.entry(names.role, of: key) != nil
            && self.state.bindings.entry(names.roleBinding, of: key) != nil
        guard !isComplete || !runtime.isBaseEnsured(version) else { return }
        // Mostly, above all for a new leader, everything is as it was made: the caches say so without any request.
        if isComplete, self.isBaseAsWanted(objects, uid: uid, key: key) { return runtime.baseEnsured(version) }
        // The Lease is made here and written by instances only. One that is missing was deleted: whoever held it has
        // to be waited for, which its instances and the planner do by watching the new one for a whole duration.
        let password = ClusterObjects.makePassword()
        let documents: [(ResourceType, JSONValue, isUpdated: Bool)] = [
            (Lease.resourceType, objects.lease, false),
            (ServiceAccount.resourceType, objects.serviceAccount, true),
            (Role.resourceType, objects.role, true),
            (RoleBinding.resourceType, objects.roleBinding, true),
            (Secret.resourceType, objects.applicationSecret(password: password), false),
            (Service.resourceType, objects.primaryService, true),
            (Service.resourceType, objects.replicasService, true),
        ]
        for (type, document, isUpdated) in documents {
            try await self.writer.ensure(type, document, ownerUID: uid, isUpdated: isUpdated)
        }
        runtime.baseEnsured(version)
    }

    /// Whether what was made once is ours, and as it would be made now.
    ///
    /// An answer that is wrongly no costs requests only.
    private func isBaseAsWanted(_ objects: ClusterObjects, uid: String, key: ObjectKey) -> Bool {
        func isAsWanted(_ found: OwnedFacts?, _ wanted: OwnedFacts?) -> Bool {
            guard let found, let wanted else { return false }
            return found.owners.contains(uid) && found.contents == wanted.contents
        }
        let (state, names) = (self.state, objects.names)
        let lease = state.leases.entry(names.lease, of: key)?.value.lease.metadata
        return lease?.ownerReferences?.contains { $0.uid == uid } == true
            && state.secrets.entry(names.applicationSecret, of: key)?.value.owners.contains(uid) == true
            && isAsWanted(
                state.services.entry(names.primaryService, of: key)?.value,
                (try? objects.primaryService.decode(Service.self)).map { OwnedFacts($0) }
            )
            && isAsWanted(
                state.services.entry(names.replicasService, of: key)?.value,
                (try? objects.replicasService.decode(Service.self)).map { OwnedFacts($0) }
            )
            && isAsWanted(
                state.accounts.entry(names.serviceAccount, of: key)?.value,
                (try? objects.serviceAccount.decode(ServiceAccount.self)).map { OwnedFacts($0) }
            )
            && isAsWanted(
                state.roles.entry(names.role, of: key)?.value,
                (try? objects.role.decode(Role.self)).map { OwnedFacts($0) }
            )
            && isAsWanted(
                state.bindings.entry(names.roleBinding, of: key)?.value,
                (try? objects.roleBinding.decode(RoleBinding.self)).map { OwnedFacts($0) }
            )
    }

    /// Makes Secrets, volume claims and pods that are missing.
    ///
    /// Answers whether something was made.
    func ensureInstances(
        _ plan: ClusterPlan,
        facts: ClusterFacts,
        objects: ClusterObjects,
        key: ObjectKey
    ) async throws -> Bool {
        var hasWritten = false
        for instance in plan.instances {
            try await self.ensureSecret(of: instance.name, facts: facts, objects: objects, key: key)
            if instance.createsVolume {
                try await self.writer.createClaim(objects.volumeClaim(instance.name), of: key)
                hasWritten = true
            }
            if instance.createsPod {
                var avoided: [String: String] = [:]
                for node in instance.avoidedNodes {
                    avoided[node] = facts.nodes[node]?.labels["kubernetes.io/hostname"] ?? node
                }
                let pod = objects.pod(instance.name, avoiding: avoided, preferring: instance.preferredZone)
                try await self.writer.createPod(pod, of: key)
                hasWritten = true
            }
        }
        return hasWritten
    }

    private func ensureSecret(of instance: String, facts: ClusterFacts, objects: ClusterObjects, key: ObjectKey)
        async throws
    {
        let name = objects.names.certificateSecret(ofInstance: instance)
        let now = Date()
        let entry = self.state.secrets.entry(name, of: key)
        // A wrong spec makes nothing new, but certificates end all the same.
        guard let credentials = self.credentials.known(for: key), facts.problems.isEmpty || entry != nil else { return }
        if let handedOut = entry.flatMap({ HandedOut($0.value.annotations) }),
            !handedOut.isOutdated(credentials.authorities, lifetimes: self.credentials.lifetimes, now: now)
        {
            return
        }
        let (values, handedOut) = try self.credentials.instanceSecret(
            instance,
            objects: objects,
            authorities: credentials.authorities,
            now: now
        )
        let document = objects.secret(
            name,
            labels: objects.instanceLabels(instance),
            annotations: handedOut.annotations,
            values: values
        )
        try await self.writer.applySecret(document, of: key)
    }

    /// Reads, once per volume, where it can be reached from.
    ///
    /// Answers whether there was anything to read.
    func readVolumes(of key: ObjectKey) async throws -> Bool {
        let names = self.state.claims.entries(of: key).values.compactMap(\.value.volumeName)
            .filter { self.state.volumeReach($0) == nil }
        guard !names.isEmpty else { return false }
        return try await withThrowingTaskGroup(of: Bool.self) { group in
            for name in names {
                group.addTask {
                    guard let volume = try await self.writer.volume(name) else { return false }
                    self.state.setVolumeReach(name, VolumeReach(volume))
                    return true
                }
            }
            return try await group.reduce(false) { $0 || $1 }
        }
    }

    // MARK: Talk

    /// Keeps a stream of reports open to each instance that matters now.
    func openStreams(_ plan: ClusterPlan, facts: ClusterFacts, runtime: ClusterRuntime, key: ObjectKey) {
        var wanted: [String: InstanceTarget] = [:]
        for instance in plan.watched {
            guard let pod = facts.pods[instance], let address = pod.address, !pod.isFinished else { continue }
            wanted[instance] = InstanceTarget(cluster: key, instance: instance, podUID: pod.uid, address: address)
        }
        runtime.reconcileStreams(wanted: wanted) { target in
            // Not a child of the reconciliation, which ends long before it: the runtime keeps and cancels it.
            Task { await self.follow(target, runtime: runtime) }
        }
    }

    private func follow(_ target: InstanceTarget, runtime: ClusterRuntime) async {
        var delay = Duration.milliseconds(100)
        var place = await self.placeForFirstHearing(runtime)
        defer { place?.leave() }
        while !Task.isCancelled {
            let began = ContinuousClock.now
            let first = place
            do {
                try await self.access.watch(target) { report in
                    first?.leave()
                    guard case .status(let status) = report else {
                        if case .position(let position) = report {
                            let isNews = runtime.report(position, of: target.instance, podUID: target.podUID)
                            if isNews { self.wake(target.cluster, nil) }
                        }
                        return
                    }
                    // An address may be somebody else's by now.
                    guard status.podUID == target.podUID, status.instance == target.instance else { return }
                    if runtime.report(InstanceFacts(status), of: target.instance) { self.wake(target.cluster, nil) }
                }
            } catch {
                self.logger.debug(
                    "Stream of an instance ended",
                    metadata: self.metadata(target.cluster)
                        .merging(
                            [LogKey.instance: "\(target.instance)", LogKey.error: "\(error)"]
                        ) { $1 }
                )
            }
            first?.leave()
            place = nil
            if Task.isCancelled { return }
            runtime.forgetReport(of: target.instance, podUID: target.podUID)
            self.wake(target.cluster, nil)
            delay = began.duration(to: .now) > .seconds(5) ? .milliseconds(100) : min(delay * 2, .seconds(2))
            try? await Task.sleep(for: delay)
        }
    }

    /// Waits for a place among the first connections, if this is one; it is lost after a second, so that an instance
    /// that does not answer holds up nobody for long.
    private func placeForFirstHearing(_ runtime: ClusterRuntime) async -> FirstHearings.Place? {
        guard runtime.queueFirstHearing() else { return nil }
        let place = await self.hearings.enter()
        runtime.beginFirstHearing()
        // Not structured: it outlives whoever connects.
        Task {
            try? await Task.sleep(for: .seconds(1))
            place.leave()
        }
        return place
    }

    /// Asks an instance for something; the answer is looked at in the next round, which it triggers.
    func start(_ call: InstanceCall, facts: ClusterFacts, runtime: ClusterRuntime, key: ObjectKey) {
        let departed = facts.departed.flatMap { $0.instance == call.instance ? $0 : nil }
        let pod = facts.pods[call.instance]
        guard let uid = departed?.podUID ?? pod?.uid, let address = departed?.address ?? pod?.address else { return }
        let target = InstanceTarget(cluster: key, instance: call.instance, podUID: uid, address: address)
        let epoch = ClusterRuntime.CallEpoch(facts.status)
        let deadline = self.deadline(of: call, facts: facts)
        runtime.start(call) { attempt in
            // Not a child of the reconciliation, which goes on meanwhile: the runtime keeps and cancels it.
            Task {
                let outcome = await self.perform(call, on: target, attempt: attempt, deadline: deadline)
                guard !Task.isCancelled else { return }
                runtime.finish(call, outcome, epoch: epoch)
                self.wake(key, nil)
            }
        }
    }

    private func perform(_ call: InstanceCall, on target: InstanceTarget, attempt: Int, deadline: Duration) async
        -> CallOutcome
    {
        do {
            return try await self.access.perform(call, on: target, attempt: attempt, deadline: deadline)
        } catch {
            let details: Logger.Metadata = [
                LogKey.instance: "\(call.instance)", LogKey.call: "\(call.name)", LogKey.error: "\(error)",
            ]
            // The first tries tell what is the matter; the others would only repeat it.
            self.logger.log(
                level: attempt <= 3 ? .info : .debug,
                "Call to an instance failed",
                metadata: self.metadata(target.cluster).merging(details) { $1 }
            )
            let wait = min(self.configuration.callRetryDelay * (1 << min(attempt - 1, 4)), self.longestWait(for: call))
            return CallOutcome(.failed(reason: "\(error)", retryAt: Date().addingTimeInterval(wait.inSeconds)))
        }
    }

    /// While nobody can write, an instance that did not answer is asked again soon.
    private func longestWait(for call: InstanceCall) -> Duration {
        switch call {
        case .hear, .withhold, .standstill, .demote, .promote: .seconds(1)
        case .checkpoint, .prepare, .warm, .awaitReplay, .inspect: .seconds(5)
        case .restart: .seconds(10)
        }
    }

    private func deadline(of call: InstanceCall, facts: ClusterFacts) -> Duration {
        switch call {
        case .demote: facts.spec.demoteTimeout
        case .promote: .seconds(30)
        case .awaitReplay:
            facts.status.transition?.phase == .demoting ? facts.spec.demoteTimeout : facts.spec.prepareTimeout
        case .checkpoint, .prepare: facts.spec.prepareTimeout
        case .warm: min(.seconds(40), facts.spec.prepareTimeout / 2)
        case .inspect, .standstill: .seconds(5)
        case .restart: .seconds(120)
        case .hear, .withhold: .seconds(2)
        }
    }
}

extension InstanceCall {
    var name: String {
        switch self {
        case .checkpoint: "checkpoint"
        case .prepare: "prepare"
        case .warm: "warm"
        case .awaitReplay: "awaitReplay"
        case .demote: "demote"
        case .promote: "promote"
        case .inspect: "inspect"
        case .hear: "hear"
        case .withhold: "withhold"
        case .standstill: "standstill"
        case .restart: "restart"
        }
    }
}

extension Duration {
    var inSeconds: Double {
        let (seconds, attoseconds) = self.components
        return Double(seconds) + Double(attoseconds) / 1e18
    }

    var inMilliseconds: Int64 {
        let (seconds, attoseconds) = self.components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }
}
