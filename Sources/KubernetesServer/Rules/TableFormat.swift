internal import Foundation
internal import JSON

/// Objects as `meta.k8s.io/v1` Tables (what `kubectl get` prints), and as metadata alone.
enum TableFormat {
    /// What a row carries of its object.
    enum IncludeObject: String, Sendable {
        case none = "None"
        case metadata = "Metadata"
        case object = "Object"
    }

    /// One column.
    struct Column: Sendable {
        var name: String
        var type = "string"
        var format = ""
        /// Columns of priority 1 are shown with `-o wide` only.
        var priority: Int64 = 0
        var description = ""

        init(_ name: String, type: String = "string", format: String = "", wide: Bool = false) {
            self.name = name
            self.type = type
            self.format = format
            self.priority = wide ? 1 : 0
        }

        var definition: JSONValue {
            [
                "name": .string(self.name), "type": .string(self.type), "format": .string(self.format),
                "description": .string(self.description), "priority": .int(self.priority),
            ]
        }
    }

    /// How the objects of one kind are printed.
    struct Printer: Sendable {
        let columns: [Column]
        let cells: @Sendable (_ object: JSONValue, _ now: Date) -> [JSONValue]
    }

    /// A Table of objects.
    ///
    /// `listMetadata` is `metadata` of the list (resourceVersion, continue), `printerColumns` are the
    /// `additionalPrinterColumns` of a custom resource's version.
    static func table(
        of objects: [JSONValue],
        resource: GroupResource,
        isCustom: Bool = false,
        printerColumns: JSONValue? = nil,
        listMetadata: JSONValue = [:],
        includeObject: IncludeObject = .metadata,
        now: Date
    ) -> JSONValue {
        let printer = self.printer(resource: resource, isCustom: isCustom, printerColumns: printerColumns)
        let rows = objects.map { object -> JSONValue in
            var row: [String: JSONValue] = ["cells": .array(printer.cells(object, now))]
            switch includeObject {
            case .none: break
            case .metadata: row["object"] = self.partial(object)
            case .object: row["object"] = object
            }
            return .object(row)
        }
        return [
            "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": listMetadata,
            "columnDefinitions": .array(printer.columns.map(\.definition)), "rows": .array(rows),
        ]
    }

    /// An object with nothing but its metadata.
    static func partial(_ object: JSONValue) -> JSONValue {
        [
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": object["metadata"] ?? [:],
        ]
    }

    private static func printer(resource: GroupResource, isCustom: Bool, printerColumns: JSONValue?) -> Printer {
        if isCustom { return self.customPrinter(printerColumns) }
        return self.builtInPrinters[resource] ?? self.plainPrinter
    }

    static let nameColumn = Column("Name", format: "name")
    static let ageColumn = Column("Age")

    private static let plainPrinter = Printer(columns: [nameColumn, Column("Created At", type: "date")]) { object, _ in
        [Self.name(object), object[path: ["metadata", "creationTimestamp"]] ?? .null]
    }

    /// Columns of a custom resource: its own, or its age.
    private static func customPrinter(_ printerColumns: JSONValue?) -> Printer {
        let definitions = printerColumns?.arrayValue ?? []
        guard !definitions.isEmpty else {
            return Printer(columns: [self.nameColumn, Column("Age", type: "date")]) { object, now in
                [Self.name(object), Self.age(object, now)]
            }
        }
        let columns = definitions.map { definition in
            var column = Column(definition["name"]?.stringValue ?? "")
            column.type = definition["type"]?.stringValue ?? "string"
            column.format = definition["format"]?.stringValue ?? ""
            column.priority = definition["priority"]?.intValue ?? 0
            column.description = definition["description"]?.stringValue ?? ""
            return column
        }
        let paths = definitions.map { $0["jsonPath"]?.stringValue.flatMap { JSONPath($0) } }
        return Printer(columns: [self.nameColumn] + columns) { object, now in
            [Self.name(object)]
                + zip(columns, paths)
                .map { column, path in
                    Self.customCell(path?.values(in: object) ?? [], column: column, now: now)
                }
        }
    }

    private static func customCell(_ values: [JSONValue], column: Column, now: Date) -> JSONValue {
        guard let first = values.first else { return .null }
        switch column.type {
        case "integer": return first.intValue.map { .int($0) } ?? .null
        case "number": return first.doubleValue == nil ? .null : first
        case "boolean": return first.boolValue.map { .bool($0) } ?? .null
        case "date":
            guard let text = first.stringValue, let date = Timestamp.parse(text) else { return "<invalid>" }
            return .string(AgeText.age(seconds: Int(now.timeIntervalSince(date))))
        default:
            // As kubectl's JSONPath prints several results: apart by a space.
            return .string(
                values.map { value in
                    value.stringValue ?? value.serialized()
                }
                .joined(separator: " ")
            )
        }
    }

    // MARK: Cells

    static func name(_ object: JSONValue) -> JSONValue { object[path: ["metadata", "name"]] ?? "" }

    static func age(_ object: JSONValue, _ now: Date) -> JSONValue {
        self.age(since: object[path: ["metadata", "creationTimestamp"]], now)
    }

    static func age(since time: JSONValue?, _ now: Date) -> JSONValue {
        guard let text = time?.stringValue, let date = Timestamp.parse(text) else { return "<unknown>" }
        return .string(AgeText.age(seconds: Int(now.timeIntervalSince(date))))
    }

    static func text(_ value: JSONValue?, _ missing: String = "<none>") -> JSONValue {
        switch value {
        case .string(let text)?: .string(text.isEmpty ? missing : text)
        case .int(let number)?: .string(String(number))
        case nil, .null?: .string(missing)
        case .some(let other): .string(other.serialized())
        }
    }

    static func joined(_ parts: [String], limit: Int = .max, missing: String = "<none>") -> String {
        if parts.isEmpty { return missing }
        let shown = parts.prefix(limit).joined(separator: ",")
        return parts.count > limit ? "\(shown) + \(parts.count - limit) more..." : shown
    }

    static func labels(_ value: JSONValue?) -> JSONValue {
        let members = value?.objectValue ?? [:]
        return .string(
            self.joined(members.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value.stringValue ?? "")" })
        )
    }

    static func accessModes(_ value: JSONValue?) -> String {
        let short = [
            "ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP",
        ]
        return (value?.arrayValue ?? []).compactMap { $0.stringValue }.map { short[$0] ?? $0 }.joined(separator: ",")
    }
}
