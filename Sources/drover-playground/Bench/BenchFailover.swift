internal import EventLoop
internal import PostgresClient
internal import Workload

/// Primaries that are hurt, one contestant after the other, each under the same writer.
struct BenchFailover {
    /// Somebody who is measured.
    struct Entry: Sendable {
        var label: String
        var patient: any BenchPatient
        /// Whether the others go on without it when it does not recover.
        var isPeer = false
    }

    let eventLoop: EventLoop
    let narrator: DemoNarrator
    let entries: [Entry]
    let faults: [BenchFault]
    let runs: Int
    let apiAway: Duration
    var progress: BenchProgress
    /// Runs in a row that a peer did not survive.
    private var failures: [String: Int] = [:]

    init(
        eventLoop: EventLoop,
        narrator: DemoNarrator,
        entries: [Entry],
        faults: [BenchFault],
        runs: Int,
        apiAway: Duration,
        progress: BenchProgress
    ) {
        self.eventLoop = eventLoop
        self.narrator = narrator
        self.entries = entries
        self.faults = faults
        self.runs = runs
        self.apiAway = apiAway
        self.progress = progress
    }

    /// How often a fault happens: once is enough where nothing is to happen.
    static func runs(of fault: BenchFault, _ runs: Int) -> Int { fault == .apiServerAway ? 1 : runs }

    mutating func measure() async throws {
        for fault in self.faults {
            for run in 1...Self.runs(of: fault, self.runs) {
                let pending = self.entries.filter { entry in
                    !self.progress.has(entry.label, fault, run: run) && self.failures[entry.label, default: 0] < 2
                }
                // Where all is waiting, all wait at the same time.
                for group in fault.isWaiting ? [pending] : pending.map({ [$0] }) {
                    for (entry, result) in await self.rounds(group, fault, run) {
                        try self.take(result, of: entry, fault, run)
                    }
                }
            }
        }
    }

    private func rounds(
        _ entries: [Entry],
        _ fault: BenchFault,
        _ run: Int
    ) async -> [(entry: Entry, result: Result<BenchRound.Outcome, any Error>)] {
        await withTaskGroup(of: (Int, Result<BenchRound.Outcome, any Error>).self) { group in
            for (index, entry) in entries.enumerated() {
                group.addTask {
                    do {
                        return (index, .success(try await self.round(entry, fault, run)))
                    } catch {
                        return (index, .failure(error))
                    }
                }
            }
            var results: [(entry: Entry, result: Result<BenchRound.Outcome, any Error>)] = []
            for await (index, result) in group { results.append((entries[index], result)) }
            return results
        }
    }

    private mutating func take(
        _ result: Result<BenchRound.Outcome, any Error>,
        of entry: Entry,
        _ fault: BenchFault,
        _ run: Int
    ) throws {
        let name = "\(fault.rawValue) \(run), \(entry.label)"
        do {
            let outcome = try result.get()
            self.failures[entry.label] = 0
            self.narrator.say("\(name): \(outcome.gapMilliseconds) ms, \(outcome.lost) lost")
            try self.progress.add(
                BenchProgress.Entry(
                    contestant: entry.label,
                    fault: fault,
                    run: run,
                    gapMilliseconds: outcome.gapMilliseconds,
                    lost: outcome.lost,
                    failed: outcome.failed
                )
            )
        } catch {
            guard entry.isPeer, !(error is CancellationError) else { throw error }
            self.failures[entry.label, default: 0] += 1
            self.narrator.complain("\(name): not measured: \(error)")
            if self.failures[entry.label, default: 0] >= 2 {
                self.narrator.complain("\(entry.label) is left out from here on: it did not recover twice in a row")
            }
        }
    }

    private func round(_ entry: Entry, _ fault: BenchFault, _ run: Int) async throws -> BenchRound.Outcome {
        let patient = entry.patient
        try await patient.settle()
        var round = BenchRound(eventLoop: self.eventLoop)
        // A frozen server answers nothing: this is how soon a client gives it up.
        round.statementTimeout = .seconds(1)
        round.patience = .seconds(240)
        // A pod that is made anew has a new address, which only the Service knows.
        var configuration = try await patient.configuration(fault == .podDeleted ? .service : .list)
        configuration.connectTimeout = .seconds(2)
        configuration.cancelGrace = .milliseconds(200)
        do {
            let apiAway = self.apiAway
            let outcome = try await round.run("\(fault.rawValue)-\(entry.label)-\(run)", configuration) {
                try await patient.inflict(fault)
                guard fault == .apiServerAway else { return }
                try await Task.sleep(for: apiAway)
                try await patient.relieve(fault)
            }
            if fault != .apiServerAway { try await patient.relieve(fault) }
            return outcome
        } catch {
            try? await patient.relieve(fault)
            throw DemoError("\(entry.label), \(fault.rawValue), run \(run): \(error)")
        }
    }
}

extension BenchFailover {
    /// About how long the runs take that are not measured yet, on a quiet machine, in seconds.
    var expectedSeconds: Int {
        self.faults.reduce(0) { sum, fault in
            (1...Self.runs(of: fault, self.runs))
                .reduce(sum) { sum, run in
                    let times = self.entries.filter { !self.progress.has($0.label, fault, run: run) }
                        .map { entry in
                            fault == .apiServerAway
                                ? Int(self.apiAway.components.seconds) + 30 : fault.expectedSeconds(entry.label)
                        }
                    return sum + (fault.isWaiting ? times.max() ?? 0 : times.reduce(0, +))
                }
        }
    }
}
