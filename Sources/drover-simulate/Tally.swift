internal import ArgumentParser
internal import Foundation
internal import Simulation

/// How far a run is.
struct Tally: Codable {
    /// A run in which a rule was broken.
    struct Finding: Codable, CustomStringConvertible {
        var seed: UInt64
        var step: Int
        var violation: String

        var description: String { "seed \(self.seed), step \(self.step): \(self.violation)" }
    }

    private var first: UInt64
    /// The first seed that has not been run.
    private(set) var next: UInt64
    private(set) var steps = 0
    /// By seed.
    private(set) var findings: [Finding] = []

    init(first: UInt64) {
        self.first = first
        self.next = first
    }

    /// Goes on where a file says, if there is one.
    /// - Throws: when it is about another run, or cannot be read.
    init(file: String, first: UInt64) throws {
        guard FileManager.default.fileExists(atPath: file) else {
            self.init(first: first)
            return
        }
        self = try JSONDecoder().decode(Tally.self, from: Data(contentsOf: URL(filePath: file)))
        guard self.first == first else {
            throw ValidationError("\(file) is about a run from seed \(self.first): remove it, or name another file.")
        }
    }

    /// Counts the next seeds in.
    /// - Returns: what was found among them.
    mutating func add(_ outcomes: [Simulation.Outcome]) -> [Finding] {
        self.next += UInt64(outcomes.count)
        self.steps += outcomes.reduce(0) { $0 + $1.steps }
        let new = outcomes.sorted { $0.seed < $1.seed }
            .compactMap { outcome in
                outcome.violation.map { Finding(seed: outcome.seed, step: outcome.steps, violation: $0) }
            }
        self.findings += new
        return new
    }

    func write(to file: String) throws {
        try JSONEncoder().encode(self).write(to: URL(filePath: file), options: .atomic)
    }
}
