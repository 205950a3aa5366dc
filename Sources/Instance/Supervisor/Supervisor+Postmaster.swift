internal import EventLoop
internal import Fence
internal import Foundation
internal import InstanceAPI
internal import KubernetesClient
internal import Logging
internal import PostgresClient
internal import PostgresClusterAPI
internal import PodProgram

/// PostgreSQL could not be started, or ended when it should not.
struct PostmasterError: Error, CustomStringConvertible {
    var description: String
}

/// Starting, stopping and configuring PostgreSQL.
extension Supervisor {
    enum StopSignal: Int32 {
        /// Ends sessions, writes the shutdown checkpoint, waits for standbys (SIGINT).
        case fast = 2
        /// Ends everything at once; recovery at the next start (SIGQUIT).
        case immediate = 3
    }

    var version: Int { self.cluster?.spec.resolved.postgresVersion ?? self.dataVersion ?? 15 }

    /// Reads what the data directory says about itself.
    func readDataDirectory() async throws {
        let text = try? await self.volume.readText(self.volume.layout.data + "/PG_VERSION")
        self.dataVersion = text.flatMap { Int($0.filter { $0.isNumber }) }
        guard let control = try await self.volume.controlFile() else { return }
        self.systemIdentifier = control.systemIdentifier
        self.timeline = try await self.volume.newestHistory(atLeast: control.timeline).timeline
    }

    /// The data directory decides, once there is one.
    var programs: String {
        self.configuration.programs(version: self.dataVersion ?? self.version)
    }

    var environment: [String: String] {
        [
            "PATH": "\(self.programs):/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8",
            "HOME": self.volume.layout.temporary, "TMPDIR": self.volume.layout.temporary, "TZ": "UTC",
            "PGSYSCONFDIR": self.volume.layout.temporary,
        ]
    }

    // MARK: Settings

    func settings(
        asPrimary: Bool,
        limits: ControlFile.Limits?,
        using chosen: AcceptedSettings? = nil
    ) -> ServerSettings {
        let chosen = chosen ?? self.usableSettings
        var upstream: ServerSettings.Upstream?
        if !asPrimary, let name = self.upstream?.primary, let address = self.upstreamAddress {
            upstream = .init(host: name, address: address, port: self.configuration.postgresPort)
        }
        var settings = ServerSettings(
            instance: self.configuration.instance,
            clusterName: self.configuration.cluster,
            majorVersion: self.dataVersion ?? self.version,
            listenAddress: self.configuration.podIP,
            port: self.configuration.postgresPort,
            layout: self.volume.layout,
            parameters: chosen.parameters,
            hbaRules: chosen.rules,
            upstream: upstream,
            minimumLimits: asPrimary ? nil : limits,
            systemUser: self.systemUser
        )
        settings.serverHost = self.serverHost
        settings.generation = self.cluster?.metadata.generation
        settings.synchronous = self.demandedSynchronous
        settings.hurriesReplay = !asPrimary && self.cluster?.status?.transition?.to == self.configuration.instance
        settings.staysClosedAfterCrash = asPrimary && self.waitsForStandbys
        return settings
    }

    /// What the status demands of a primary, without this instance itself.
    ///
    /// A replica has it, too: when it is promoted, the first commit waits already. Nobody is added to those whom the status
    /// names: a failover asks only them.
    var demandedSynchronous: SynchronousSetting {
        guard let demanded = self.cluster?.status?.synchronous, demanded.count > 0 else { return .none }
        let own = self.configuration.instance
        return SynchronousSetting(standbys: demanded.standbys.filter { $0 != own }, count: demanded.count)
    }

