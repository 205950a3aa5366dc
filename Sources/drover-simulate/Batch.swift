internal import Simulation

/// Some seeds, run on all cores.
struct Batch: Sendable {
    /// So many at most: progress is noted between batches.
    private static let size: UInt64 = 2000

    var first: UInt64
    var end: UInt64
    var jobs: Int
    var mutation: Mutation?
    var isMad: Bool

    @concurrent
    func run() async -> [Simulation.Outcome] {
        let end = min(self.end, self.first + Self.size)
        return await withTaskGroup(of: [Simulation.Outcome].self) { group in
            for job in 0..<UInt64(self.jobs) {
                group.addTask {
                    // Every so many-th one: neighbours take about the same time.
                    stride(from: self.first + job, to: end, by: self.jobs)
                        .map { Simulation(seed: $0, mutation: self.mutation, isMad: self.isMad).run() }
                }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
    }
}
