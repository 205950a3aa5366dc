internal import EventLoop
internal import Fence
internal import Glibc
package import InstanceAPI
internal import Logging
internal import PodProgram
internal import PostgresClient
internal import PostgresClusterAPI

/// Nothing of a spec reaches PostgreSQL before PostgreSQL itself has accepted it, in a directory where nothing can go
/// wrong. What it refuses is told, and what it accepted last stays.
extension Supervisor {
    /// What was found of a spec's settings.
    struct Judgement {
        var wanted: AcceptedSettings
        var refused: [InstanceStatus.Refusal]
        /// The rules are read by a PostgreSQL that runs.
        var areRulesJudged: Bool
    }

    var wantedSettings: AcceptedSettings {
        let spec = self.cluster?.spec.resolved
        return AcceptedSettings(parameters: spec?.parameters ?? [:], rules: spec?.hba ?? [])
    }

    /// The settings to use: those of the spec as far as they are accepted, else what was accepted last.
    ///
    /// A volume that remembers nothing and a spec that nobody could judge take the spec as it is.
    var usableSettings: AcceptedSettings {
        var usable = self.wantedSettings
        guard let judgement = self.judgement, judgement.wanted == usable else {
            return self.accepted ?? usable
        }
        if judgement.refused.contains(where: { $0.part == .parameters }) {
            usable.parameters = self.accepted?.parameters ?? [:]
        }
        if judgement.refused.contains(where: { $0.part == .hba }) {
            usable.rules = self.accepted?.rules ?? []
        } else if !judgement.areRulesJudged, let accepted {
            usable.rules = accepted.rules
        }
        return usable
    }

    /// Has PostgreSQL judge what the spec wants, unless that is what it has judged before.
    ///
    /// In a turn only.
    func judgeSettings(asPrimary: Bool, limits: ControlFile.Limits?) async {
        let wanted = self.wantedSettings
        let before = self.judgement.flatMap { $0.wanted == wanted ? $0 : nil }
        guard before?.areRulesJudged != true else { return }
        var judgement = before ?? Judgement(wanted: wanted, refused: [], areRulesJudged: false)
        do {
            if before == nil, wanted.parameters != self.accepted?.parameters {
                judgement.refused = try await self.refusedParameters(wanted, asPrimary: asPrimary, limits: limits)
            }
            if wanted.rules == self.accepted?.rules || wanted.rules.isEmpty {
                judgement.areRulesJudged = true
            } else if self.postmaster?.accepts == true, self.disk.isBootstrapped {
                judgement.refused += try await self.refusedRules(wanted.rules)
                judgement.areRulesJudged = true
            }
        } catch {
            // A volume without room, or a machine without processes: what was accepted goes on.
            self.logger.warning("The settings cannot be checked", metadata: ["error": "\(error)"])
            return
        }
        self.judgement = judgement
        if before == nil || judgement.areRulesJudged {
            for refusal in judgement.refused {
                self.logger.warning(
                    "PostgreSQL does not accept a setting",
                    metadata: ["field": "\(refusal.field)", "message": "\(refusal.message)"]
                )
            }
        }
        var accepted = self.usableSettings
        if !judgement.areRulesJudged { accepted.rules = self.accepted?.rules ?? accepted.rules }
        guard accepted != self.accepted, judgement.areRulesJudged || self.accepted != nil else { return }
        self.accepted = accepted
        do {
            try await self.volume.save(accepted)
        } catch {
            self.logger.warning("Cannot write down which settings are accepted", metadata: ["error": "\(error)"])
        }
    }

    // MARK: postgresql.conf

