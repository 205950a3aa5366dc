public import ClusterPlanning
public import Foundation
internal import JSON

/// Decides what becomes of the file that says how nodes are judged, each time it was looked at.
public struct RankingReader: Sendable {
    /// What is to be done.
    public enum Action: Hashable, Sendable {
        /// Nothing has changed.
        case nothing
        /// Nodes are judged like this from now on.
        case use(NodeRanking)
        /// What is there now cannot be used; what was used goes on.
        case refuse(String)
    }

    private var seen: Data??

    /// Makes a reader that has seen nothing.
    public init() {}

    /// The file was looked at.
    ///
    /// - Parameter contents: what is in it; nil when it is not there, which means the defaults.
    /// - Returns: what is to be done.
    public mutating func read(_ contents: Data?) -> Action {
        if let seen, seen == contents { return .nothing }
        self.seen = contents
        guard let contents else { return .use(NodeRanking()) }
        do {
            return .use(try Self.ranking(contents))
        } catch let problem as Problem {
            return .refuse(problem.text)
        } catch {
            return .refuse("it is no JSON of the right shape: \(error)")
        }
    }

    private struct Problem: Error {
        var text: String
    }

    private static func ranking(_ contents: Data) throws -> NodeRanking {
        let known = ["signals", "poolLabels", "readyLabel", "drainGraceSeconds"]
        guard let members = try JSONValue(parsing: Array(contents)).objectValue else {
            throw Problem(text: "it is no JSON object")
        }
        // A word that is misspelt would silently mean the default.
        if let unknown = members.keys.sorted().first(where: { !known.contains($0) }) {
            throw Problem(text: "nobody knows '\(unknown.prefix(64))'; known are \(known.joined(separator: ", "))")
        }
        let ranking = try JSONDecoder().decode(NodeRanking.self, from: contents)
        for signal in ranking.signals {
            guard (1...3).contains(signal.level) else {
                throw Problem(text: "the level of '\(signal.key.prefix(64))' must be 1, 2 or 3")
            }
            guard !signal.key.isEmpty, signal.key != "*" else { throw Problem(text: "a signal has no key") }
        }
        guard (0...30 * 86_400).contains(ranking.drainGraceSeconds) else {
            throw Problem(text: "drainGraceSeconds must be 0 to 2592000")
        }
        return ranking
    }
}
