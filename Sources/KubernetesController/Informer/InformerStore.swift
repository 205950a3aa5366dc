public import KubernetesClient
internal import EventLoop
internal import Synchronization

/// What an informer knows: all objects it selects, as they were last seen.
///
/// Safe to read from anywhere.
public final class InformerStore<Resource: KubernetesResource>: Sendable {
    /// Gives the values under which an object is found.
    public typealias IndexFunction = @Sendable (Resource) -> [String]

    /// What became of an object.
    enum Change {
        case added(Resource)
        case updated(old: Resource, new: Resource)
        case deleted(Resource)
    }

    private struct State {
        var objects: [ObjectKey: Resource] = [:]
        /// Keys by index and value.
        var index: [String: [String: Set<ObjectKey>]] = [:]
    }

    private let indexes: [String: IndexFunction]
    private let state = Lock(State())

    init(indexes: [String: IndexFunction]) {
        self.indexes = indexes
    }

    /// The object of that key, if there is one.
    public func get(_ key: ObjectKey) -> Resource? {
        self.state.withLock { $0.objects[key] }
    }

    /// The object of that name, if there is one.
    public func get(_ name: String, namespace: String = "") -> Resource? {
        self.get(ObjectKey(namespace: namespace, name: name))
    }

    /// All objects, in no order.
    public var all: [Resource] {
        self.state.withLock { Array($0.objects.values) }
    }

    /// The keys of all objects, in no order.
    public var keys: [ObjectKey] {
        self.state.withLock { Array($0.objects.keys) }
    }

    /// How many objects there are.
    public var count: Int {
        self.state.withLock { $0.objects.count }
    }

    /// The objects that an index has under a value, in no order.
    ///
    /// An unknown index has none.
    public func objects(index name: String, _ value: String) -> [Resource] {
        self.state.withLock { state in
            (state.index[name]?[value] ?? []).compactMap { state.objects[$0] }
        }
    }

    /// Takes in an object.
    func upsert(_ object: Resource) -> Change {
        self.state.withLock { state in
            let key = object.key
            let old = state.objects.updateValue(object, forKey: key)
            if let old { self.removeFromIndex(old, key, &state) }
            self.addToIndex(object, key, &state)
            return old.map { .updated(old: $0, new: object) } ?? .added(object)
        }
    }

    /// Forgets an object.
    func remove(_ key: ObjectKey) -> Change? {
        self.state.withLock { state in
            guard let old = state.objects.removeValue(forKey: key) else { return nil }
            self.removeFromIndex(old, key, &state)
            return .deleted(old)
        }
    }

    /// Takes in a whole list.
    ///
    /// - Parameters:
    ///   - fresh: the list.
    ///   - kept: keys that exist but could not be read: what was known of them stays.
    /// - Returns: what differs from before; an object of the same resourceVersion does not.
    func replace(with fresh: [ObjectKey: Resource], keeping kept: Set<ObjectKey>) -> [Change] {
        self.state.withLock { state in
            var changes: [Change] = []
            for (key, old) in state.objects where fresh[key] == nil && !kept.contains(key) {
                self.removeFromIndex(old, key, &state)
                state.objects[key] = nil
                changes.append(.deleted(old))
            }
            for (key, new) in fresh {
                let old = state.objects.updateValue(new, forKey: key)
                if let old { self.removeFromIndex(old, key, &state) }
                self.addToIndex(new, key, &state)
                if let old {
                    let (before, after) = (old.metadata, new.metadata)
                    if before.resourceVersion == after.resourceVersion, before.uid == after.uid { continue }
                    changes.append(.updated(old: old, new: new))
                } else {
                    changes.append(.added(new))
                }
            }
            return changes
        }
    }

    private func addToIndex(_ object: Resource, _ key: ObjectKey, _ state: inout State) {
        for (name, function) in self.indexes {
            for value in function(object) {
                state.index[name, default: [:]][value, default: []].insert(key)
            }
        }
    }

    private func removeFromIndex(_ object: Resource, _ key: ObjectKey, _ state: inout State) {
        for (name, function) in self.indexes {
            for value in function(object) {
                state.index[name]?[value]?.remove(key)
                if state.index[name]?[value]?.isEmpty == true { state.index[name]?[value] = nil }
            }
        }
    }
}
