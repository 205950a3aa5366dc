/// Random numbers from a seed (SplitMix64): the same on every machine, for ever.
struct Randomness: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        self.state = seed
        // Seeds are neighbours, their numbers must not be.
        self.state = self.next()
    }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var value = self.state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }

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
