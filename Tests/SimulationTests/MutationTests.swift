import Simulation
import Testing

/// Each of these rules is broken on purpose once; a simulator that does not notice proves nothing.
@Suite("Broken rules")
struct MutationTests {
    @Test(
        "are noticed within a hundred seeds, by what they are there for",
        .timeLimit(.minutes(5)),
        arguments: [
            (Mutation.noSelfStop, "two instances accept writes"),
            (.leaseNotWatched, "two instances accept writes"),
            (.statusNotReadAgain, "when that was over"),
            (.endNotAwaited, "acknowledged rows"),
            (.labelsReversed, "labelled master"),
            (.positionsNotCompared, "streams another history"),
        ]
    )
    func isCaught(mutation: Mutation, rule: String) {
        let isCaught = (UInt64(1)...100)
            .contains { Simulation(seed: $0, mutation: mutation).run().violation?.contains(rule) == true }
        #expect(isCaught)
    }
}
