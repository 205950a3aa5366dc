internal import Foundation
package import InstanceAPI

/// Reads what PostgreSQL says when it does not accept a configuration.
package enum SettingsCheck {
    /// More than this is not told: one has to be mended after the other anyway.
    private static let maximumCount = 8
    private static let maximumLength = 400

    /// What `postgres -C` or `postgres --check` complained about, written without a prefix before each line.
    ///
    /// - Parameters:
    ///   - output: what it wrote to its standard error until it gave up.
    ///   - parameters: the settings of the spec, by lower-case name.
    /// - Returns: at least one refusal.
    package static func refusals(in output: String, parameters: [String: String]) -> [InstanceStatus.Refusal] {
        var complaints: [String] = []
        for line in output.split(separator: "\n") {
            if let hint = self.text(of: line, "HINT:") ?? self.text(of: line, "DETAIL:") {
                if let last = complaints.indices.last { complaints[last] += "; \(hint)" }
            } else if let text = self.text(of: line, "FATAL:") ?? self.text(of: line, "ERROR:")
                ?? self.text(of: line, "PANIC:")
            {
                // Only says that there was something before.
                if !text.hasPrefix("configuration file") || complaints.isEmpty { complaints.append(text) }
            } else if let text = self.text(of: line, "LOG:") {
                if text.contains("parameter \"") || text.hasPrefix("syntax error") { complaints.append(text) }
            } else if let text = self.text(of: line, "postgres:") {
                complaints.append(text)
            }
        }
        if complaints.isEmpty { complaints = ["PostgreSQL does not start with these settings, and does not say why"] }
        return complaints.prefix(Self.maximumCount).map { self.refusal($0, parameters: parameters) }
    }

    /// One refusal of a setting, or of all of them together when it names none of the spec.
    static func refusal(_ complaint: String, parameters: [String: String]) -> InstanceStatus.Refusal {
        let name = self.culprit(of: complaint, parameters: parameters)
        return InstanceStatus.Refusal(
            part: .parameters,
            field: "spec.postgres.parameters" + (name.map { ".\($0)" } ?? ""),
            value: name.flatMap { parameters[$0] }.map { self.cut($0, 64) },
            message: self.cut(self.withoutPlace(complaint), Self.maximumLength)
        )
    }

    private static func text(of line: Substring, _ severity: String) -> String? {
        guard line.hasPrefix(severity) else { return nil }
        return String(line.dropFirst(severity.count).drop { $0 == " " })
    }

    /// The setting of the spec that a complaint names, or of which it quotes the value.
    private static func culprit(of complaint: String, parameters: [String: String]) -> String? {
        if let start = complaint.range(of: "parameter \"")?.upperBound {
            let name = complaint[start...].prefix { $0 != "\"" }.lowercased()
            if parameters[name] != nil { return name }
        }
        let words = Set(
            complaint.lowercased().split { !($0.isASCII && ($0.isLetter || $0.isNumber) || $0 == "_" || $0 == ".") }
                .map(String.init)
        )
        // Lower-case ones are few and long, and the longest is the most telling.
        let named = parameters.keys.filter { words.contains($0) }.max { ($0.count, $0) < ($1.count, $1) }
        if let named { return named }
        guard let start = complaint.range(of: "\"")?.upperBound else { return nil }
        let quoted = String(complaint[start...].prefix { $0 != "\"" })
        return quoted.isEmpty ? nil : parameters.filter { $0.value.contains(quoted) }.keys.min()
    }

    /// Without the file and its line, which are nobody's but ours.
    private static func withoutPlace(_ complaint: String) -> String {
        guard let start = complaint.range(of: " in file \"") else { return complaint }
        let rest = complaint[start.upperBound...].drop { $0 != "\"" }.dropFirst()
        let tail = rest.hasPrefix(" line ") ? rest.dropFirst(6).drop { $0.isNumber } : rest
        return String(complaint[..<start.lowerBound] + tail)
    }

    private static func cut(_ text: String, _ length: Int) -> String {
        text.unicodeScalars.count <= length ? text : "\(text.prefix(length - 3))..."
    }
}
