/// The syntax of Prometheus' text format.
enum MetricsSyntax {
    /// A metric's name; characters that may not be in one become underscores.
    static func name(_ text: String) -> String {
        let name = String(
            text.unicodeScalars.map { scalar in
                let isFine =
                    ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || ("0"..."9").contains(scalar)
                    || scalar == "_" || scalar == ":"
                return isFine ? Character(scalar) : "_"
            }
        )
        return name.first.map { ("0"..."9").contains($0) } == false ? name : "_" + name
    }

    /// Labels in the order of their names: `a="b",c="d"`.
    static func labels(_ dimensions: [(String, String)]) -> String {
        dimensions.map { (key: self.name($0.0), value: $0.1) }
            .sorted { $0.key < $1.key }
            .map { "\($0.key)=\"\(self.escape($0.value))\"" }
            .joined(separator: ",")
    }

    static func line(_ name: String, _ labels: String, _ value: String) -> String {
        labels.isEmpty ? "\(name) \(value)" : "\(name){\(labels)} \(value)"
    }

    /// A number without a needless fraction.
    static func number(_ value: Double) -> String {
        if let whole = Int64(exactly: value) { return String(whole) }
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return String(value)
    }

    private static func escape(_ text: String) -> String {
        var escaped = ""
        for character in text {
            switch character {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n", "\r\n": escaped += "\\n"
            default: escaped.append(character)
            }
        }
        return escaped
    }
}
