internal import EventLoop
internal import Fence
package import InstanceAPI
internal import Logging
internal import PostgresClusterAPI
internal import PodProgram

/// What an instance tells about itself.
extension Supervisor {
    package func status() -> InstanceStatus {
        let now = BootTime.now
        let demotion = self.disk.demotion
        var role = InstanceStatus.Role.stopped
        let isDemoted = demotion.map { $0.term == self.disk.ownTerm && $0.term == self.disk.highestTerm } ?? false
        if let postmaster = self.postmaster, !postmaster.isStopping {
            role =
                !postmaster.accepts ? .starting : postmaster.isPrimary && self.disk.isBootstrapped ? .primary : .replica
        }
        if isDemoted { role = .demoted }
        let lease = self.fence.map {
            InstanceStatus.Lease(
                held: $0.rules.isHeld(now: now),
                term: Int64($0.term),
                expiresInMilliseconds: $0.rules.deadline.map { Self.milliseconds(from: now, to: $0) } ?? 0
            )
        }
        return InstanceStatus(
            instance: self.configuration.instance,
            podUID: self.configuration.podUID,
            incarnation: self.incarnation,
            term: Int64(self.disk.highestTerm),
            role: role,
            state: self.state,
            timeline: self.timeline.map { Int64($0) },
            systemIdentifier: self.systemIdentifier.map { String($0) },
            postmasterPID: self.postmaster?.process.pid,
            receivedLSN: self.facts.received,
            replayedLSN: self.facts.replayed,
            currentLSN: self.facts.current,
            upstream: self.upstream?.primary,
            streaming: self.facts.isStreaming,
            pendingRestart: !self.facts.pendingRestart.isEmpty,
            demotedTerm: demotion.map { Int64($0.term) },
            shutdownLSN: isDemoted ? demotion?.shutdownLSN.map { LSN(rawValue: $0) } : nil,
            lease: lease,
            problem: self.problem ?? self.volumeProblem,
            prepare: self.preparation,
            terminating: self.isTerminating,
            fence: self.fenceStatus(now: now),
            exit: self.exit,
            synchronous: self.synchronousStatus,
            replication: self.replication?.standbys,
            archive: self.replication?.archive,
            preparedTransactions: self.replication?.preparedTransactions,
            logicalSenders: self.replication?.logicalSenders,
            certificates: self.loadedCertificates,
            settings: self.settingsStatus
        )
    }

    private var synchronousStatus: InstanceStatus.Synchronous? {
        guard var status = self.replication?.synchronous else { return nil }
        if self.admission != nil { status.isAwaited = true }
        return status
    }

    /// Hands a changed status to those who listen.
    func publish() {
        for waiter in self.historyWaiters { waiter.kick() }
        guard !self.subscribers.isEmpty else { return }
        let status = self.status()
        // The time that a Lease has left changes always, and is no news.
        var comparable = status
        comparable.lease?.expiresInMilliseconds = nil
        comparable.fence?.lastAskAgoMilliseconds = nil
        comparable.fence?.promiseExpiresInMilliseconds = 0
        comparable.fence?.mayWriteForMilliseconds = nil
        guard comparable != self.published else { return }
        self.published = comparable
        for subscriber in self.subscribers.values { subscriber.yield(status) }
    }

