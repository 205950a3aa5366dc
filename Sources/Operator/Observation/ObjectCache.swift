internal import Synchronization
internal import EventLoop
internal import KubernetesClient

/// The newest known version of each object of one kind, by cluster.
///
/// Fed by watches and by the answers to our own writes, whichever comes first: a plan that follows a write must see
/// what was written, and a late watch event must not take it back.
final class ObjectCache<Value: Sendable>: Sendable {
    struct Entry: Sendable {
        var value: Value
        var version: UInt64
        var resourceVersion: String
        var uid: String
    }

    private struct State {
        var entries: [ObjectKey: [String: Entry]] = [:]
        /// Versions at which objects were deleted, so that a late answer does not bring one back.
        var deleted: [ObjectKey: [String: UInt64]] = [:]
        /// The version of the newest list: what it did not have was gone by then, also if nobody had known of it.
        var listed: UInt64 = 0
    }

    private let state = Lock(State())

    /// Takes in a version of an object.
    ///
    /// Answers whether it is news.
    @discardableResult
    func store(_ value: Value, metadata: ObjectMeta, of cluster: ObjectKey) -> Bool {
        guard let name = metadata.name else { return false }
        let resourceVersion = metadata.resourceVersion ?? ""
        // Opaque by tradition, numbers that grow in fact (and by contract from 1.35 on).
        let version = UInt64(resourceVersion) ?? .max
        return self.state.withLock { state in
            if let known = state.entries[cluster]?[name] {
                guard version >= known.version || known.version == .max else { return false }
                if version == known.version, version != .max { return false }
            } else {
                let gone = max(state.deleted[cluster]?[name] ?? 0, state.listed)
                guard version > gone || version == .max else { return false }
            }
            state.deleted[cluster]?[name] = nil
            state.entries[cluster, default: [:]][name] = Entry(
                value: value,
                version: version,
                resourceVersion: resourceVersion,
                uid: metadata.uid ?? ""
            )
            return true
        }
    }

    /// Takes in that an object is gone.
    func remove(metadata: ObjectMeta, of cluster: ObjectKey) {
        guard let name = metadata.name else { return }
        let version = metadata.resourceVersion.flatMap { UInt64($0) } ?? 0
        self.state.withLock { state in
            if let known = state.entries[cluster]?[name] {
                // The deletion of an earlier object of that name.
                if known.uid != metadata.uid ?? known.uid, known.version > version { return }
                state.entries[cluster]?[name] = nil
                if state.entries[cluster]?.isEmpty == true { state.entries[cluster] = nil }
            }
            state.deleted[cluster, default: [:]][name] = version
        }
    }

    /// Takes in that these objects were there at a version, and no others.
    ///
    /// Answers the clusters that have lost one.
    func retain(_ present: Set<ObjectKey>, resourceVersion: String) -> Set<ObjectKey> {
        guard let version = UInt64(resourceVersion) else { return [] }
        return self.state.withLock { state in
            state.listed = version
            var losers: Set<ObjectKey> = []
            for (cluster, entries) in state.entries {
                let gone = entries.filter { name, entry in
                    // What was made since then, the watch will tell of.
                    entry.version <= version
                        && !present.contains(ObjectKey(namespace: cluster.namespace, name: name))
                }
                guard !gone.isEmpty else { continue }
                losers.insert(cluster)
                let left = entries.filter { gone[$0.key] == nil }
                state.entries[cluster] = left.isEmpty ? nil : left
            }
            return losers
        }
    }

    /// Forgets an object that a read has not found.
    func forget(_ name: String, of cluster: ObjectKey) {
        self.state.withLock { state in
            state.entries[cluster]?[name] = nil
        }
    }

    /// Forgets everything about a cluster.
    func removeAll(of cluster: ObjectKey) {
        self.state.withLock { state in
            state.entries[cluster] = nil
            state.deleted[cluster] = nil
        }
    }

    /// One object.
    func entry(_ name: String, of cluster: ObjectKey) -> Entry? {
        self.state.withLock { $0.entries[cluster]?[name] }
    }

    /// All objects of a cluster.
    func entries(of cluster: ObjectKey) -> [String: Entry] {
        self.state.withLock { $0.entries[cluster] ?? [:] }
    }

    /// How many clusters have any.
    var clusterCount: Int { self.state.withLock { $0.entries.count } }

    /// All objects of all clusters.
    func all() -> [(cluster: ObjectKey, value: Value)] {
        self.state.withLock { state in
            state.entries.flatMap { cluster, entries in entries.values.map { (cluster, $0.value) } }
        }
    }
}