    /// Has PostgreSQL read the settings without starting: names, values and units, libraries, certificates, what does not
    /// go together, and whether there is room for its shared memory.
    private func refusedParameters(
        _ wanted: AcceptedSettings,
        asPrimary: Bool,
        limits: ControlFile.Limits?
    ) async throws -> [InstanceStatus.Refusal] {
        let version = self.dataVersion ?? self.version
        let settings = self.settings(asPrimary: asPrimary, limits: limits, using: wanted)
        try await self.volume.makeScratch(settings.postgresqlConf() + settings.preloading, version: version)
        let isNew = version >= 15
        var found = try await self.check(["-C", isNew ? "shared_memory_size" : "shared_buffers"])
        if found.isAccepted, isNew, let size = Int(found.output.filter(\.isNumber)), let room = self.memory,
            size > room >> 20
        {
            // It might be granted all the same, and touching it would end whatever else runs here.
            let message = "PostgreSQL would need \(size) MB of shared memory, and there are \(room >> 20)"
            let name = wanted.parameters["shared_buffers"] == nil ? "" : "parameter \"shared_buffers\": "
            return [SettingsCheck.refusal(name + message, parameters: wanted.parameters)]
        }
        if found.isAccepted, isNew { found = try await self.check(["--check"]) }
        try? await self.volume.remove(self.volume.layout.scratch)
        return found.isAccepted ? [] : SettingsCheck.refusals(in: found.errors, parameters: wanted.parameters)
    }

    /// Bytes of memory that this pod may have; nil when nobody says.
    private var memory: Int? {
        let pages = sysconf(Int32(_SC_PHYS_PAGES))
        let machine = pages > 0 ? pages * sysconf(Int32(_SC_PAGESIZE)) : Int?.none
        let limit = self.cluster?.spec.resolved.resourceLimits["memory"].map { Int(clamping: $0.bytes) }
        return [machine, limit].compactMap(\.self).min()
    }

    private func check(_ arguments: [String]) async throws -> (isAccepted: Bool, output: String, errors: String) {
        let scratch = self.volume.layout.scratch
        let output = try await self.volume.openInScratch("output")
        defer { close(output) }
        let errors = try await self.volume.openInScratch("errors")
        defer { close(errors) }
        // `--check` has to be the first one.
        var words = arguments + ["-D", scratch, "-c", "log_line_prefix="]
        if arguments.first == "-C" { words = ["-D", scratch, "-c", "log_line_prefix="] + arguments }
        var program = Processes.Program(
            path: self.programs + "/postgres",
            arguments: words,
            environment: self.environment
        )
        program.standardOutput = output
        program.standardError = errors
        let id = try await self.processes.start(program)
        let isInTime = await self.ends(id, within: Self.checkPatience)
        if !isInTime { await self.processes.signal(id, SIGKILL) }
        let exit = await self.processes.exit(of: id)
        await self.processes.forget(id)
        guard isInTime else {
            throw PostmasterError(description: "PostgreSQL did not look through its settings in time")
        }
        return (
            exit.isSuccess, try await self.volume.readText(scratch + "/output"),
            try await self.volume.readText(scratch + "/errors")
        )
    }

    private static let checkPatience = Duration.seconds(20)

    // MARK: pg_hba.conf

    /// Has PostgreSQL read the lines where it would read them at the next reload, and puts those before back: until it is
    /// told to, it does not use them, and a file that it cannot read it would not use at all.
    private func refusedRules(_ rules: [String]) async throws -> [InstanceStatus.Refusal] {
        let path = self.volume.layout.data + "/pg_hba.conf"
        let before = try await self.volume.readText(path)
        var settings = self.settings(asPrimary: true, limits: nil)
        settings.hbaRules = rules
        let candidate = try settings.hbaConf(admitsClients: self.admission == nil)
        _ = try await self.volume.update(path, to: candidate)
        let rows: PostgresRows
        do {
            rows = try await self.local()
                .query(
                    "select line_number::text as line, error from pg_hba_file_rules where error is not null",
                    timeout: .seconds(5)
                )
        } catch {
            _ = try await self.volume.update(path, to: before)
            throw error
        }
        _ = try await self.volume.update(path, to: before)
        let first = candidate.split(separator: "\n").count - rules.count
        return rows.prefix(8)
            .map { row in
                let index = (row["line"].flatMap { Int($0) } ?? 0) - first
                let isKnown = rules.indices.contains(index)
                return InstanceStatus.Refusal(
                    part: .hba,
                    field: "spec.postgres.hba" + (isKnown ? "[\(index)]" : ""),
                    value: isKnown ? String(rules[index].prefix(128)) : nil,
                    message: String((row["error"] ?? "").prefix(400))
                )
            }
    }

    // MARK: What waits

