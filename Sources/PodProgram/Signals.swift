internal import CLinux
package import EventLoop
internal import Glibc

/// The signals of this process, as events on the event loop.
package actor Signals {
    private nonisolated let eventLoop: EventLoop

    package nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe self.eventLoop.asUnownedSerialExecutor() }

    package init(eventLoop: EventLoop) {
        self.eventLoop = eventLoop
    }

    /// Calls `handler` on the event loop whenever the signal has come (once for several in a row), for as long as the
    /// process lives.
    package func handle(_ signal: Int32, _ handler: @escaping @Sendable () -> Void) throws {
        let descriptor = drover_eventfd()
        guard descriptor >= 0 else { throw EventLoopError(operation: "eventfd", code: errno) }
        _ = try self.eventLoop.register(descriptor, interest: .readable) { _ in
            drover_eventfd_drain(descriptor)
            handler()
        }
        guard drover_signal_to_eventfd(signal, descriptor) == 0 else {
            throw EventLoopError(operation: "sigaction", code: errno)
        }
    }
}
