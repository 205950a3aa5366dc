internal import Foundation
package import JSON
internal import Synchronization

extension ObjectStore {
    /// Stores a new object and gives it uid, creationTimestamp, generation and resourceVersion.
    ///
    /// With `metadata.generateName` and no name it gets a name that is free.
    /// - Throws: 409 when the name is taken, 404 when its namespace is missing, 403 when that is being deleted.
    @discardableResult
    package func create(
        _ resource: GroupResource,
        _ object: JSONValue,
        dryRun: Bool = false
    ) throws(StatusError) -> StoredObject {
        guard let definition = self.definition(of: resource) else { throw .notFound(resource, "") }
        var object = object
        var metadata = object["metadata"] ?? [:]
        let namespace = definition.isNamespaced ? metadata["namespace"]?.stringValue ?? "default" : ""
        metadata["namespace"] = definition.isNamespaced ? .string(namespace) : nil
        metadata["uid"] = .string(UUID().uuidString.lowercased())
        metadata["creationTimestamp"] = .string(Timestamp.seconds(self.configuration.now()))
        metadata["deletionTimestamp"] = nil
        metadata["deletionGracePeriodSeconds"] = nil
        metadata["resourceVersion"] = nil
        metadata["selfLink"] = nil
        metadata["generation"] = definition.generation == .none ? nil : 1
        Self.dropEmptyMetadata(&metadata)
        let prefix = metadata["generateName"]?.stringValue ?? ""
        let isGenerated = (metadata["name"]?.stringValue ?? "").isEmpty && !prefix.isEmpty
        for attempt in 1...8 {
            if isGenerated {
                metadata["name"] = .string(String(prefix.prefix(58)) + Self.randomSuffix())
            }
            guard let name = metadata["name"]?.stringValue, !name.isEmpty else {
                throw .invalid(
                    kind: definition.kind,
                    group: resource.group,
                    name: "",
                    causes: [
                        .init(
                            reason: "FieldValueRequired",
                            message: "Required value: name or generateName is required",
                            field: "metadata.name"
                        )
                    ]
                )
            }
            object["metadata"] = metadata
            let key = ObjectKey(resource, namespace: namespace, name: name)
            let value = object
            let result: Result<StoredObject, StatusError> = self.state.withLock { state in
                if definition.isNamespaced, let refusal = Self.refusal(of: namespace, for: key, in: state) {
                    return .failure(refusal)
                }
                guard state.tables[resource]?.objects[Self.tableKey(key)] == nil else {
                    return .failure(.alreadyExists(resource, name))
                }
                if dryRun { return .success(StoredObject(key: key, value: value, resourceVersion: 0)) }
                return .success(Self.commit(key, value, old: nil, configuration: self.configuration, in: &state))
            }
            if case .failure(let error) = result, isGenerated, error.reason == "AlreadyExists", attempt < 8 {
                continue
            }
            return try result.get()
        }
        throw .internalError("no free name")
    }

    /// Reads, changes and writes one object; starts again when somebody else wrote it in between.
    ///
    /// `body` works on the current object. When it sets another `metadata.resourceVersion` (as a full update by a
    /// client does), the write is refused with 409 unless that is the current one. What clients may not change
    /// (name, uid, creation and deletion times, generation) is put back. A change of nothing writes nothing. An
    /// object being deleted is removed when its last finalizer goes.
    @discardableResult
    package func mutate(
        _ resource: GroupResource,
        namespace: String = "",
        name: String,
        preconditions: Preconditions = .none,
        dryRun: Bool = false,
        _ body: (inout JSONValue) throws(StatusError) -> Void
    ) throws(StatusError) -> StoredObject {
        guard let definition = self.definition(of: resource) else { throw .notFound(resource, name) }
        while true {
            let old = try self.get(resource, namespace: namespace, name: name)
            try preconditions.check(old)
            var value = old.value
            try body(&value)
            if let version = value["metadata"]?["resourceVersion"]?.stringValue, !version.isEmpty,
                version != String(old.resourceVersion)
            {
                throw .modified(resource, name)
            }
            if let uid = value["metadata"]?["uid"]?.stringValue, !uid.isEmpty { try Preconditions(uid: uid).check(old) }
            try Self.restoreSystemFields(&value, from: old, definition: definition)
            if Self.isSame(value, old.value) { return old }
            if dryRun { return StoredObject(key: old.key, value: value, resourceVersion: old.resourceVersion) }
            let isDone = StoredObject.isTerminating(value) && !Self.isHeldBack(value, resource: resource)
            let written = value
            let result: StoredObject? = self.state.withLock { state in
                guard state.tables[resource]?.objects[Self.tableKey(old.key)] === old else { return nil }
                return isDone
                    ? Self.remove(old, lastState: written, configuration: self.configuration, in: &state)
                    : Self.commit(old.key, written, old: old, configuration: self.configuration, in: &state)
            }
            if let result { return result }
        }
    }

