internal import InstanceAPI

extension Supervisor {
    /// Runs `body` when no other step is under way: steps start, stop and change PostgreSQL, and two at a time would
    /// undo each other's work.
    ///
    /// First come, first served.
    func exclusively<Result>(_ body: () async throws -> Result) async rethrows -> Result {
        if self.isBusy {
            await withCheckedContinuation { self.turns.append($0) }
        }
        self.isBusy = true
        defer {
            if self.turns.isEmpty {
                self.isBusy = false
            } else {
                // Handed over without becoming free, so that nobody slips in between.
                self.turns.removeFirst().resume()
            }
        }
        if let givingBack = self.givingBack {
            await givingBack.value
            self.givingBack = nil
        }
        return try await body()
    }

    /// Whether a step is under way that may take minutes.
    var isInLongStep: Bool {
        switch self.state {
        case .bootstrapping, .cloning, .rejoining: true
        case .starting, .running, .stopping, .stopped, .failed: false
        }
    }
}
