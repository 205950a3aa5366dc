package import JSON
internal import SeededRandom

/// Puts values where they do not belong into a document; the same for the same seed.
package struct JSONFuzzer: Sendable {
    private var random: SeededGenerator

    package init(seed: UInt64) {
        self.random = SeededGenerator(seed: seed)
    }

    /// The document with some other values.
    package mutating func mutated(_ document: JSONValue) -> JSONValue {
        var document = document
        for _ in 0..<Int.random(in: 1...6, using: &self.random) { self.mutate(&document, depth: 0) }
        return document
    }

    private mutating func mutate(_ value: inout JSONValue, depth: Int) {
        if depth > 0, Int.random(in: 0..<6, using: &self.random) == 0 {
            value = self.other()
            return
        }
        switch value {
        case .object(var members):
            guard let key = members.keys.sorted().randomElement(using: &self.random), var member = members[key] else {
                break
            }
            switch Int.random(in: 0..<12, using: &self.random) {
            case 0: members[key] = nil
            case 1: members["x" + key] = self.other()
            default:
                self.mutate(&member, depth: depth + 1)
                members[key] = member
            }
            value = .object(members)
            return
        case .array(var elements):
            guard let index = elements.indices.randomElement(using: &self.random) else { break }
            if Int.random(in: 0..<8, using: &self.random) == 0 {
                elements.append(elements[index])
            } else {
                self.mutate(&elements[index], depth: depth + 1)
            }
            value = .array(elements)
            return
        default: break
        }
        value = self.other()
    }

    private mutating func other() -> JSONValue {
        let values: [JSONValue] = [
            .null, true, false, 0, -1, 1, .int(.max), .int(.min), .int(2_147_483_648), 1.5, 1e300, -1e300, "", " ",
            "\u{0}", "\u{FEFF}", "0", "-1", "99999999999999999999", "1e9", "10Gi", "-10Gi", "1E", "999999999999Ei",
            "0.5m",
            "now", "2026-13-45T99:99:99Z", "9999-12-31T23:59:59Z", "0/0", "FFFFFFFF/FFFFFFFF", "orders-999999999999",
            "../..", "a/b/c/d/e", "@", "orders-1@-1", "%", "*", .array([]), .object([:]), .array([.null]),
            .object(["": .null]), .string(String(repeating: "x", count: 3_000)),
            .string(String(repeating: "\u{1F980}", count: 300)),
        ]
        return values.randomElement(using: &self.random) ?? .null
    }
}