    /// Replaces an object by `object`; its resourceVersion, when it has one, must be the current one.
    @discardableResult
    package func update(_ resource: GroupResource, _ object: JSONValue) throws(StatusError) -> StoredObject {
        let namespace = object["metadata"]?["namespace"]?.stringValue ?? ""
        let name = object["metadata"]?["name"]?.stringValue ?? ""
        return try self.mutate(resource, namespace: namespace, name: name) { value in value = object }
    }

    /// Deletes an object: removes it, or marks it when finalizers or a pod's grace period hold it back.
    @discardableResult
    package func delete(
        _ resource: GroupResource,
        namespace: String = "",
        name: String,
        options: DeleteOptions = DeleteOptions(),
        dryRun: Bool = false
    ) throws(StatusError) -> DeleteOutcome {
        guard let definition = self.definition(of: resource) else { throw .notFound(resource, name) }
        let now = self.configuration.now()
        let result: Result<DeleteOutcome, StatusError> = self.state.withLock { state in
            guard let old = state.tables[resource]?.objects["\(namespace)/\(name)"] else {
                return .failure(.notFound(resource, name))
            }
            do throws(StatusError) {
                try options.preconditions.check(old)
            } catch {
                return .failure(error)
            }
            var value = old.value
            var metadata = value["metadata"] ?? [:]
            var finalizers = StoredObject.finalizers(of: value)
            switch options.propagation {
            case .foreground where !finalizers.contains("foregroundDeletion"): finalizers.append("foregroundDeletion")
            case .orphan where !finalizers.contains("orphan"): finalizers.append("orphan")
            case .background where !old.isTerminating:
                finalizers.removeAll { $0 == "foregroundDeletion" || $0 == "orphan" }
            case .foreground, .orphan, .background, nil: break
            }
            metadata["finalizers"] = finalizers.isEmpty ? nil : .array(finalizers.map { .string($0) })
            var grace = resource == .pods ? Self.gracePeriod(of: value, asked: options.gracePeriodSeconds) : 0
            if old.isTerminating {
                // A second delete can shorten the wait, never lengthen it.
                let current = metadata["deletionGracePeriodSeconds"]?.intValue ?? 0
                if grace >= current { grace = current }
                if grace < current {
                    metadata["deletionGracePeriodSeconds"] = .int(grace)
                    metadata["deletionTimestamp"] = .string(Timestamp.seconds(now.addingTimeInterval(Double(grace))))
                }
            } else {
                metadata["deletionGracePeriodSeconds"] = .int(grace)
                metadata["deletionTimestamp"] = .string(Timestamp.seconds(now.addingTimeInterval(Double(grace))))
                if let generation = metadata["generation"]?.intValue, generation > 0 {
                    metadata["generation"] = .int(generation + 1)
                }
                if resource == .namespaces { value[path: ["status", "phase"]] = "Terminating" }
            }
            value["metadata"] = metadata
            if !Self.isHeldBack(value, resource: resource) {
                let removed =
                    dryRun
                    ? old : Self.remove(old, lastState: old.value, configuration: self.configuration, in: &state)
                return .success(DeleteOutcome(object: removed, isRemoved: true))
            }
            if dryRun || value == old.value { return .success(DeleteOutcome(object: old, isRemoved: false)) }
            let marked = Self.commit(old.key, value, old: old, configuration: self.configuration, in: &state)
            return .success(DeleteOutcome(object: marked, isRemoved: false))
        }
        _ = definition
        return try result.get()
    }

    // MARK: Rules of metadata

    private static func refusal(of namespace: String, for key: ObjectKey, in state: State) -> StatusError? {
        guard let object = state.tables[.namespaces]?.objects["/\(namespace)"] else {
            return .notFound(.namespaces, namespace)
        }
        guard object.isTerminating else { return nil }
        var error = StatusError.forbidden(
            key.resource,
            key.name,
            "unable to create new content in namespace \(namespace) because it is being terminated"
        )
        error.causes = [
            .init(
                reason: "NamespaceTerminating",
                message: "namespace \(namespace) is being terminated",
                field: "metadata.namespace"
            )
        ]
        return error
    }

    /// A pod's grace period as the real server decides it: none for a pod that never was on a node or has ended.
    private static func gracePeriod(of pod: JSONValue, asked: Int64?) -> Int64 {
        let spec = pod["spec"]
        let phase = pod["status"]?["phase"]?.stringValue
        if (spec?["nodeName"]?.stringValue ?? "").isEmpty || phase == "Succeeded" || phase == "Failed" { return 0 }
        let period = asked ?? spec?["terminationGracePeriodSeconds"]?.intValue ?? 30
        return period < 0 ? 1 : period
    }

    /// Whether an object that is marked for deletion must stay.
    private static func isHeldBack(_ value: JSONValue, resource: GroupResource) -> Bool {
        if !StoredObject.finalizers(of: value).isEmpty { return true }
        if (value["metadata"]?["deletionGracePeriodSeconds"]?.intValue ?? 0) > 0 { return true }
        return resource == .namespaces && !(value["spec"]?["finalizers"]?.arrayValue ?? []).isEmpty
    }

