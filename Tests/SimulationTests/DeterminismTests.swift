import Simulation
import Testing

@Suite("The simulator")
struct DeterminismTests {
    @Test("runs a seed twice in the very same way", .timeLimit(.minutes(3)))
    func repeats() {
        for seed in UInt64(1)...10 {
            #expect(Simulation(seed: seed).run() == Simulation(seed: seed).run())
        }
    }
}
