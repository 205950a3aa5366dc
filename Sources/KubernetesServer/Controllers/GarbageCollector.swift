internal import EventLoop
internal import JSON
internal import Synchronization

/// Deletes what has lost all its owners, in the background or before its owner (foreground), or lets it go (orphan).
///
/// The graph of owners is kept from the watches; whether an owner still exists is asked of the store itself, so that the
/// order in which watches begin is of no consequence.
final class GarbageCollector: BuiltInController {
    let name = "garbagecollector"
    let resources: [GroupResource]? = nil

    private struct Graph {
        /// Owners of an object, by uid.
        var owners: [ObjectKey: Set<String>] = [:]
        /// Objects by the uid of an owner.
        var dependents: [String: Set<ObjectKey>] = [:]
    }

    private let store: ObjectStore
    private let graph = Lock(Graph())

    init(store: ObjectStore) {
        self.store = store
    }

    func observe(_ event: WatchEvent) -> [ObjectKey] {
        guard let object = event.object else { return [] }
        let isGone = if case .deleted = event { true } else { false }
        let owners = isGone ? [] : Set(object.ownerReferences.compactMap { $0["uid"]?.stringValue })
        let (before, dependents) = self.graph.withLock { graph -> (Set<String>, Set<ObjectKey>) in
            let before = graph.owners[object.key] ?? []
            graph.owners[object.key] = owners.isEmpty ? nil : owners
            for uid in before.subtracting(owners) {
                graph.dependents[uid]?.remove(object.key)
                if graph.dependents[uid]?.isEmpty == true { graph.dependents[uid] = nil }
            }
            for uid in owners { graph.dependents[uid, default: []].insert(object.key) }
            return (before, graph.dependents[object.uid] ?? [])
        }
        if isGone {
            // Owners that wait for their dependents find the references of the last state.
            return Array(dependents) + self.ownerKeys(of: object)
        }
        var keys: [ObjectKey] = []
        if !owners.isEmpty || self.isWaiting(object) { keys.append(object.key) }
        if !before.isEmpty, before != owners { keys += self.ownerKeys(of: object) }
        if object.isTerminating { keys += dependents }
        return keys
    }

    private func isWaiting(_ object: StoredObject) -> Bool {
        object.isTerminating && !Set(object.finalizers).isDisjoint(with: ["foregroundDeletion", "orphan"])
    }

    private func ownerKeys(of object: StoredObject) -> [ObjectKey] {
        object.ownerReferences.compactMap { reference in
            guard let definition = self.definition(of: reference), let name = reference["name"]?.stringValue else {
                return nil
            }
            return ObjectKey(definition.name, namespace: definition.isNamespaced ? object.namespace : "", name: name)
        }
    }

    private func definition(of reference: JSONValue) -> ResourceDefinition? {
        let apiVersion = reference["apiVersion"]?.stringValue ?? ""
        let group = apiVersion.contains("/") ? String(apiVersion.split(separator: "/")[0]) : ""
        return self.store.definition(kind: reference["kind"]?.stringValue ?? "", group: group)
    }

    /// What an owner reference leads to.
    private enum Owner {
        case solid
        /// Gone, or another object of the same name.
        case dangling
        /// Being deleted in the foreground.
        case waiting
    }

    private func owner(_ reference: JSONValue, of object: StoredObject) -> Owner {
        // Of a kind that is not served nothing is known, so nothing is done.
        guard let definition = self.definition(of: reference) else { return .solid }
        if definition.isNamespaced, object.namespace.isEmpty { return .solid }
        guard
            let owner = self.store.find(
                definition.name,
                namespace: definition.isNamespaced ? object.namespace : "",
                name: reference["name"]?.stringValue ?? ""
            ), owner.uid == reference["uid"]?.stringValue
        else { return .dangling }
        return owner.isTerminating && owner.finalizers.contains("foregroundDeletion") ? .waiting : .solid
    }

