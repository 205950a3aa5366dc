internal import Fence

/// The process beside the supervisor that ends PostgreSQL in time; it lives even when the supervisor is stopped.
extension InstanceModel {
    /// Tells it until when PostgreSQL may accept writes.
    func tellWatchdog() {
        guard let fence = self.fence, !fence.isEnding, self.postmaster?.isPrimary == true || self.isPromoting,
            let deadline = fence.rules.deadline
        else { return }
        self.watchdogDeadline = deadline
        self.watchLater(deadline)
    }

    private var hasWatchdog: Bool { !self.world.isMutated(.noSelfStop) && !self.world.isMutated(.noWatchdog) }

    /// Looks at the deadline, and sooner than was meant when it is one that was shortened.
    private func watchLater(_ deadline: BootTime) {
        guard self.hasWatchdog else { return }
        if let due = self.watchdogDue, due <= deadline { return }
        self.watchdogDue = deadline
        let delay = self.machine.clock.delay(until: deadline, now: self.world.now)
        self.world.after(delay) {
            guard self.isAlive, self.watchdogDue == deadline else { return }
            self.watchdogDue = nil
            self.machine.run { self.watchdogLooks() }
        }
    }

    /// The machine wakes up: what is overdue is killed before it does anything.
    func watchdogWakes() {
        guard self.hasWatchdog, let deadline = self.watchdogDeadline, self.now >= deadline,
            let postmaster = self.postmaster
        else { return }
        self.watchdogDeadline = nil
        self.world.endPostgres(postmaster)
    }

    private func watchdogLooks() {
        guard self.isAlive, let deadline = self.watchdogDeadline else { return }
        guard self.now >= deadline else { return self.watchLater(deadline) }
        self.watchdogDeadline = nil
        guard let postmaster = self.postmaster else { return }
        self.note("watchdog stops PostgreSQL")
        postmaster.isQuitting = true
        // SIGQUIT, and SIGKILL when that does not help within a second.
        let patience = self.world.random.chance(0.8) ? self.world.random.between(1, 30) : 1000
        self.world.after(patience * World.millisecond) { [world = self.world] in
            postmaster.machine.run { world.endPostgres(postmaster) }
        }
    }
}
