internal import JSON

/// Fields of an applied configuration belong to other managers, who want other values.
struct ApplyConflict: Error, Hashable, Sendable, CustomStringConvertible {
    /// One field of one manager.
    struct Conflict: Hashable, Sendable {
        let manager: ManagedFields.Manager
        let path: String
    }

    /// The fields, sorted by manager and path.
    let conflicts: [Conflict]

    /// The message of the `Conflict` status.
    var description: String {
        let managers = Dictionary(grouping: self.conflicts) { $0.manager.description }.sorted { $0.key < $1.key }
        let list = managers.map { manager, conflicts -> String in
            if conflicts.count == 1, let only = conflicts.first { return "conflict with \(manager): \(only.path)" }
            return "conflicts with \(manager):\n" + conflicts.map { "- \($0.path)" }.joined(separator: "\n")
        }
        let noun = self.conflicts.count == 1 ? "conflict" : "conflicts"
        return "Apply failed with \(self.conflicts.count) \(noun): \(list.joined(separator: "\n"))"
    }

    /// `status.details.causes`.
    var causes: [JSONValue] {
        self.conflicts.map {
            [
                "reason": "FieldManagerConflict", "message": .string("conflict with \($0.manager.description)"),
                "field": .string($0.path),
            ]
        }
    }
}

/// Server-side apply, and what other writes do to ownership.
enum ServerSideApply {
    /// Who writes, when and through which door.
    struct Writer: Sendable {
        /// The field manager: `fieldManager` of the request, else the user agent up to its first slash.
        var manager: String
        /// `apiVersion` of what is written.
        var apiVersion: String
        /// The subresource written through, empty for the object itself.
        var subresource = ""
        /// Members this door does not write, and which nobody comes to own through it: `[["status"]]`.
        var ignored: [[String]] = []
        /// RFC 3339, in whole seconds.
        var time: String
    }

    /// Why an apply was refused.
    enum Failure: Error, Sendable {
        /// 409.
        case conflict(ApplyConflict)
        /// 400.
        case malformed(String)
    }

    /// The live object with a configuration applied to it: fields set, fields its manager no longer names and nobody
    /// else owns removed, `managedFields` kept.
    ///
    /// `live` is the object as stored; for a new one only `apiVersion`, `kind` and the name in `metadata`.
    static func apply(
        _ configuration: JSONValue,
        to live: JSONValue,
        schema: FieldSchema,
        writer: Writer,
        force: Bool
    ) throws(Failure) -> JSONValue {
        guard case .object = configuration else { throw .malformed("an apply configuration is an object") }
        if let given = configuration[path: ["metadata", "managedFields"]], given.arrayValue?.isEmpty != true,
            !given.isNull
        {
            throw .malformed("metadata.managedFields must be nil")
        }
        var configuration = configuration
        for key in ["managedFields", "creationTimestamp", "deletionTimestamp", "generation", "selfLink"] {
            configuration[path: ["metadata", key]] = nil
        }
        do {
            try TypedObject.checkLists(configuration, schema: schema)
        } catch {
            throw .malformed("failed to create typed patch object: \(error)")
        }

        let manager = ManagedFields.Manager(
            name: writer.manager,
            operation: .apply,
            apiVersion: writer.apiVersion,
            subresource: writer.subresource
        )
        var managed = ManagedFields(decoding: live[path: ["metadata", "managedFields"]]) ?? ManagedFields()
        // What this door does not write stays as it is.
        configuration = TypedObject.remove(self.set(of: writer.ignored), from: configuration, schema: .open)
        let fields = TypedObject.fields(of: configuration, schema: schema)
        let lastFields = managed.entries[manager]?.fields ?? FieldSet()
        managed.set(manager, self.ownable(fields, ignored: writer.ignored), time: writer.time)

        var old = live
        old[path: ["metadata", "managedFields"]] = nil
        var new = TypedObject.merge(old, configuration, schema: schema)
        if !lastFields.isEmpty {
            let gone = lastFields.ensuringNamedFields(schema)
                .subtracting(managed.all.union(fields).ensuringNamedFields(schema))
            new = TypedObject.remove(gone, from: new, schema: schema)
        }

        let comparison = TypedObject.compare(old, new, schema: schema)
        try self.settle(comparison, by: manager, managed: &managed, force: force, time: writer.time)
        new[path: ["metadata", "managedFields"]] = managed.encoded
        return new
    }

