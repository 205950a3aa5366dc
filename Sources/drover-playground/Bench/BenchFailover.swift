internal import EventLoop
internal import PostgresClient
internal import Workload

/// Primaries that are hurt, one contestant after the other, each under the same writer.
struct BenchFailover: Sendable {
    /// Somebody who is measured.
    struct Entry: Sendable {
        var label: String
        var patient: any BenchPatient
    }

    let eventLoop: EventLoop
    let narrator: DemoNarrator
    let entries: [Entry]
    let faults: [BenchFault]
    let runs: Int
    let apiAway: Duration

    /// By contestant, then by fault.
    func measure() async throws -> [String: [BenchFault: GapFigures]] {
        var figures: [String: [BenchFault: GapFigures]] = [:]
        for fault in self.faults {
            // Nothing is to happen then, so that once is enough.
            for run in 1...(fault == .apiServerAway ? 1 : self.runs) {
                for entry in self.entries {
                    let outcome = try await self.round(entry, fault, run)
                    figures[entry.label, default: [:]][fault, default: GapFigures()]
                        .add(gapMilliseconds: outcome.gapMilliseconds, lost: outcome.lost, failed: outcome.failed)
                    self.narrator.say(
                        "\(fault.rawValue) \(run), \(entry.label): \(outcome.gapMilliseconds) ms, \(outcome.lost) lost"
                    )
                }
            }
        }
        return figures
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
            let outcome = try await round.run("\(fault.rawValue)-\(entry.label)-\(run)", configuration) {
                try await patient.inflict(fault)
                guard fault == .apiServerAway else { return }
                try await Task.sleep(for: self.apiAway)
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