    /// Writes the configuration files.
    /// - Returns: whether any has changed.
    func writeSettings(asPrimary: Bool, isOpen: Bool = true) async throws -> Bool {
        let data = self.volume.layout.data
        let conf = data + "/postgresql.conf"
        // Without a spec, or with a bad one, the settings of the last life stay.
        let isUsable = self.cluster.map { $0.validate().isEmpty } ?? false
        if !isUsable, await self.volume.exists(data + "/drover.conf") {
            return try await self.adjustSettings(conf, asPrimary: asPrimary)
        }
        // PostgreSQL itself says what is wrong with a control file that cannot be read.
        let control = try? await self.volume.controlFile()
        await self.judgeSettings(asPrimary: asPrimary, limits: control?.limits)
        let settings = self.settings(asPrimary: asPrimary, limits: control?.limits)
        self.limits = WrittenLimits(
            control: control?.limits,
            areLowered: control.map { settings.wantsLess(than: $0.limits) } ?? false,
            areKept: !asPrimary && control.map { settings.wantsLess(than: $0.limits) } ?? false
        )
        var hasChanged = try await self.volume.update(conf, to: settings.postgresqlConf())
        if try await self.volume.update(
            data + "/pg_hba.conf",
            to: isOpen
                ? settings.hbaConf(admitsClients: self.admission == nil) : settings.closedHBAConf()
        ) {
            hasChanged = true
        }
        if try await self.volume.update(data + "/pg_ident.conf", to: settings.identConf()) { hasChanged = true }
        // ALTER SYSTEM must not get around what keeps the cluster safe.
        if try await self.volume.update(data + "/postgresql.auto.conf", to: "# Not used under Drover.\n") {
            hasChanged = true
        }
        if isOpen {
            // From now on there are settings to fall back on.
            _ = try await self.volume.update(
                data + "/drover.conf",
                to: "# The settings of this directory are Drover's.\n"
            )
        }
        return hasChanged
    }

    /// Keeps the settings as they are but for where PostgreSQL listens and whom it follows.
    ///
    /// A pod's address changes, and
    /// nobody is followed whose history was not compared in this life.
    private func adjustSettings(_ conf: String, asPrimary: Bool) async throws -> Bool {
        let settings = self.settings(asPrimary: asPrimary, limits: nil)
        let rules = self.volume.layout.data + "/pg_hba.conf"
        // Whether commits have to wait is not known, and clients that nobody lets in would stay out until it is.
        let admitting = ServerSettings.admittingClients(try await self.volume.readText(rules))
        let rulesHaveChanged = try await self.volume.update(rules, to: admitting)
        let lines = try await self.volume.readText(conf).split(separator: "\n", omittingEmptySubsequences: false)
        let kept = lines.filter {
            !$0.hasPrefix("listen_addresses ") && !$0.hasPrefix("primary_conninfo ")
                && !$0.hasPrefix("wal_retrieve_retry_interval ") && !$0.isEmpty
        }
        let hasChanged = try await self.volume.update(
            conf,
            to: kept.joined(separator: "\n") + "\n" + settings.connectionLines()
        )
        return hasChanged || rulesHaveChanged
    }

    /// Writes changed settings and has PostgreSQL read them.
    func reloadIfChanged() async throws {
        guard let postmaster = self.postmaster, !postmaster.isStopping else { return }
        if try await self.writeSettings(asPrimary: postmaster.isPrimary) {
            await self.processes.signal(postmaster.process, 1)
        }
    }

    // MARK: Starting

    /// Starts PostgreSQL; returns as soon as the process runs.
    func startPostmaster(asPrimary: Bool, isOpen: Bool = true) async throws {
        guard self.postmaster == nil else { return }
        guard !asPrimary || self.mayWrite else {
            throw PostmasterError(description: "not without the primary Lease or the promises of all others")
        }
        let layout = self.volume.layout
        self.upstream = self.upstreamAddress == nil ? nil : self.upstream
        self.admission = self.admission(asPrimary: asPrimary, isOpen: isOpen)
        _ = try await self.writeSettings(asPrimary: asPrimary, isOpen: isOpen)
        if asPrimary {
            try await self.volume.remove(layout.standbySignal)
        } else {
            try await self.volume.write([], to: layout.standbySignal)
        }
        // A leftover of a promotion that was cut off would promote the next standby without asking anybody.
        try await self.volume.remove(layout.promoteFile)
        try await self.volume.remove(layout.data + "/recovery.signal")
        // This supervisor is alone on the volume and has no postmaster, so the number in there is somebody else's.
        try await self.volume.remove(layout.data + "/postmaster.pid")
        // And in this one. PostgreSQL would refuse to start as long as any process of the pod has that number.
        try await self.volume.remove("\(layout.sockets)/.s.PGSQL.\(self.configuration.postgresPort).lock")
        if !asPrimary { await self.watchdog.clear() }
        self.state = .starting
        var program = Processes.Program(
            path: self.programs + "/postgres",
            // The address is this pod's: what a file from the last life says is the address of another pod, and it cannot
            // be changed by a reload once the cluster has been read and the file written anew.
            arguments: ["-D", layout.data, "-c", "listen_addresses=\(self.configuration.podIP)"],
            environment: self.environment
        )
        program.passed = await self.volume.serverLock
        let id = try await self.processes.start(program) { [weak self] exit in
            // Unstructured: an exit comes from the event loop, outside of every task.
            Task { await self?.postmasterEnded(exit) }
        }
        self.postmaster = Postmaster(process: id, isPrimary: asPrimary, startedAt: .now)
        self.facts = Facts(isInRecovery: !asPrimary)
        self.counters.starts += 1
        self.logger.notice(
            "Started PostgreSQL",
            metadata: ["pid": "\(id.pid)", "role": "\(asPrimary ? "primary" : "standby")"]
        )
        do {
            try await self.watchdog.watch(postmaster: id.pid)
            if asPrimary, let deadline = self.fence?.rules.deadline { try await self.watchdog.extend(to: deadline) }
        } catch {
            if asPrimary {
                await self.processes.signal(id, StopSignal.immediate.rawValue)
                throw error
            }
        }
        self.monitorKicks.kick()
        self.publish()
    }

