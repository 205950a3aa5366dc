internal import JSON

/// `metadata.managedFields`: which manager owns which places of an object.
struct ManagedFields: Hashable, Sendable {
    /// How a manager came to own something.
    enum Operation: String, Sendable {
        case apply = "Apply"
        case update = "Update"
    }

    /// One manager, as the API tells them apart.
    struct Manager: Hashable, Sendable {
        let name: String
        let operation: Operation
        /// Of an applier it is what it applied last and does not tell it apart.
        let apiVersion: String
        let subresource: String

        init(name: String, operation: Operation, apiVersion: String, subresource: String = "") {
            self.name = name
            self.operation = operation
            self.apiVersion = apiVersion
            self.subresource = subresource
        }

        static func == (left: Manager, right: Manager) -> Bool {
            left.name == right.name && left.operation == right.operation && left.subresource == right.subresource
                && (left.operation == .apply || left.apiVersion == right.apiVersion)
        }

        func hash(into hasher: inout Hasher) {
            hasher.combine(self.name)
            hasher.combine(self.operation)
            hasher.combine(self.subresource)
        }

        /// The manager in messages about conflicts.
        var description: String {
            var text = JSONValue.string(self.name).serialized()
            if !self.subresource.isEmpty {
                text += " with subresource \(JSONValue.string(self.subresource).serialized())"
            }
            if self.operation == .update { text += " using \(self.apiVersion)" }
            return text
        }
    }

    /// What a manager owns, and since when.
    struct Entry: Hashable, Sendable {
        var fields: FieldSet
        var time: String?
    }

    /// The managers.
    var entries: [Manager: Entry] = [:]

    /// Reads the member of `metadata`; nil when it is malformed.
    init?(decoding value: JSONValue?) {
        guard let value, !value.isNull else { return }
        guard case .array(let elements) = value else { return nil }
        for element in elements {
            guard
                let operation = element["operation"]?.stringValue.flatMap(Operation.init(rawValue:)),
                let fieldsV1 = element["fieldsV1"], let fields = FieldSet(fieldsV1: fieldsV1)
            else { return nil }
            let manager = Manager(
                name: element["manager"]?.stringValue ?? "",
                operation: operation,
                apiVersion: element["apiVersion"]?.stringValue ?? "",
                subresource: element["subresource"]?.stringValue ?? ""
            )
            self.entries[manager] = Entry(fields: fields, time: element["time"]?.stringValue)
        }
    }

    init() {}

    /// The member of `metadata`, nil when nobody owns anything.
    var encoded: JSONValue? {
        let sorted = self.entries.filter { !$0.value.fields.isEmpty }
            .sorted { left, right in
                func key(_ pair: (key: Manager, value: Entry)) -> [String] {
                    [
                        pair.key.operation.rawValue, pair.value.time ?? "", pair.key.name, pair.key.apiVersion,
                        pair.key.subresource,
                    ]
                }
                return key(left).lexicographicallyPrecedes(key(right))
            }
        guard !sorted.isEmpty else { return nil }
        return .array(
            sorted.map { manager, entry in
                var element: [String: JSONValue] = [
                    "manager": .string(manager.name), "operation": .string(manager.operation.rawValue),
                    "apiVersion": .string(manager.apiVersion), "fieldsType": "FieldsV1",
                    "fieldsV1": entry.fields.fieldsV1,
                ]
                if let time = entry.time { element["time"] = .string(time) }
                if !manager.subresource.isEmpty { element["subresource"] = .string(manager.subresource) }
                return .object(element)
            }
        )
    }

    /// Gives a manager a set of fields, and the time when that is news; the entry goes when the set is empty.
    mutating func set(_ manager: Manager, _ fields: FieldSet, time: String) {
        let known = self.entries.first { $0.key == manager }
        let isNews = known?.value.fields != fields || known?.key.apiVersion != manager.apiVersion
        self.entries[manager] = nil
        guard !fields.isEmpty else { return }
        self.entries[manager] = Entry(fields: fields, time: isNews ? time : known?.value.time ?? time)
    }

    /// Everything anybody owns.
    var all: FieldSet { self.entries.values.reduce(FieldSet()) { $0.union($1.fields) } }
}
