internal import EventLoop
package import Foundation
internal import JSON
internal import Synchronization

/// The objects of the embedded API server, with the semantics of the real one's storage.
///
/// HTTP handlers and built-in controllers both use it. It knows resourceVersion, uid, generation, finalizers, grace
/// periods of pods, preconditions and watches; it knows nothing of admission, defaults, validation and permissions,
/// which are the handlers' part. All methods are safe from any thread and none waits for anything.
package final class ObjectStore: Sendable {
    /// Limits and the outside world.
    package struct Configuration: Sendable {
        /// How many changes per resource a watch may resume from.
        package var historyLimit = 4_096
        /// How many events a watcher may be behind before it is cut off.
        package var watchBufferLimit = 16_384
        package var now: @Sendable () -> Date = { Date() }
        /// File that keeps the objects over a restart; nil keeps them in memory only.
        package var journalPath: String?

        package init() {}
    }

    struct Change {
        let resourceVersion: UInt64
        /// Nil when it was created by this change.
        let old: StoredObject?
        /// Nil when it was removed by this change.
        let new: StoredObject?
        /// What watchers get for a removal.
        let removed: StoredObject?
        var key: ObjectKey? { self.new?.key ?? self.old?.key }
    }

    struct Watcher {
        let namespace: String?
        let selector: ObjectSelector
        let continuation: AsyncStream<WatchEvent>.Continuation
    }

    struct Table {
        var definition: ResourceDefinition
        /// By `namespace/name`, in which form keys also sort.
        var objects: [String: StoredObject] = [:]
        /// Keys in order; nil after a creation or removal.
        var sortedKeys: [String]?
        var history: [Change] = []
        /// Watches can resume from here or later.
        var compactedVersion: UInt64
        var watchers: [UInt64: Watcher] = [:]

        init(definition: ResourceDefinition, compactedVersion: UInt64) {
            self.definition = definition
            self.compactedVersion = compactedVersion
        }
    }

    struct State {
        var resourceVersion: UInt64 = 0
        var nextWatcher: UInt64 = 0
        var tables: [GroupResource: Table] = [:]
        var journal: Journal?
        var isClosed = false
    }

    package let configuration: Configuration
    let state: Lock<State>

    /// Makes a store with the built-in kinds and, when there is a journal, what it holds.
    package init(configuration: Configuration = Configuration()) throws {
        self.configuration = configuration
        var state = State()
        for definition in ResourceDefinition.builtins {
            state.tables[definition.name] = Table(definition: definition, compactedVersion: 0)
        }
        if let path = configuration.journalPath {
            var contents = try Journal.Contents(path: path)
            state.resourceVersion = contents.resourceVersion
            // Definitions first: the others' tables come from them.
            contents.objects.sort { lhs, _ in lhs.resource == .customResourceDefinitions }
            for record in contents.objects {
                Self.restore(record.object, resource: record.resource, into: &state)
            }
            for resource in state.tables.keys {
                state.tables[resource]?.compactedVersion = state.resourceVersion
            }
            state.journal = try Journal(path: path, rewriting: state)
        }
        self.state = Lock(state)
    }

    private static func restore(_ value: JSONValue, resource: GroupResource, into state: inout State) {
        let metadata = value["metadata"]
        guard let name = metadata?["name"]?.stringValue, state.tables[resource] != nil,
            let version = UInt64(metadata?["resourceVersion"]?.stringValue ?? "")
        else { return }
        let key = ObjectKey(resource, namespace: metadata?["namespace"]?.stringValue ?? "", name: name)
        let object = StoredObject(key: key, value: value, resourceVersion: version)
        state.resourceVersion = max(state.resourceVersion, version)
        state.tables[resource]?.objects[Self.tableKey(key)] = object
        if resource == .customResourceDefinitions {
            Self.applyDefinition(object, isRemoved: false, to: &state)
        }
    }

    static func tableKey(_ key: ObjectKey) -> String { "\(key.namespace)/\(key.name)" }

    // MARK: Definitions

    /// The kind stored under this name, built in or from a CustomResourceDefinition.
    package func definition(of resource: GroupResource) -> ResourceDefinition? {
        self.state.withLock { $0.tables[resource]?.definition }
    }

    /// Every kind there is at the moment.
    package var definitions: [ResourceDefinition] {
        self.state.withLock { state in state.tables.values.map(\.definition) }
    }

    /// The kind that an owner reference or a scale target names.
    package func definition(kind: String, group: String) -> ResourceDefinition? {
        self.state.withLock { state in
            state.tables.values.first { $0.definition.kind == kind && $0.definition.name.group == group }?.definition
        }
    }

    /// Follows a CustomResourceDefinition: its kind exists as soon as the definition does.
    static func applyDefinition(_ object: StoredObject, isRemoved: Bool, to state: inout State) {
        guard let definition = ResourceDefinition(customResourceDefinition: object.value) else { return }
        let existing = state.tables[definition.name]?.definition
        if let existing, !existing.isCustom { return }
        if isRemoved {
            let table = state.tables.removeValue(forKey: definition.name)
            for watcher in table?.watchers.values.map({ $0 }) ?? [] {
                // Not finished here: finishing calls back into the store, which is locked.
                Task { watcher.continuation.finish() }
            }
        } else if existing != nil {
            state.tables[definition.name]?.definition = definition
        } else {
            state.tables[definition.name] = Table(
                definition: definition,
                compactedVersion: max(state.resourceVersion, 1) - 1
            )
        }
    }

    // MARK: Reading

    /// The resourceVersion of the last change of anything.
    package var resourceVersion: UInt64 { self.state.withLock { $0.resourceVersion } }

    /// The object, or nil.
    package func find(_ resource: GroupResource, namespace: String = "", name: String) -> StoredObject? {
        self.state.withLock { $0.tables[resource]?.objects["\(namespace)/\(name)"] }
    }

    /// The object, or 404.
    package func get(
        _ resource: GroupResource,
        namespace: String = "",
        name: String
    ) throws(StatusError) -> StoredObject {
        guard let object = self.find(resource, namespace: namespace, name: name) else {
            throw .notFound(resource, name)
        }
        return object
    }

    /// All selected objects, in order of namespace and name; of all namespaces when `namespace` is nil.
    package func list(
        _ resource: GroupResource,
        namespace: String? = nil,
        selector: ObjectSelector = .everything
    ) -> [StoredObject] {
        let objects = self.state.withLock { state in
            state.tables[resource].map { Self.objects(&state, resource, $0, namespace: namespace) } ?? []
        }
        return selector.isEverything ? objects : objects.filter { selector.matches($0.value) }
    }

    private static func objects(
        _ state: inout State,
        _ resource: GroupResource,
        _ table: Table,
        namespace: String?
    ) -> [StoredObject] {
        let keys: [String]
        if let sorted = table.sortedKeys {
            keys = sorted
        } else {
            keys = table.objects.keys.sorted()
            state.tables[resource]?.sortedKeys = keys
        }
        return keys.compactMap { key in
            guard let object = table.objects[key] else { return nil }
            return namespace == nil || object.key.namespace == namespace ? object : nil
        }
    }

    /// A page of a list; pages after the first (`token`) show what there was when the first was read.
    ///
    /// A `limit` of zero means all; `exactly` asks for the list as it was at that resourceVersion. Refused with 410
    /// when the history needed for that is gone, with 400 for a token that is none.
    package func page(
        _ resource: GroupResource,
        namespace: String? = nil,
        selector: ObjectSelector = .everything,
        limit: Int = 0,
        continue token: String? = nil,
        exactly: UInt64? = nil
    ) throws(StatusError) -> ObjectPage {
        let position = try token.map { text throws(StatusError) in try ContinueToken(parsing: text) }
        let wanted = position?.resourceVersion ?? exactly
        let result: Result<(objects: [StoredObject], version: UInt64), StatusError> = self.state.withLock { state in
            guard let table = state.tables[resource] else {
                return .success((objects: [], version: state.resourceVersion))
            }
            guard let wanted, wanted < state.resourceVersion else {
                let objects = Self.objects(&state, resource, table, namespace: namespace)
                return .success((objects: objects, version: state.resourceVersion))
            }
            guard wanted >= table.compactedVersion else {
                return .failure(
                    .expired("The provided continue parameter is too old to display a consistent list result.")
                )
            }
            var past = table.objects
            for change in table.history.reversed() {
                guard change.resourceVersion > wanted, let key = change.key else { break }
                past[Self.tableKey(key)] = change.old
            }
            let objects = past.sorted { $0.key < $1.key }.map(\.value)
                .filter { namespace == nil || $0.key.namespace == namespace }
            return .success((objects: objects, version: wanted))
        }
        var (objects, version) = try result.get()
        if let position {
            objects = objects.filter { Self.tableKey($0.key) > position.lastKey }
        }
        if !selector.isEverything { objects = objects.filter { selector.matches($0.value) } }
        guard limit > 0, objects.count > limit, let last = objects.prefix(limit).last else {
            return ObjectPage(
                objects: objects,
                resourceVersion: version,
                continueToken: nil,
                remainingItemCount: nil
            )
        }
        return ObjectPage(
            objects: Array(objects.prefix(limit)),
            resourceVersion: version,
            continueToken: ContinueToken(resourceVersion: version, lastKey: Self.tableKey(last.key)).text,
            remainingItemCount: selector.isEverything ? objects.count - limit : nil
        )
    }
}

/// What a list's `continue` holds.
private struct ContinueToken {
    let resourceVersion: UInt64
    let lastKey: String

    init(resourceVersion: UInt64, lastKey: String) {
        self.resourceVersion = resourceVersion
        self.lastKey = lastKey
    }

    init(parsing text: String) throws(StatusError) {
        guard let data = Data(base64Encoded: text), let value = try? JSONValue(parsing: data),
            let version = value["rv"]?.intValue, version >= 0, let key = value["start"]?.stringValue
        else { throw .badRequest("continue key is not valid") }
        self.resourceVersion = UInt64(version)
        self.lastKey = key
    }

    var text: String {
        let value: JSONValue = ["rv": .int(Int64(clamping: self.resourceVersion)), "start": .string(self.lastKey)]
        return Data(value.serializedBytes()).base64EncodedString()
    }
}