    // MARK: Stopping

    /// Stops PostgreSQL and waits for the end of the postmaster; after `patience` the stop becomes immediate, and
    /// then everything is killed.
    func stopPostmaster(signal: StopSignal, patience: Duration = .seconds(30)) async throws {
        guard let postmaster = self.postmaster else { return }
        self.postmaster?.isStopping = true
        self.state = .stopping
        self.publish()
        await self.processes.signal(postmaster.process, signal.rawValue)
        if signal == .fast {
            if await self.ends(postmaster.process, within: patience) { return await self.settle() }
            await self.processes.signal(postmaster.process, StopSignal.immediate.rawValue)
        }
        if await self.ends(postmaster.process, within: .seconds(3)) { return await self.settle() }
        await self.volume.killPostgres(postmaster: postmaster.process.pid)
        guard await self.ends(postmaster.process, within: .seconds(10)) else {
            throw PostmasterError(description: "PostgreSQL does not end even when killed; the disk may be stuck")
        }
        await self.settle()
    }

    /// Lets ``postmasterEnded(_:)`` have its say before the step goes on.
    private func settle() async {
        while self.postmaster != nil {
            await self.eventLoop.sleep(for: .milliseconds(1))
        }
        self.state = .stopped
    }

    func ends(_ process: Processes.ID, within patience: Duration) async -> Bool {
        let deadline = BootTime.now + patience
        while BootTime.now < deadline {
            if await self.processes.hasEnded(process) { return true }
            await self.eventLoop.sleep(for: .milliseconds(2))
        }
        return await self.processes.hasEnded(process)
    }

    // MARK: Asking PostgreSQL

    /// The superuser's session through the local socket; kept open.
    func local() async throws(PostgresError) -> PostgresConnection {
        if let connection = self.localConnection, await connection.isUsable { return connection }
        let connection = try await self.connectLocally(application: "drover-monitor")
        self.localConnection = connection
        return connection
    }

    func connectLocally(application: String, database: String = "postgres") async throws(PostgresError)
        -> PostgresConnection
    {
        try await PostgresConnection.connect(
            PostgresConfiguration(
                host: self.volume.layout.sockets,
                port: self.configuration.postgresPort,
                database: database,
                user: DatabaseRoles.superuser,
                sslMode: .disable,
                applicationName: application,
                connectTimeout: .seconds(5),
                options: ["options": "-c statement_timeout=0 -c synchronous_commit=local"]
            ),
            eventLoop: self.eventLoop
        )
    }

    /// A session of its own for what may take long.
    func withLocal<Result>(
        database: String = "postgres",
        _ body: (PostgresConnection) async throws -> Result
    ) async throws -> Result {
        let connection = try await self.connectLocally(application: "drover-instance", database: database)
        defer { connection.close() }
        return try await body(connection)
    }

    /// Waits until PostgreSQL lets the superuser in.
    func waitUntilAccepting(_ patience: Duration) async throws {
        let deadline = BootTime.now + patience
        while true {
            guard self.postmaster != nil else {
                throw PostmasterError(description: "PostgreSQL ended while it was starting; the pod's log says why")
            }
            do {
                if await self.volume.postmasterSaysItAccepts() {
                    _ = try await self.local()
                    return
                }
                guard BootTime.now < deadline else {
                    throw PostmasterError(description: "PostgreSQL takes long to accept connections")
                }
            } catch let error as PostgresError {
                guard BootTime.now < deadline else { throw error }
            }
            await self.eventLoop.sleep(for: .milliseconds(5))
        }
    }

