/// What `pgbench --log` says of every transaction.
struct PgbenchLog: Sendable {
    /// When each one ended, seconds since 1970, and how long it took, milliseconds.
    private var transactions: [(end: Double, milliseconds: Int)] = []

    /// Takes in one of its files: client, number, microseconds, script, seconds since 1970, and microseconds of those.
    mutating func read(_ text: String) {
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count > 5, let microseconds = Int(words[2]), let seconds = Double(words[4]),
                let fraction = Double(words[5])
            else { continue }
            self.transactions.append((seconds + fraction / 1_000_000, (microseconds + 500) / 1000))
        }
    }

    /// The longest one, milliseconds.
    var slowest: Int { self.transactions.map(\.milliseconds).max() ?? 0 }

    /// The one in the middle, milliseconds.
    var usual: Int {
        let sorted = self.transactions.map(\.milliseconds).sorted()
        return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
    }

    /// The longest time in which none ended, seconds since 1970.
    var quiet: Range<Double>? {
        let ends = self.transactions.map(\.end).sorted()
        return zip(ends, ends.dropFirst()).max { $0.1 - $0.0 < $1.1 - $1.0 }.map { $0.0..<$0.1 }
    }
}