    /// What is told of it.
    var settingsStatus: InstanceStatus.Settings {
        let isPrimary = self.postmaster?.isPrimary == true
        let pending = self.facts.pendingRestart
        return InstanceStatus.Settings(
            generation: self.facts.settingsGeneration,
            pendingRestart: pending,
            lowersLimits: isPrimary && !pending.isEmpty && self.limits?.areLowered == true,
            keepsLimits: !isPrimary && self.limits?.areKept == true,
            refused: self.judgement.flatMap { $0.wanted == self.wantedSettings ? $0.refused : nil } ?? [],
            isRestarting: self.exit == nil && self.restartingUntil.map { BootTime.now < $0 } ?? false
        )
    }

    /// The limits that the settings were written with, of those that a standby may not have less of than its primary.
    struct WrittenLimits {
        /// As the control file had them.
        var control: ControlFile.Limits?
        /// Less is wanted than what runs.
        var areLowered: Bool
        /// A standby has more than is wanted.
        var areKept: Bool
    }

    /// A standby's limits change with the WAL that it replays: when the primary has less it may have less, and when the
    /// primary has more it stands still until it has as much.
    func lookAtLimits() async {
        guard let postmaster = self.postmaster, !postmaster.isPrimary, postmaster.accepts, !postmaster.isStopping,
            let written = self.limits, written.areKept || self.facts.isReplayPaused,
            let control = try? await self.volume.controlFile(), control.limits != written.control
        else { return }
        self.settingsAreDue = true
        self.kicks.kick()
    }

    /// Starts a standby again that stands still because it has less than the primary whose WAL it replays.
    ///
    /// In a turn only. Nobody has to be asked: it is of no use as it is.
    func mendPausedReplay() async throws {
        guard let postmaster = self.postmaster, !postmaster.isPrimary, self.facts.isReplayPaused,
            self.facts.pendingRestart.contains(where: ServerSettings.standbyLimits.contains)
        else { return }
        self.logger.notice("Restarting PostgreSQL, because the primary has higher limits")
        try await self.stopPostmaster(signal: .fast, patience: .seconds(10))
    }

    // MARK: Restarting

    /// Starts PostgreSQL again in place where settings wait for that.
    ///
    /// - Throws: ``InstanceAPIError``.
    package func restart(_ request: RestartRequest) async throws -> RestartResponse {
        try self.refuseStale(term: Int(clamping: request.term))
        let postmaster = try self.readyPostmaster()
        guard self.mayRestart(asPrimary: request.asPrimary) else {
            throw InstanceAPIError(
                request.asPrimary ? .notPrimary : .notReplica,
                "this instance has another role, or is about to have one"
            )
        }
        guard !self.facts.pendingRestart.isEmpty else { return RestartResponse(isRestarting: false) }
        do {
            // What is written now need not be written while nobody is served.
            _ = try await self.checkpoint(CheckpointRequest(count: request.asPrimary ? 2 : 1))
        } catch {
            throw InstanceAPIError(.postgresFailed, "\(error)")
        }
        return try await self.exclusively {
            guard self.postmaster?.process == postmaster.process, self.postmaster?.isStopping == false,
                self.mayRestart(asPrimary: request.asPrimary), !self.facts.pendingRestart.isEmpty
            else { return RestartResponse(isRestarting: false) }
            self.logger.notice(
                "Restarting PostgreSQL for changed settings",
                metadata: ["settings": "\(self.facts.pendingRestart.joined(separator: ","))"]
            )
            self.restartingUntil = .now + .seconds(60)
            // An unready primary could be evicted in between.
            if request.asPrimary { self.readyUntil = .now + .seconds(10) }
            try await self.stopPostmaster(signal: .fast, patience: .seconds(15))
            self.kicks.kick()
            return RestartResponse(isRestarting: true)
        }
    }

    /// Whether PostgreSQL has that role, and nobody is about to change it.
    private func mayRestart(asPrimary: Bool) -> Bool {
        guard !self.isTerminating, let postmaster = self.postmaster, postmaster.isPrimary == asPrimary else {
            return false
        }
        guard asPrimary else {
            return self.cluster?.status?.transition?.to != self.configuration.instance && !self.isPromoting
        }
        return self.cluster?.status?.transition == nil && !self.disk.isDemoted(in: self.disk.ownTerm)
            && self.fence?.isEnding != true
    }
}
