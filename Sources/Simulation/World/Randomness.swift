internal import SeededRandom

/// What is left to chance in a world: the same for the same seed, for ever.
struct Randomness: RandomNumberGenerator {
    private var generator: SeededGenerator

    init(seed: UInt64) {
        // Seeds are neighbours, their numbers must not be.
        var first = SeededGenerator(seed: seed)
        self.generator = SeededGenerator(seed: first.next())
    }

    mutating func next() -> UInt64 { self.generator.next() }

    /// From 0 to `limit - 1`.
    mutating func below(_ limit: Int) -> Int {
        guard limit > 1 else { return 0 }
        return Int((self.next() >> 32).multipliedReportingOverflow(by: UInt64(limit)).partialValue >> 32)
    }

    /// From `low` to `high`, both included; wide ranges lose their lowest bits.
    mutating func between(_ low: Int, _ high: Int) -> Int {
        let width = high - low + 1
        return width < 1 << 31 ? low + self.below(width) : low + self.below(width >> 20) << 20
    }

    mutating func chance(_ probability: Double) -> Bool {
        Double(self.next() >> 11) * 0x1p-53 < probability
    }

    mutating func pick<Element>(_ elements: [Element]) -> Element? {
        elements.isEmpty ? nil : elements[self.below(elements.count)]
    }
}