    /// Every change of the status from now on, the newest only for a reader that lags.
    package func statuses() -> AsyncStream<InstanceStatus> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: InstanceStatus.self,
            bufferingPolicy: .bufferingNewest(1)
        )
        guard !self.hasFinished else {
            continuation.finish()
            return stream
        }
        let id = self.nextSubscriber
        self.nextSubscriber += 1
        self.subscribers[id] = continuation
        continuation.onTermination = { [weak self] _ in
            // Unstructured, because the end of a stream cannot wait.
            Task { await self?.unsubscribe(id) }
        }
        continuation.yield(self.status())
        return stream
    }

    private func unsubscribe(_ id: UInt64) {
        self.subscribers[id] = nil
    }

    // MARK: Probes

    /// Whether clients may be sent here.
    package var isReady: Bool {
        // A primary that is being demoted stays ready: an unready one could be evicted in between.
        if let until = self.readyUntil, BootTime.now < until { return true }
        guard let postmaster = self.postmaster, postmaster.accepts, !postmaster.isStopping, self.disk.isBootstrapped
        else {
            return false
        }
        if postmaster.isPrimary { return true }
        if self.facts.isStreaming { return true }
        return self.lastStreamedAt.map { $0.duration(to: .now) < .seconds(30) } ?? false
    }

    /// Whether the supervisor does its work; PostgreSQL is not asked, because restarting the pod would not help it.
    package var isAlive: Bool { true }

    // MARK: Metrics

    /// Prometheus' text format.
    package func metrics() -> String {
        var lines: [String] = []
        func add(_ name: String, _ kind: String, _ help: String, _ value: some CustomStringConvertible) {
            lines.append("# HELP \(name) \(help)")
            lines.append("# TYPE \(name) \(kind)")
            lines.append("\(name) \(value)")
        }
        let status = self.status()
        add("drover_instance_primary", "gauge", "1 when PostgreSQL accepts writes.", status.role == .primary ? 1 : 0)
        add("drover_instance_ready", "gauge", "1 when the instance is ready.", self.isReady ? 1 : 0)
        add("drover_instance_streaming", "gauge", "1 when the replica receives WAL.", status.streaming ? 1 : 0)
        add("drover_instance_term", "gauge", "The highest term seen.", status.term)
        if let timeline = status.timeline {
            add("drover_instance_timeline", "gauge", "The timeline of PostgreSQL.", timeline)
        }
        if let lsn = status.lastLSN {
            add("drover_instance_wal_bytes", "gauge", "The end of the WAL, in bytes.", lsn.rawValue)
        }
        if let received = status.receivedLSN, let replayed = status.replayedLSN {
            add(
                "drover_instance_replay_lag_bytes",
                "gauge",
                "Bytes of WAL received and not replayed.",
                max(0, received.bytes(after: replayed))
            )
        }
        add(
            "drover_instance_lease_held",
            "gauge",
            "1 when the primary Lease is held.",
            status.lease?.held == true ? 1 : 0
        )
        if let left = status.lease?.expiresInMilliseconds {
            add(
                "drover_instance_lease_remaining_seconds",
                "gauge",
                "Seconds until PostgreSQL must stop.",
                Double(left) / 1000
            )
        }
        if let synchronous = status.synchronous, synchronous.count > 0, let replication = self.replication {
            add(
                "drover_instance_synchronous_clients_kept_out",
                "gauge",
                "1 while clients wait after a crash until enough standbys have caught up.",
                synchronous.isAwaited == true ? 1 : 0
            )
            add(
                "drover_instance_synchronous_weaker_settings",
                "gauge",
                "Roles and databases whose commits wait for less than the cluster's spec demands.",
                synchronous.weakerCommits?.count ?? 0
            )
            add(
                "drover_instance_synchronous_waiting_commits",
                "gauge",
                "Sessions whose commits wait for a standby.",
                replication.waitingCommits
            )
            add(
                "drover_instance_synchronous_cancelled_waits_total",
                "counter",
                "Sessions that gave up waiting for a standby; their commits may be nowhere else.",
                replication.cancelledWaits
            )
            add(
                "drover_instance_synchronous_longest_wait_seconds",
                "gauge",
                "How long the session has waited whose commit waits longest.",
                replication.longestWait
            )
        }
        add("drover_instance_starts_total", "counter", "Starts of PostgreSQL.", self.counters.starts)
        add("drover_instance_promotions_total", "counter", "Promotions.", self.counters.promotions)
        add("drover_instance_demotions_total", "counter", "Demotions.", self.counters.demotions)
        add("drover_instance_fences_total", "counter", "Immediate stops of a primary.", self.counters.fences)
        add("drover_instance_clones_total", "counter", "Base backups taken.", self.counters.clones)
        add("drover_instance_rewinds_total", "counter", "Runs of pg_rewind.", self.counters.rewinds)
        add("drover_instance_lease_renewals_total", "counter", "Renewals of the Lease.", self.counters.leaseRenewals)
        add("drover_instance_lease_failures_total", "counter", "Failed renewals.", self.counters.leaseFailures)
        add("drover_instance_promises_missed_total", "counter", "Asks without a promise.", self.counters.missedPromises)
        return lines.joined(separator: "\n") + "\n"
    }
}
