internal import CLinux
internal import EventLoop
internal import Foundation
internal import Glibc
internal import Synchronization

/// How a container ended.
struct ContainerExit: Sendable, Equatable {
    /// What the program returned, or 128 and the signal's number.
    var code: Int32
    var finishedAt: Date
}

/// One running container: the process that is its PID 1, seen from the host.
final class ContainerProcess: Sendable {
    private struct State {
        /// Descriptor of PID 1 inside; -1 until known and after the end.
        var descriptor: Int32 = -1
        var process: pid_t?
        var exit: ContainerExit?
        /// Signals sent before the process inside was known.
        var pending: [Int32] = []
        var waiters: [UInt64: CheckedContinuation<ContainerExit?, Never>] = [:]
        var nextWaiter: UInt64 = 0
    }

    /// Made anew for every start, so that two runs of one container are told apart.
    let id: String
    let startedAt: Date
    let log: ContainerLog
    private let state = Lock(State())

    init(id: String, startedAt: Date, log: ContainerLog) {
        self.id = id
        self.startedAt = startedAt
        self.log = log
    }

    /// How it ended, once it has.
    var exit: ContainerExit? { self.state.withLock { $0.exit } }

    /// PID 1 inside, by its number on the host, while it runs.
    var processID: pid_t? { self.state.withLock { $0.exit == nil ? $0.process : nil } }

    /// Sends a signal to PID 1 inside, if it has not ended.
    ///
    /// As PID 1 of its namespace the process gets only signals that it handles, save `SIGKILL`, which takes every
    /// process of the namespace with it.
    func signal(_ signal: Int32) {
        self.state.withLock { state in
            guard state.exit == nil else { return }
            if state.descriptor >= 0 {
                _ = drover_pidfd_send_signal(state.descriptor, signal)
            } else {
                state.pending.append(signal)
            }
        }
    }

    /// Waits for the end; gives nil when the waiting task is cancelled first.
    func waitForExit() async -> ContainerExit? {
        let id = self.state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let early: ContainerExit?? = self.state.withLock { state in
                    if let exit = state.exit { return .some(exit) }
                    if Task.isCancelled { return .some(nil) }
                    state.waiters[id] = continuation
                    return nil
                }
                if let early { continuation.resume(returning: early) }
            }
        } onCancel: {
            let waiter = self.state.withLock { $0.waiters.removeValue(forKey: id) }
            waiter?.resume(returning: nil)
        }
    }

    /// Called once, when bubblewrap has told the process identifier.
    func innerProcessFound(_ process: pid_t) {
        self.state.withLock { state in
            guard state.exit == nil, state.descriptor < 0 else { return }
            state.process = process
            state.descriptor = drover_pidfd_open(process)
            guard state.descriptor >= 0 else { return }
            for signal in state.pending {
                _ = drover_pidfd_send_signal(state.descriptor, signal)
            }
            state.pending = []
        }
    }

    /// Called once, when bubblewrap has ended, and with it everything inside.
    func ended(_ exit: ContainerExit) {
        let waiters = self.state.withLock { state in
            state.exit = exit
            if state.descriptor >= 0 { _ = close(state.descriptor) }
            state.descriptor = -1
            defer { state.waiters = [:] }
            return state.waiters
        }
        self.log.finish()
        for waiter in waiters.values { waiter.resume(returning: exit) }
    }
}
