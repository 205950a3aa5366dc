internal import EventLoop
internal import Synchronization

/// Whether the server listens yet, and who waits for it.
final class ListeningState: Sendable {
    private enum State {
        case starting(waiters: [UInt64: CheckedContinuation<Int, any Error>])
        case listening(port: Int)
        case failed(any Error)
    }

    private let state = Lock<(state: State, nextWaiter: UInt64)>((state: .starting(waiters: [:]), nextWaiter: 0))

    var port: Int? {
        self.state.withLock { if case .listening(let port) = $0.state { port } else { nil } }
    }

    func succeed(_ port: Int) {
        self.finish(.listening(port: port)) { $0.resume(returning: port) }
    }

    func fail(_ error: any Error) {
        self.finish(.failed(error)) { $0.resume(throwing: error) }
    }

    private func finish(_ end: State, _ resume: (CheckedContinuation<Int, any Error>) -> Void) {
        let waiters = self.state.withLock { value -> [CheckedContinuation<Int, any Error>] in
            var waiting: [CheckedContinuation<Int, any Error>] = []
            if case .starting(let waiters) = value.state { waiting = Array(waiters.values) }
            value.state = end
            return waiting
        }
        for waiter in waiters {
            resume(waiter)
        }
    }

    func wait() async throws -> Int {
        let id = self.state.withLock { value -> UInt64 in
            value.nextWaiter += 1
            return value.nextWaiter
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let answer: Result<Int, any Error>? = self.state.withLock { value in
                    switch value.state {
                    case .starting(var waiters):
                        if Task.isCancelled { return .failure(CancellationError()) }
                        waiters[id] = continuation
                        value.state = .starting(waiters: waiters)
                        return nil
                    case .listening(let port): return .success(port)
                    case .failed(let error): return .failure(error)
                    }
                }
                if let answer { continuation.resume(with: answer) }
            }
        } onCancel: {
            let waiter = self.state.withLock { value -> CheckedContinuation<Int, any Error>? in
                guard case .starting(var waiters) = value.state else { return nil }
                let waiter = waiters.removeValue(forKey: id)
                value.state = .starting(waiters: waiters)
                return waiter
            }
            waiter?.resume(throwing: CancellationError())
        }
    }
}
