internal import EventLoop
internal import InstanceAPI
internal import Synchronization

/// The lines of one stream of statuses, for a reader that may lag: the newest status, and signs of life in between.
final class StatusLines: Sendable {
    /// Written next; nil when everything has been written.
    private let pending = Lock<InstanceStatus?>(nil)
    /// Yields when a line is due.
    let due: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() {
        (self.due, self.continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// Makes this the next line, in place of an older one that was not written yet.
    func send(_ status: InstanceStatus) {
        self.pending.withLock { $0 = status }
        self.continuation.yield()
    }

    /// Makes a line due, an empty one when there is no news.
    func keepAlive() { self.continuation.yield() }

    func finish() { self.continuation.finish() }

    /// The status to be written, nil for an empty line.
    func next() -> InstanceStatus? {
        self.pending.withLock { pending in
            defer { pending = nil }
            return pending
        }
    }
}
