internal import JSON

/// JSON patch (RFC 6902).
enum JSONPatch {
    /// How many operations the API server takes at most.
    static let maximumOperations = 10_000

    /// The document after all operations of the patch, in their order.
    /// - Throws: ``PatchError``: malformed for what is no patch, unprocessable for a path that is not there or a test
    ///   that fails.
    static func apply(_ patch: JSONValue, to document: JSONValue) throws(PatchError) -> JSONValue {
        guard case .array(let operations) = patch else {
            throw .malformed("a JSON patch is an array of operations")
        }
        guard operations.count <= self.maximumOperations else {
            throw .malformed(
                "the allowed maximum operations in a JSON patch is \(self.maximumOperations), got \(operations.count)"
            )
        }
        var result = document
        for operation in operations {
            try self.perform(operation, on: &result)
        }
        return result
    }

    private static func perform(_ operation: JSONValue, on document: inout JSONValue) throws(PatchError) {
        guard let name = operation["op"]?.stringValue else { throw .malformed("operation without \"op\"") }
        guard let pathText = operation["path"]?.stringValue else { throw .malformed("operation without \"path\"") }
        let path = try self.pointer(pathText)
        switch name {
        case "add":
            guard let value = operation["value"] else { throw .malformed("\"add\" without \"value\"") }
            try self.add(value, at: path, in: &document)
        case "remove":
            _ = try self.remove(at: path, in: &document)
        case "replace":
            guard let value = operation["value"] else { throw .malformed("\"replace\" without \"value\"") }
            try self.replace(with: value, at: path, in: &document)
        case "move":
            let from = try self.source(of: operation)
            guard !path.starts(with: from) || path.count == from.count else {
                throw .malformed("cannot move a value into itself: \(pathText)")
            }
            let value = try self.remove(at: from, in: &document)
            try self.add(value, at: path, in: &document)
        case "copy":
            let value = try self.value(at: self.source(of: operation), in: document)
            try self.add(value, at: path, in: &document)
        case "test":
            let expected = operation["value"] ?? .null
            guard try self.value(at: path, in: document) == expected else {
                throw .unprocessable("testing value \(pathText) failed")
            }
        default:
            throw .malformed("unknown operation \"\(name)\"")
        }
    }

    private static func source(of operation: JSONValue) throws(PatchError) -> [String] {
        guard let from = operation["from"]?.stringValue else { throw .malformed("operation without \"from\"") }
        return try self.pointer(from)
    }

    /// The parts of a JSON pointer (RFC 6901).
    static func pointer(_ text: String) throws(PatchError) -> [String] {
        if text.isEmpty { return [] }
        guard text.hasPrefix("/") else { throw .malformed("path \"\(text)\" does not start with \"/\"") }
        return text.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
            .map { part in
                part.contains("~")
                    ? String(part).split(separator: "~1", omittingEmptySubsequences: false)
                        .map {
                            $0.split(separator: "~0", omittingEmptySubsequences: false).joined(separator: "~")
                        }
                        .joined(separator: "/") : String(part)
            }
    }

    private static func index(_ text: String, upTo limit: Int) throws(PatchError) -> Int {
        guard let index = Int(text), index >= 0, String(index) == text else {
            throw .unprocessable("\"\(text)\" is no index of an array")
        }
        guard index < limit else { throw .unprocessable("index \(index) is out of bounds") }
        return index
    }

    private static func value(at path: [String], in document: JSONValue) throws(PatchError) -> JSONValue {
        var current = document
        for part in path {
            switch current {
            case .object(let members):
                guard let member = members[part] else { throw self.missing(path) }
                current = member
            case .array(let elements):
                current = elements[try self.index(part, upTo: elements.count)]
            case .null, .bool, .int, .double, .string:
                throw self.missing(path)
            }
        }
        return current
    }

    private static func missing(_ path: [String]) -> PatchError {
        .unprocessable("the path /\(path.joined(separator: "/")) does not exist")
    }

    /// Changes the container that holds the last part of `path`.
    private static func change<Result>(
        _ path: ArraySlice<String>,
        whole: [String],
        in document: inout JSONValue,
        _ body: (inout JSONValue, String) throws(PatchError) -> Result
    ) throws(PatchError) -> Result {
        guard let first = path.first else { throw self.missing(whole) }
        if path.count == 1 { return try body(&document, first) }
        switch document {
        case .object(var members):
            guard var member = members[first] else { throw self.missing(whole) }
            let result = try self.change(path.dropFirst(), whole: whole, in: &member, body)
            members[first] = member
            document = .object(members)
            return result
        case .array(var elements):
            let index = try self.index(first, upTo: elements.count)
            let result = try self.change(path.dropFirst(), whole: whole, in: &elements[index], body)
            document = .array(elements)
            return result
        case .null, .bool, .int, .double, .string:
            throw self.missing(whole)
        }
    }

    private static func add(_ value: JSONValue, at path: [String], in document: inout JSONValue) throws(PatchError) {
        if path.isEmpty {
            document = value
            return
        }
        try self.change(path[...], whole: path, in: &document) { (container, key) throws(PatchError) in
            switch container {
            case .object(var members):
                members[key] = value
                container = .object(members)
            case .array(var elements):
                if key == "-" {
                    elements.append(value)
                } else {
                    elements.insert(value, at: try self.index(key, upTo: elements.count + 1))
                }
                container = .array(elements)
            case .null, .bool, .int, .double, .string:
                throw self.missing(path)
            }
        }
    }

    private static func remove(at path: [String], in document: inout JSONValue) throws(PatchError) -> JSONValue {
        try self.change(path[...], whole: path, in: &document) { (container, key) throws(PatchError) in
            switch container {
            case .object(var members):
                guard let value = members.removeValue(forKey: key) else { throw self.missing(path) }
                container = .object(members)
                return value
            case .array(var elements):
                let value = elements.remove(at: try self.index(key, upTo: elements.count))
                container = .array(elements)
                return value
            case .null, .bool, .int, .double, .string:
                throw self.missing(path)
            }
        }
    }

    private static func replace(
        with value: JSONValue,
        at path: [String],
        in document: inout JSONValue
    ) throws(PatchError) {
        if path.isEmpty {
            document = value
            return
        }
        try self.change(path[...], whole: path, in: &document) { (container, key) throws(PatchError) in
            switch container {
            case .object(var members):
                guard members[key] != nil else { throw self.missing(path) }
                members[key] = value
                container = .object(members)
            case .array(var elements):
                elements[try self.index(key, upTo: elements.count)] = value
                container = .array(elements)
            case .null, .bool, .int, .double, .string:
                throw self.missing(path)
            }
        }
    }
}
