internal import Foundation

/// Counts of requests by client, verb and resource.
struct FleetRequests: Sendable {
    private(set) var counts: [String: Int] = [:]

    /// Reads `apiserver_request_total`.
    init(metrics: String) {
        for line in metrics.split(separator: "\n") where line.hasPrefix("apiserver_request_total{") {
            let parts = line.split(separator: "\"", omittingEmptySubsequences: false).map(String.init)
            guard parts.count >= 7, let count = Int(parts[6].drop { $0 != " " }.dropFirst()) else { continue }
            let client = parts[1].contains("(operator)") ? "operator" : "fleet"
            self.counts["\(client) \(parts[3]) \(parts[5])", default: 0] += count
        }
    }

    /// What came since an earlier look.
    func since(_ earlier: FleetRequests) -> [String: Int] {
        self.counts.merging(earlier.counts) { $0 - $1 }.filter { $0.value > 0 }
    }
}

/// Named figures of one number of clusters, in order.
struct FleetFigures: Sendable {
    private var figures: [(key: String, text: String)] = []

    mutating func add(_ key: String, _ value: Int) { self.figures.append((key, "\(value)")) }

    mutating func add(_ key: String, _ value: Double) {
        self.figures.append((key, String(format: "%.3f", value)))
    }

    mutating func add(_ key: String, _ counts: [String: Int]) {
        let members = counts.sorted { $0.key < $1.key }.map { (key: $0.key, text: "\($0.value)") }
        self.figures.append((key, JSONObjectText(members).text))
    }

    var text: String { self.figures.map { "  \($0.key): \($0.text)" }.joined(separator: "\n") }
    var json: String { JSONObjectText(self.figures).text }
}

extension [Double] {
    /// The smallest value that so large a part of all does not exceed.
    func percentile(_ part: Double) -> Double {
        guard !self.isEmpty else { return 0 }
        let sorted = self.sorted()
        return sorted[Swift.min(sorted.count - 1, Int((part * Double(sorted.count)).rounded(.up)) - 1)]
    }
}

extension Duration {
    /// In seconds.
    var inSeconds: Double {
        Double(self.components.seconds) + Double(self.components.attoseconds) / 1e18
    }
}
