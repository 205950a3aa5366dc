/// Expands `$(NAME)` the way the kubelet does: unknown names stay as they are written, `$$(NAME)` is the text `$(NAME)`.
enum ContainerEnvironment {
    /// Replaces references in `text` by the values in `values`.
    static func expand(_ text: String, _ values: [String: String]) -> String {
        guard text.contains("$") else { return text }
        var output = ""
        var rest = text[...]
        while let dollar = rest.firstIndex(of: "$") {
            output += rest[..<dollar]
            rest = rest[rest.index(after: dollar)...]
            if rest.first == "$" {
                output += "$"
                rest = rest.dropFirst()
            } else if rest.first == "(", let end = rest.firstIndex(of: ")") {
                let name = String(rest[rest.index(after: rest.startIndex)..<end])
                output += values[name] ?? "$(\(name))"
                rest = rest[rest.index(after: end)...]
            } else {
                output += "$"
            }
        }
        return output + rest
    }
}