    private static func restoreSystemFields(
        _ value: inout JSONValue,
        from old: StoredObject,
        definition: ResourceDefinition
    ) throws(StatusError) {
        var metadata = value["metadata"] ?? [:]
        let before = old.value["metadata"] ?? [:]
        let kept = [
            "name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
            "generation", "resourceVersion", "generateName", "selfLink",
        ]
        for field in kept {
            metadata[field] = before[field]
        }
        self.dropEmptyMetadata(&metadata)
        value["metadata"] = metadata
        value["apiVersion"] = old.value["apiVersion"]
        value["kind"] = old.value["kind"]
        if old.isTerminating {
            let added = Set(StoredObject.finalizers(of: value)).subtracting(old.finalizers)
            if !added.isEmpty {
                throw .invalid(
                    kind: definition.kind,
                    group: definition.name.group,
                    name: old.name,
                    causes: [
                        .init(
                            reason: "FieldValueForbidden",
                            message: "Forbidden: no new finalizers can be added if the object is being deleted, "
                                + "found new finalizers \(added.sorted())",
                            field: "metadata.finalizers"
                        )
                    ]
                )
            }
        }
        let ignored: Set<String>
        switch definition.generation {
        case .none: return
        case .desiredState: ignored = ["metadata", "status"]
        case .everything: ignored = ["metadata"]
        }
        let isChanged =
            value.objectValue?.filter { !ignored.contains($0.key) }
            != old.value.objectValue?.filter { !ignored.contains($0.key) }
        if isChanged { value[path: ["metadata", "generation"]] = .int(old.generation + 1) }
    }

    /// Absent and empty are the same in these.
    private static func dropEmptyMetadata(_ metadata: inout JSONValue) {
        for field in ["labels", "annotations"] where metadata[field]?.objectValue?.isEmpty ?? true {
            metadata[field] = nil
        }
        for field in ["finalizers", "ownerReferences", "managedFields"]
        where metadata[field]?.arrayValue?.isEmpty ?? true {
            metadata[field] = nil
        }
    }

    /// Whether two versions differ in nothing but the times in managedFields.
    private static func isSame(_ lhs: JSONValue, _ rhs: JSONValue) -> Bool {
        if lhs == rhs { return true }
        func timeless(_ value: JSONValue) -> JSONValue {
            var value = value
            guard let entries = value["metadata"]?["managedFields"]?.arrayValue else { return value }
            value[path: ["metadata", "managedFields"]] = .array(
                entries.map { entry in
                    var entry = entry
                    entry["time"] = nil
                    return entry
                }
            )
            return value
        }
        guard lhs["spec"] == rhs["spec"], lhs["status"] == rhs["status"] else { return false }
        return timeless(lhs) == timeless(rhs)
    }

    private static func randomSuffix() -> String {
        // The alphabet of the real server: no vowels, nothing that looks like something else.
        let alphabet = Array("bcdfghjklmnpqrstvwxz2456789")
        return String((0..<5).map { _ in alphabet.randomElement() ?? "x" })
    }

    // MARK: Commit

    private static func commit(
        _ key: ObjectKey,
        _ value: JSONValue,
        old: StoredObject?,
        configuration: Configuration,
        in state: inout State
    ) -> StoredObject {
        state.resourceVersion += 1
        var value = value
        value[path: ["metadata", "resourceVersion"]] = .string(String(state.resourceVersion))
        let object = StoredObject(key: key, value: value, resourceVersion: state.resourceVersion)
        if old == nil { state.tables[key.resource]?.sortedKeys = nil }
        state.tables[key.resource]?.objects[self.tableKey(key)] = object
        if key.resource == .customResourceDefinitions {
            self.applyDefinition(object, isRemoved: false, to: &state)
        }
        state.journal?.append(object)
        self.publish(
            Change(resourceVersion: state.resourceVersion, old: old, new: object, removed: nil),
            of: key.resource,
            configuration: configuration,
            in: &state
        )
        return object
    }

    private static func remove(
        _ old: StoredObject,
        lastState: JSONValue,
        configuration: Configuration,
        in state: inout State
    ) -> StoredObject {
        state.resourceVersion += 1
        var value = lastState
        value[path: ["metadata", "resourceVersion"]] = .string(String(state.resourceVersion))
        let object = StoredObject(key: old.key, value: value, resourceVersion: state.resourceVersion)
        state.tables[old.key.resource]?.sortedKeys = nil
        state.tables[old.key.resource]?.objects[self.tableKey(old.key)] = nil
        state.journal?.append(removed: old.key, resourceVersion: state.resourceVersion)
        self.publish(
            Change(resourceVersion: state.resourceVersion, old: old, new: nil, removed: object),
            of: old.key.resource,
            configuration: configuration,
            in: &state
        )
        if old.key.resource == .customResourceDefinitions {
            self.applyDefinition(object, isRemoved: true, to: &state)
        }
        if state.journal?.wantsRewrite(objects: state.tables.values.reduce(0) { $0 + $1.objects.count }) == true {
            state.journal?.rewrite(state)
        }
        return object
    }
}