    func reconcile(_ key: ObjectKey) throws(StatusError) -> Duration? {
        guard let object = self.store.find(key.resource, namespace: key.namespace, name: key.name) else { return nil }
        do throws(StatusError) {
            if self.isWaiting(object) { try self.finishDeletion(of: object) }
            if !object.isTerminating { try self.collect(object) }
        } catch {
            // Gone, or another object by now; whichever it is, its event comes.
            if error.code == 404 || error.code == 409 { return error.code == 409 ? .milliseconds(5) : nil }
            throw error
        }
        return nil
    }

    private func collect(_ object: StoredObject) throws(StatusError) {
        let references = object.ownerReferences
        guard !references.isEmpty else { return }
        let owners = references.map { (reference: $0, state: self.owner($0, of: object)) }
        let preconditions = Preconditions(uid: object.uid, resourceVersion: String(object.resourceVersion))
        let lost = owners.filter { $0.state != .solid }.map(\.reference)
        guard !lost.isEmpty else { return }
        if lost.count < owners.count {
            // Somebody still wants it: only the references that lead nowhere go.
            try self.store.mutate(
                object.key.resource,
                namespace: object.namespace,
                name: object.name,
                preconditions: preconditions
            ) { value in
                value[path: ["metadata", "ownerReferences"]] = .array(references.filter { !lost.contains($0) })
            }
            return
        }
        let hasDependents = self.graph.withLock { graph in graph.dependents[object.uid]?.isEmpty == false }
        let waits = owners.contains { $0.state == .waiting }
        let propagation: DeleteOptions.Propagation =
            object.finalizers.contains("orphan")
            ? .orphan
            : object.finalizers.contains("foregroundDeletion") || (waits && hasDependents) ? .foreground : .background
        try self.store.delete(
            object.key.resource,
            namespace: object.namespace,
            name: object.name,
            options: DeleteOptions(preconditions: preconditions, propagation: propagation)
        )
    }

    /// Takes the finalizer off an owner once its dependents are gone, or are no longer its own.
    private func finishDeletion(of object: StoredObject) throws(StatusError) {
        let keys = self.graph.withLock { graph in graph.dependents[object.uid] ?? [] }
        let dependents = keys.compactMap {
            self.store.find($0.resource, namespace: $0.namespace, name: $0.name)
        }
        func refersHere(_ reference: JSONValue) -> Bool { reference["uid"]?.stringValue == object.uid }
        let finalizer: String
        if object.finalizers.contains("orphan") {
            finalizer = "orphan"
            for dependent in dependents {
                try self.store.mutate(
                    dependent.key.resource,
                    namespace: dependent.namespace,
                    name: dependent.name,
                    preconditions: Preconditions(uid: dependent.uid)
                ) { value in
                    let references = value["metadata"]?["ownerReferences"]?.arrayValue ?? []
                    value[path: ["metadata", "ownerReferences"]] = .array(references.filter { !refersHere($0) })
                }
            }
        } else {
            finalizer = "foregroundDeletion"
            for dependent in dependents where !dependent.isTerminating { try self.collect(dependent) }
            let isBlocked = dependents.contains { dependent in
                let current = self.store.find(
                    dependent.key.resource,
                    namespace: dependent.namespace,
                    name: dependent.name
                )
                return current?.uid == dependent.uid
                    && current?.ownerReferences
                        .contains {
                            refersHere($0) && $0["blockOwnerDeletion"]?.boolValue == true
                        } == true
            }
            if isBlocked { return }
        }
        try self.store.mutate(
            object.key.resource,
            namespace: object.namespace,
            name: object.name,
            preconditions: Preconditions(uid: object.uid)
        ) { value in
            let finalizers = value["metadata"]?["finalizers"]?.arrayValue ?? []
            value[path: ["metadata", "finalizers"]] = .array(finalizers.filter { $0.stringValue != finalizer })
        }
    }
}