    /// Asks PostgreSQL again and again how it is: often while it is starting, twice a second at rest.
    func monitorForever() async {
        while !Task.isCancelled, !self.hasFinished {
            guard let postmaster = self.postmaster, !postmaster.isStopping else {
                await self.monitorKicks.wait(atMost: .milliseconds(500), on: self.eventLoop)
                continue
            }
            if !postmaster.accepts, await !self.volume.postmasterSaysItAccepts() {
                await self.monitorKicks.wait(atMost: .milliseconds(10), on: self.eventLoop)
                continue
            }
            do {
                let rows = try await self.local().query(Self.question, timeout: .seconds(5))
                guard self.postmaster?.process == postmaster.process else { continue }
                self.learn(rows)
                await self.lookAtVolume()
                await self.lookAtLimits()
                try await self.considerAdmission()
                try await self.lookAtReplication()
                let isSettled = self.admission == nil && (self.facts.isStreaming || postmaster.isPrimary)
                await self.monitorKicks.wait(
                    atMost: isSettled ? .milliseconds(500) : .milliseconds(50),
                    on: self.eventLoop
                )
            } catch {
                await self.monitorKicks.wait(
                    atMost: postmaster.accepts ? .milliseconds(200) : .milliseconds(20),
                    on: self.eventLoop
                )
            }
        }
    }

    private static let question = """
        select pg_is_in_recovery() as recovering,
               case when pg_is_in_recovery() then pg_last_wal_receive_lsn() end as received,
               case when pg_is_in_recovery() then pg_last_wal_replay_lsn() end as replayed,
               case when not pg_is_in_recovery() then pg_current_wal_flush_lsn() end as current,
               coalesce((select status = 'streaming' from pg_stat_wal_receiver), false) as streaming,
               (select received_tli from pg_stat_wal_receiver) as timeline,
               (select string_agg(name, ',' order by name) from pg_settings where pending_restart) as pending,
               current_setting('drover.generation', true) as generation,
               pg_is_in_recovery() and pg_get_wal_replay_pause_state() = 'paused' as paused
        """

    private func learn(_ rows: PostgresRows) {
        guard let row = rows.first else { return }
        let wasAccepting = self.postmaster?.accepts == true
        var facts = Facts()
        facts.isInRecovery = row.bool("recovering") ?? true
        facts.received = row["received"].flatMap { LSN($0) }
        facts.replayed = row["replayed"].flatMap { LSN($0) }
        facts.current = row["current"].flatMap { LSN($0) }
        facts.isStreaming = row.bool("streaming") ?? false
        facts.receivedTimeline = row["timeline"].flatMap { UInt32($0) }
        facts.pendingRestart = row["pending"].map { $0.split(separator: ",").prefix(32).map(String.init) } ?? []
        facts.settingsGeneration = row["generation"].flatMap { Int64($0) }
        facts.isReplayPaused = row.bool("paused") ?? false
        if facts.isStreaming { self.lastStreamedAt = .now }
        if let timeline = facts.receivedTimeline { self.timeline = max(self.timeline ?? 0, timeline) }
        if !facts.isInRecovery, let postmaster = self.postmaster, !postmaster.isPrimary, !self.isPromoting {
            // Nobody but us may promote, so somebody has laid hands on the data directory.
            self.logger.critical("PostgreSQL has left recovery without being asked, stopping it")
            self.problem = .init(reason: "UnexpectedPromotion", message: "PostgreSQL left recovery without being asked")
            Task { await self.processes.signal(postmaster.process, StopSignal.immediate.rawValue) }
        }
        let isNews =
            facts.isStreaming != self.facts.isStreaming || !wasAccepting
            || facts.receivedTimeline != self.facts.receivedTimeline
            || facts.isReplayPaused != self.facts.isReplayPaused || facts.pendingRestart != self.facts.pendingRestart
        self.facts = facts
        self.postmaster?.accepts = true
        // Lines for pg_hba.conf are judged by a PostgreSQL that runs.
        if !wasAccepting, self.judgement?.areRulesJudged != true { self.settingsAreDue = true }
        self.restartingUntil = nil
        if self.failedStarts > 0 { self.problem = nil }
        self.failedStarts = 0
        self.exit = nil
        if self.state == .starting || (self.state == .stopped && self.postmaster != nil) { self.state = .running }
        if isNews {
            self.slotsAreDue = true
            self.kicks.kick()
        }
        self.publish()
    }
}
