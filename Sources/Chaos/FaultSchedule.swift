internal import SeededRandom

/// The faults of one run and the pauses between them: the same for the same seed.
struct FaultSchedule: Sendable, Sequence, IteratorProtocol {
    /// One step of a run.
    enum Step: Sendable, Hashable {
        /// Waits so many milliseconds.
        case pause(Int)
        /// Begins a fault, and goes on at once when it lasts and `isAwaited` is false.
        case begin(Fault, isAwaited: Bool)
        /// Undoes everything and waits until the clusters are whole.
        case settle
    }

    private var generator: SeededGenerator
    private let kinds: [Fault.Kind]
    private var queue: [Step] = []
    private var sinceSettling = 0

    /// After so many faults everything is undone, and the clusters must become whole again.
    static let faultsBetweenSettling = 8
    /// No fault lasts longer, in milliseconds.
    static let longest = 25_000

    /// Makes the schedule of a seed, with these kinds of faults.
    init(seed: UInt64, kinds: [Fault.Kind] = Fault.Kind.allCases) {
        self.generator = SeededGenerator(seed: seed)
        self.kinds = kinds
    }

    mutating func next() -> Step? {
        if self.queue.isEmpty { self.plan() }
        return self.queue.isEmpty ? nil : self.queue.removeFirst()
    }

    private mutating func plan() {
        guard !self.kinds.isEmpty else { return }
        if self.sinceSettling >= Self.faultsBetweenSettling {
            self.sinceSettling = 0
            self.queue = [.settle]
            return
        }
        self.sinceSettling += 1
        let fault = self.fault()
        // One in three meets the next one while it lasts.
        let isAwaited = !fault.kind.lasts || Int.random(in: 0..<3, using: &self.generator) > 0
        self.queue = [
            .begin(fault, isAwaited: isAwaited),
            .pause(Int.random(in: 100...3_000, using: &self.generator)),
        ]
    }

    private mutating func fault() -> Fault {
        var rest = Int.random(in: 0..<self.kinds.reduce(0) { $0 + $1.weight }, using: &self.generator)
        var kind = self.kinds[0]
        for candidate in self.kinds {
            kind = candidate
            rest -= candidate.weight
            if rest < 0 { break }
        }
        // Mostly short, so that what begins while something else recovers is seen; some outlast every deadline.
        let isLong = Int.random(in: 0..<4, using: &self.generator) == 0
        let duration = Int.random(in: isLong ? 8_000...Self.longest : 500...6_000, using: &self.generator)
        return Fault(
            kind: kind,
            target: Int.random(in: 0..<3, using: &self.generator) == 0 ? .replica : .primary,
            duration: kind.lasts ? duration : 0,
            choice: self.generator.next()
        )
    }
}