    /// The new version of an object, written by anything but apply, with `managedFields` brought up to date.
    ///
    /// `new` is what is to be stored: `managedFields` given in it count (an empty list forgets all owners); without,
    /// those of `live` do, the object as stored (nil when it is created).
    static func update(_ new: JSONValue, from live: JSONValue?, schema: FieldSchema, writer: Writer) -> JSONValue {
        let given = new[path: ["metadata", "managedFields"]]
        let liveFields = live?[path: ["metadata", "managedFields"]]
        let managers: ManagedFields
        if let given, case .array(let elements) = given, elements.isEmpty || elements == [[:]] {
            managers = ManagedFields()
        } else if let given, let decoded = ManagedFields(decoding: given), !decoded.entries.isEmpty {
            managers = decoded
        } else {
            managers = ManagedFields(decoding: liveFields) ?? ManagedFields()
        }
        var managed = managers

        var old = live ?? .object([:])
        old[path: ["metadata", "managedFields"]] = nil
        var result = new
        result[path: ["metadata", "managedFields"]] = nil
        var comparison = TypedObject.compare(old, result, schema: schema)
        comparison.added = self.ownable(comparison.added, ignored: writer.ignored)
        comparison.modified = self.ownable(comparison.modified, ignored: writer.ignored)

        let manager = ManagedFields.Manager(
            name: writer.manager,
            operation: .update,
            apiVersion: writer.apiVersion,
            subresource: writer.subresource
        )
        // A write that is no apply never conflicts: it takes what it changes.
        try? self.settle(comparison, by: manager, managed: &managed, force: true, time: writer.time)
        let own = (managed.entries[manager]?.fields ?? FieldSet()).subtracting(comparison.removed)
            .union(comparison.modified).union(comparison.added)
        managed.set(manager, own, time: writer.time)
        result[path: ["metadata", "managedFields"]] = managed.encoded
        return result
    }

    /// Takes changed fields from the other managers, or says whose they are.
    private static func settle(
        _ comparison: FieldComparison,
        by manager: ManagedFields.Manager,
        managed: inout ManagedFields,
        force: Bool,
        time: String
    ) throws(Failure) {
        let changed = comparison.modified.union(comparison.added)
        var conflicts: [ApplyConflict.Conflict] = []
        for (other, entry) in managed.entries where other != manager {
            let contested = entry.fields.intersection(changed)
            conflicts += contested.paths.map { ApplyConflict.Conflict(manager: other, path: FieldSet.describe($0)) }
            managed.set(
                other,
                entry.fields.subtracting(contested).subtracting(comparison.removed),
                time: entry.time ?? time
            )
        }
        if !force, !conflicts.isEmpty {
            let sorted = conflicts.sorted { ($0.manager.description, $0.path) < ($1.manager.description, $1.path) }
            throw .conflict(ApplyConflict(conflicts: sorted))
        }
    }

    /// What nobody owns, whatever the door.
    private static let neverOwned: [[String]] = [
        ["apiVersion"], ["kind"], ["metadata", "name"], ["metadata", "namespace"], ["metadata", "uid"],
        ["metadata", "creationTimestamp"], ["metadata", "deletionTimestamp"], ["metadata", "generation"],
        ["metadata", "deletionGracePeriodSeconds"], ["metadata", "managedFields"], ["metadata", "resourceVersion"],
        ["metadata", "selfLink"],
    ]

    private static func set(of paths: [[String]]) -> FieldSet {
        var set = FieldSet()
        for path in paths {
            set.insert(path: path.map { "f:" + $0 })
        }
        return set
    }

    /// What of a set may be owned; `metadata` alone is no field of anybody either.
    private static func ownable(_ fields: FieldSet, ignored: [[String]]) -> FieldSet {
        fields.subtractingRecursively(self.set(of: self.neverOwned + ignored)).subtracting(self.set(of: [["metadata"]]))
    }
}
