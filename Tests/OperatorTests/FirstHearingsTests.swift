import Operator
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1)))
struct FirstHearingsTests {
    private final class Counts: Sendable {
        private let state = Mutex((inside: 0, most: 0, all: 0))

        var most: Int { self.state.withLock { $0.most } }
        var all: Int { self.state.withLock { $0.all } }

        func entered() {
            self.state.withLock { state in
                state.inside += 1
                state.most = max(state.most, state.inside)
                state.all += 1
            }
        }

        func left() { self.state.withLock { $0.inside -= 1 } }
    }

    @Test
    func `so many at a time, and everybody in the end`() async {
        let hearings = FirstHearings(limit: 3)
        let counts = Counts()
        await withDiscardingTaskGroup { group in
            for _ in 0..<50 {
                group.addTask {
                    let place = await hearings.enter()
                    counts.entered()
                    await Task.yield()
                    counts.left()
                    place.leave()
                    // Another time changes nothing.
                    place.leave()
                }
            }
        }
        #expect(counts.all == 50)
        #expect(counts.most <= 3)
    }

    @Test
    func `whoever is cancelled waits no longer, and others still get their turn`() async {
        let hearings = FirstHearings(limit: 1)
        let first = await hearings.enter()
        let cancelled = Task { await hearings.enter() }
        cancelled.cancel()
        await cancelled.value.leave()
        let next = Task { await hearings.enter() }
        first.leave()
        await next.value.leave()
    }
}
