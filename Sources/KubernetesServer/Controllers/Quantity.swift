internal import JSON

/// Amounts as Kubernetes writes them: `500m`, `2`, `16Gi`, `1e3`.
enum Quantity {
    private static let suffixes: [(String, Double)] = [
        ("Ki", 1_024), ("Mi", 1_048_576), ("Gi", 1_073_741_824), ("Ti", 1_099_511_627_776),
        ("Pi", 1_125_899_906_842_624), ("Ei", 1_152_921_504_606_846_976), ("n", 1e-9), ("u", 1e-6), ("m", 1e-3),
        ("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12), ("P", 1e15), ("E", 1e18),
    ]

    /// The amount, nil when it is none.
    static func parse(_ text: String) -> Double? {
        if let plain = Double(text), plain.isFinite { return plain }
        for (suffix, factor) in self.suffixes where text.hasSuffix(suffix) {
            guard let number = Double(text.dropLast(suffix.count)), number.isFinite else { return nil }
            return number * factor
        }
        return nil
    }

    /// The amount in an object, where a whole number may also be a number.
    static func parse(_ value: JSONValue?) -> Double? {
        switch value {
        case .string(let text)?: self.parse(text)
        case .int(let number)?: Double(number)
        case .double(let number)?: number
        default: nil
        }
    }
}
