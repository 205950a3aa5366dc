package import Fence

/// What the watchdog does when: no clock, no descriptor, no signal inside.
///
///     guarding --deadline passed--> quitting --a second--> killing --all gone--> guarding (no deadline)
///         |                                                   |
///         +------------------ supervisor gone --------------->+--> finished
package struct WatchdogMachine: Sendable {
    package enum Action: Sendable, Hashable {
        /// Wait for a message, at most until then (nil: for ever).
        case wait(until: BootTime?)
        /// Ask the postmaster for an immediate stop.
        case quit(pid: Int32)
        /// Kill everything that works in the data directory, the postmaster first.
        case kill(pid: Int32?)
        case exit
    }

    private enum State: Hashable {
        case guarding
        case quitting(until: BootTime)
        case finished
    }

    private static let patience = Duration.seconds(1)

    private var state = State.guarding
    private var deadline: BootTime?
    private var postmaster: Int32?
    private var supervisorIsGone = false

    package init() {}

    package mutating func received(_ message: WatchdogMessage) {
        switch message {
        case .deadline(let time):
            self.deadline = time
        case .clear:
            self.deadline = nil
            self.state = .guarding
        case .postmaster(let pid):
            self.postmaster = pid
        case .finished:
            self.state = .finished
        }
    }

    /// The other end of the socket was closed: the supervisor died.
    package mutating func supervisorDied() {
        self.supervisorIsGone = true
    }

    package mutating func next(now: BootTime) -> Action {
        if self.state == .finished { return .exit }
        if self.supervisorIsGone {
            // PostgreSQL is dying of its parent-death signal; take what is left of it along.
            self.state = .finished
            return .kill(pid: self.postmaster)
        }
        switch self.state {
        case .guarding:
            guard let deadline = self.deadline else { return .wait(until: nil) }
            guard now >= deadline else { return .wait(until: deadline) }
            guard let postmaster = self.postmaster else {
                self.deadline = nil
                return .kill(pid: nil)
            }
            self.state = .quitting(until: now + Self.patience)
            return .quit(pid: postmaster)
        case .quitting(let until):
            guard now >= until else { return .wait(until: until) }
            self.state = .guarding
            self.deadline = nil
            return .kill(pid: self.postmaster)
        case .finished:
            return .exit
        }
    }
}
