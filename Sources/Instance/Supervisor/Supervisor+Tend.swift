internal import EventLoop
internal import Fence
package import InstanceAPI
internal import Logging
internal import PostgresClient
internal import PostgresClusterAPI
internal import PodProgram

/// What a running instance looks after: settings, slots, the checkpoint after a promotion, a standby that gets nothing.
extension Supervisor {
    /// In a turn only, and only short things.
    func tend() async {
        guard let postmaster = self.postmaster, postmaster.accepts, !postmaster.isStopping else { return }
        do {
            if !postmaster.isPrimary { try self.checkUpstream() }
            // Cleared first: what changes while this is under way is due again.
            if self.settingsAreDue {
                self.settingsAreDue = false
                do {
                    try await self.reloadIfChanged()
                } catch {
                    self.settingsAreDue = true
                    throw error
                }
                // What is in force now is waited for.
                self.replicationLookedAt = BootTime(nanoseconds: 0)
                self.monitorKicks.kick()
            }
            try await self.mendPausedReplay()
            if self.slotsAreDue {
                self.slotsAreDue = false
                do {
                    try await self.arrangeSlots()
                } catch {
                    self.slotsAreDue = true
                    throw error
                }
            }
        } catch {
            self.logger.warning("Cannot tend to PostgreSQL", metadata: ["error": "\(error)"])
        }
        if self.checkpointIsDue, self.checkpointTask == nil {
            self.checkpointIsDue = false
            // Unstructured, because it may take minutes, and nothing waits for it.
            self.checkpointTask = Task {
                do {
                    _ = try await self.checkpoints(1)
                } catch {
                    self.logger.warning("The checkpoint failed", metadata: ["error": "\(error)"])
                }
                self.checkpointTask = nil
                for waiter in self.historyWaiters { waiter.kick() }
            }
        }
    }

    // MARK: A standby

    /// A standby whose primary has moved, or that gets nothing although its history seemed to fit.
    private func checkUpstream() throws {
        guard let upstream = self.upstream else { return }
        let address = try? self.address(of: upstream.primary)
        if let address, address != self.upstreamAddress {
            self.upstreamAddress = address
            self.settingsAreDue = true
            self.followedAt = .now
        }
        guard !self.facts.isStreaming else {
            self.followedAt = nil
            return
        }
        // From the first look that finds no stream: what was before, one that was itself stopped for a while cannot tell.
        let noticed = self.followedAt ?? .now
        self.followedAt = noticed
        let since = max(noticed, self.lastStreamedAt ?? noticed)
        // Long enough for a reconnect; then histories are compared again, now that all local WAL is replayed.
        if since.duration(to: .now) > .seconds(6) {
            self.logger.warning("This replica gets no WAL, comparing histories again")
            self.upstream = nil
            // What streams without having been compared could not be told from another history later on.
            self.settingsAreDue = true
            self.kicks.kick()
        }
    }

    // MARK: Slots

    private func arrangeSlots() async throws {
        guard let status = self.cluster?.status else { return }
        let own = self.configuration.instance
        let isCandidate =
            status.transition?.to == own || self.preparedAt.map { $0.duration(to: .now) < .seconds(60) } == true
        // What is reserved for the time after the promotion stays, and nobody waits for a look at it.
        if self.postmaster?.isPrimary != true, isCandidate { return }
        let connection = try await self.local()
        let rows = try await connection.query(
            "select slot_name, active from pg_replication_slots where slot_type = 'physical' and not temporary",
            timeout: .seconds(5)
        )
        let existing = Dictionary(
            rows.compactMap { row in row["slot_name"].map { ($0, row.bool("active") ?? false) } }
        ) { first, _ in first }
        var wanted: Set<String> = []
        if self.postmaster?.isPrimary == true {
            // Also for pods that are neither members nor joining yet: they clone before they join.
            let names = Set(status.members + status.joining + status.instances.map { $0.name })
            wanted = Set(names.filter { $0 != own }.map { Names.slot(ofInstance: $0) })
            for slot in wanted.subtracting(existing.keys).sorted() {
                _ = try await connection.query(
                    "select pg_create_physical_replication_slot($1, true)",
                    [slot],
                    timeout: .seconds(5)
                )
                self.logger.info("Made a replication slot", metadata: ["slot": "\(slot)"])
            }
        }
        // A slot that nobody uses keeps WAL for ever; one that is still used will be looked at again.
        for (slot, isActive) in existing where !wanted.contains(slot) {
            guard !isActive else {
                self.slotsAreDue = true
                continue
            }
            _ = try await connection.query("select pg_drop_replication_slot($1)", [slot], timeout: .seconds(5))
            self.logger.info("Dropped a replication slot", metadata: ["slot": "\(slot)"])
        }
    }

