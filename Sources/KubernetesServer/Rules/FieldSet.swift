internal import JSON

/// A set of places in an object, in the notation of `fieldsV1`.
///
/// A place is a list of elements: `f:<member>`, `k:<keys of a list element as JSON>`, `v:<value of a set element>`.
struct FieldSet: Hashable, Sendable {
    /// Elements that are themselves in the set.
    private(set) var members: Set<String> = []
    /// What is in the set below an element; never an empty set.
    private(set) var children: [String: FieldSet] = [:]

    /// Whether there is nothing in it.
    var isEmpty: Bool { self.members.isEmpty && self.children.isEmpty }

    /// What is in the set below an element.
    func below(_ element: String) -> FieldSet { self.children[element] ?? FieldSet() }

    /// Adds an element of this level.
    mutating func insert(_ element: String) {
        self.members.insert(element)
    }

    /// Sets what is in the set below an element.
    mutating func setBelow(_ element: String, _ set: FieldSet) {
        self.children[element] = set.isEmpty ? nil : set
    }

    /// Adds a place.
    mutating func insert(path: some Collection<String>) {
        guard let first = path.first else { return }
        if path.count == 1 {
            self.members.insert(first)
        } else {
            self.children[first, default: FieldSet()].insert(path: path.dropFirst())
        }
    }

    /// Everything that is in either.
    func union(_ other: FieldSet) -> FieldSet {
        var result = self
        result.members.formUnion(other.members)
        for (element, set) in other.children {
            result.children[element] = result.below(element).union(set)
        }
        return result
    }

    /// Everything that is in both.
    func intersection(_ other: FieldSet) -> FieldSet {
        var result = FieldSet()
        result.members = self.members.intersection(other.members)
        for (element, set) in self.children {
            if let otherSet = other.children[element] { result.setBelow(element, set.intersection(otherSet)) }
        }
        return result
    }

    /// Everything that is not in `other`.
    func subtracting(_ other: FieldSet) -> FieldSet {
        var result = self
        result.members.subtract(other.members)
        for (element, set) in other.children {
            if let own = self.children[element] { result.setBelow(element, own.subtracting(set)) }
        }
        return result
    }

    /// Everything that is neither in `other` nor below something that is.
    func subtractingRecursively(_ other: FieldSet) -> FieldSet {
        var result = self
        for element in other.members {
            result.members.remove(element)
            result.children[element] = nil
        }
        for (element, set) in other.children {
            if let own = result.children[element] { result.setBelow(element, own.subtractingRecursively(set)) }
        }
        return result
    }

    /// The set with every named field on the way to a place added: a struct that lost its last field goes as well,
    /// data (keys of maps, elements of lists) only when it was owned itself.
    func ensuringNamedFields(_ schema: FieldSchema) -> FieldSet {
        var result = self
        for (element, set) in self.children {
            let below: FieldSchema
            if element.hasPrefix("f:") {
                let name = String(element.dropFirst(2))
                if schema.isNamedField(name) { result.members.insert(element) }
                below = schema.field(name)
            } else {
                below = schema.element
            }
            result.children[element] = set.ensuringNamedFields(below)
        }
        return result
    }

    /// Every place in it, sorted.
    var paths: [[String]] {
        var result: [[String]] = self.members.map { [$0] }
        for (element, set) in self.children {
            result += set.paths.map { [element] + $0 }
        }
        return result.sorted { $0.lexicographicallyPrecedes($1) }
    }

    /// A place as people read it: `.spec.containers[name="postgres"].image`.
    static func describe(_ path: [String]) -> String {
        path.map { element -> String in
            let body = String(element.dropFirst(2))
            switch element.prefix(2) {
            case "f:": return "." + body
            case "k:":
                guard let keys = (try? JSONValue(parsing: body))?.objectValue else { return "[\(body)]" }
                let parts = keys.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value.serialized())" }
                return "[\(parts.joined(separator: ","))]"
            case "v:": return "[=\(body)]"
            default: return "[\(body)]"
            }
        }
        .joined()
    }
}

extension FieldSet {
    /// Reads `fieldsV1`; nil when it is none.
    init?(fieldsV1: JSONValue) {
        guard case .object(let fields) = fieldsV1 else { return nil }
        for (key, value) in fields where key != "." {
            guard let element = Self.canonical(key), case .object(let below) = value else { return nil }
            if below.isEmpty || below["."] != nil { self.members.insert(element) }
            guard let set = FieldSet(fieldsV1: value) else { return nil }
            self.setBelow(element, set)
        }
    }

    /// The element with the keys of its JSON in order, whoever wrote it.
    private static func canonical(_ element: String) -> String? {
        switch element.prefix(2) {
        case "f:", "i:": return element
        case "k:", "v:":
            guard let value = try? JSONValue(parsing: String(element.dropFirst(2))) else { return nil }
            return element.prefix(2) + value.serialized()
        default: return nil
        }
    }

    /// The set as `fieldsV1`.
    var fieldsV1: JSONValue {
        var fields: [String: JSONValue] = [:]
        for (element, set) in self.children {
            var below = set.fieldsV1
            if self.members.contains(element) { below["."] = [:] }
            fields[element] = below
        }
        for element in self.members where self.children[element] == nil {
            fields[element] = [:]
        }
        return .object(fields)
    }
}
