import Simulation
import Testing

/// Each of these rules is broken on purpose once; a simulator that does not notice proves nothing.
@Suite("Broken rules", .serialized)
struct MutationTests {
    @Test(
        "are noticed within a thousand seeds, by what they are there for",
        .timeLimit(.minutes(5)),
        arguments: [
            (Mutation.noSelfStop, "two instances accept writes"),
            (.noWatchdog, "two instances accept writes"),
            (.leaseNotWatched, "two instances accept writes"),
            (.ownPromiseIgnored, "two instances accept writes"),
            (.joiningNotAcknowledged, "two instances accept writes"),
            (.fenceNotAwaited, "two instances accept writes"),
            (.statusNotReadAgain, "when that was over"),
            (.statusOverwritten, "the term went from"),
            (.endNotAwaited, "acknowledged rows"),
            (.quorumNotAwaited, "synchronous ones among them"),
            (.lossNotBounded, "was known"),
            (.labelsReversed, "labelled master"),
            (.positionsNotCompared, "streams another history"),
            (.demotionNotPersisted, "by a planned move"),
        ]
    )
    func isCaught(mutation: Mutation, rule: String) async {
        // Where to begin, so that it does not take long.
        let first: UInt64 =
            switch mutation {
            case .demotionNotPersisted: 1501
            case .joiningNotAcknowledged: 2501
            default: 1
            }
        for seed in first..<first + 1000 {
            if Simulation(seed: seed, mutation: mutation).run().violation?.contains(rule) == true { return }
            // Other tests have clocks that run.
            await Task.yield()
        }
        Issue.record("no seed has noticed")
    }
}