    // MARK: Preparing

    /// Makes ready for becoming primary: slots for the others, and a checkpoint so that little is left to write.
    package func prepare(_ request: PrepareRequest) async throws -> PrepareResponse {
        guard request.slots.count <= 64, request.slots.allSatisfy(Self.isSlotName) else {
            throw InstanceAPIError(.badRequest, "slots must be names of at most 63 characters a-z, 0-9 and _")
        }
        try self.refuseUnlessCandidate(term: Int(clamping: request.term))
        self.preparedAt = .now
        self.preparation = .init(term: request.term, isDone: false, slots: [])
        self.publish()
        let own = Names.slot(ofInstance: self.configuration.instance)
        let slots = request.slots.filter { $0 != own }
        do {
            let replayed = try await self.withLocal { connection -> LSN? in
                for slot in slots {
                    // Reserved at the restart point, and from there on advanced by being made anew: on a standby an
                    // idle slot cannot follow the WAL by itself.
                    _ = try await connection.query(
                        """
                        select pg_drop_replication_slot(slot_name) from pg_replication_slots
                        where slot_name = $1 and slot_type = 'physical' and not active
                        """,
                        [slot],
                        timeout: .seconds(10)
                    )
                }
                _ = try await connection.query("checkpoint", timeout: .seconds(600))
                for slot in slots {
                    _ = try await connection.query(
                        """
                        select pg_create_physical_replication_slot($1, true)
                        where not exists (select from pg_replication_slots where slot_name = $1)
                        """,
                        [slot],
                        timeout: .seconds(10)
                    )
                }
                await self.openDatabases(connection)
                let row = try await connection.query("select pg_last_wal_replay_lsn() as lsn", timeout: .seconds(10))
                    .first
                return row?["lsn"].flatMap { LSN($0) }
            }
            self.preparedAt = .now
            self.preparation = .init(term: request.term, isDone: true, slots: slots)
            self.publish()
            return PrepareResponse(term: request.term, slots: slots, replayedLSN: replayed)
        } catch let error as PostgresError {
            throw InstanceAPIError(.postgresFailed, "\(error)")
        }
    }

    /// The first session of a database has to gather what all later ones find ready: it is this one, and not that of
    /// the first client after the promotion.
    ///
    /// Best effort, and no more than a few.
    private func openDatabases(_ connection: PostgresConnection) async {
        do {
            let rows = try await connection.query(
                """
                select datname from pg_database
                where datallowconn and not datistemplate and datname <> 'postgres' order by datname limit 16
                """,
                timeout: .seconds(5)
            )
            let end = BootTime.now + .seconds(5)
            for name in rows.compactMap({ $0["datname"] }) where BootTime.now < end {
                try await self.withLocal(database: name) { session in
                    _ = try await session.query(
                        "select count(*) from pg_class, pg_namespace where relnamespace = pg_namespace.oid",
                        timeout: .seconds(5)
                    )
                }
            }
        } catch {
            self.logger.debug("Databases could not be opened beforehand", metadata: ["error": "\(error)"])
        }
    }

    private static func isSlotName(_ name: String) -> Bool {
        (1...63).contains(name.utf8.count)
            && name.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F }
    }

    package func checkpoint(_ request: CheckpointRequest) async throws -> CheckpointResponse {
        guard (1...3).contains(request.count) else { throw InstanceAPIError(.badRequest, "count must be 1 to 3") }
        _ = try self.readyPostmaster()
        do {
            return try await self.checkpoints(request.count)
        } catch let error as PostgresError {
            throw InstanceAPIError(.postgresFailed, "\(error)")
        }
    }

    private func checkpoints(_ count: Int) async throws -> CheckpointResponse {
        try await self.withLocal { connection in
            var last = Duration.zero
            for _ in 0..<count {
                let start = BootTime.now
                _ = try await connection.query("checkpoint", timeout: .seconds(600))
                last = start.duration(to: .now)
            }
            let rows = try await connection.query(
                """
                select case when pg_is_in_recovery() then pg_last_wal_replay_lsn()
                    else pg_current_wal_flush_lsn() end as lsn
                """,
                timeout: .seconds(10)
            )
            guard let lsn = rows.first?["lsn"].flatMap({ LSN($0) }) else {
                throw InstanceAPIError(.postgresFailed, "PostgreSQL does not say where its log ends")
            }
            return CheckpointResponse(
                count: count,
                lastMilliseconds: Int64(last / .milliseconds(1)),
                currentLSN: lsn
            )
        }
    }
}
