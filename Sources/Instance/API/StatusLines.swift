internal import EventLoop
internal import InstanceAPI
internal import PostgresClusterAPI
internal import Synchronization

/// The lines of one stream of statuses, for a reader that may lag: the newest status, and signs of life in between.
final class StatusLines: Sendable {
    /// What is written next.
    enum Line: Sendable {
        case status(InstanceStatus)
        case position(LSN)
        case empty
    }

    private struct State {
        /// Written next; nil when everything has been written.
        var pending: InstanceStatus?
        /// What the reader knows, but for positions.
        var told: InstanceStatus?
        /// What it does not know yet.
        var position: LSN?
    }

    /// Whether a primary's position is told by itself.
    private let isBrief: Bool
    private let state = Lock(State())
    /// Yields when a line is due.
    let due: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init(isBrief: Bool = false) {
        self.isBrief = isBrief
        (self.due, self.continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// Makes this the next line, in place of an older one that was not written yet.
    ///
    /// On a brief stream a primary's status that is known but for its position waits for the next sign of life.
    func send(_ status: InstanceStatus, isComplete: Bool = false) {
        let isDue = self.state.withLock { state in
            let known = self.isBrief ? status.withoutPositions : nil
            if let known, !isComplete, status.role == .primary, state.told == known, let position = status.currentLSN {
                // One that is not written yet carries it.
                if state.pending != nil { state.pending = status } else { state.position = position }
                return false
            }
            state.pending = status
            state.told = known
            state.position = nil
            return true
        }
        if isDue { self.continuation.yield() }
    }

    /// Makes a line due, an empty one when there is no news.
    func keepAlive() { self.continuation.yield() }

    func finish() { self.continuation.finish() }

    /// What is to be written.
    func next() -> Line {
        self.state.withLock { state in
            defer {
                state.pending = nil
                state.position = nil
            }
            if let pending = state.pending { return .status(pending) }
            return state.position.map { .position($0) } ?? .empty
        }
    }
}
