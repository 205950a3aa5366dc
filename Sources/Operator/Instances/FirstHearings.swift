internal import EventLoop
internal import Synchronization

/// Lets so many at a time make the first connection to an instance of which this process knows nothing yet.
///
/// A new leader has thousands of them to make. All at once they would take so long that the instances seem not to
/// answer, and everybody would ask their peers about them, which takes longer still.
package final class FirstHearings: Sendable {
    /// A place among those who connect; given back once, by whoever comes first.
    package final class Place: Sendable {
        private let isTaken = Lock(true)
        private let hearings: FirstHearings

        fileprivate init(_ hearings: FirstHearings) { self.hearings = hearings }

        /// Lets the next one in.
        package func leave() {
            let wasTaken = self.isTaken.withLock { isTaken in
                defer { isTaken = false }
                return isTaken
            }
            if wasTaken { self.hearings.leave() }
        }
    }

    private struct State {
        var inside = 0
        var nextID: UInt64 = 0
        /// Who waits, by the order in which they came.
        var waiting: [UInt64: CheckedContinuation<Void, Never>] = [:]
        var order: [UInt64] = []
        var first = 0
    }

    private let limit: Int
    private let state = Lock(State())

    /// Makes it with nobody inside.
    package init(limit: Int) { self.limit = limit }

    /// Waits for a place, in order.
    ///
    /// One whose task is cancelled gets one at once, to be given back as well.
    package func enter() async -> Place {
        let id = self.state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let mayEnter = self.state.withLock { state in
                    if state.inside < self.limit || Task.isCancelled {
                        state.inside += 1
                        return true
                    }
                    state.waiting[id] = continuation
                    state.order.append(id)
                    return false
                }
                if mayEnter { continuation.resume() }
            }
        } onCancel: {
            let waiting: CheckedContinuation<Void, Never>? = self.state.withLock { state in
                guard let waiting = state.waiting.removeValue(forKey: id) else { return nil }
                state.inside += 1
                return waiting
            }
            waiting?.resume()
        }
        return Place(self)
    }

    private func leave() {
        let next: CheckedContinuation<Void, Never>? = self.state.withLock { state in
            state.inside -= 1
            guard state.inside < self.limit else { return nil }
            while state.first < state.order.count {
                let id = state.order[state.first]
                state.first += 1
                guard let waiting = state.waiting.removeValue(forKey: id) else { continue }
                state.inside += 1
                return waiting
            }
            state.order = []
            state.first = 0
            return nil
        }
        next?.resume()
    }
}
