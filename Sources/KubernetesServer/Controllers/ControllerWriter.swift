internal import Foundation
internal import JSON

/// How built-in controllers write: with an owner in managedFields, as the real ones have.
struct ControllerWriter: Sendable {
    let store: ObjectStore

    /// The time of day.
    var now: Date { self.store.configuration.now() }
    /// The time of day as objects carry it.
    var timestamp: String { Timestamp.seconds(self.now) }

    /// Changes an object; nothing is written when `body` changes nothing.
    @discardableResult
    func change(
        _ key: ObjectKey,
        uid: String? = nil,
        by manager: String = "kube-controller-manager",
        subresource: String = "",
        _ body: (inout JSONValue) throws(StatusError) -> Void
    ) throws(StatusError) -> StoredObject {
        let definition = self.store.definition(of: key.resource)
        let schema = FieldSchema.builtIn(group: key.resource.group, kind: definition?.kind ?? "")
        let isCustom = definition?.isCustom ?? false
        return try self.store.mutate(
            key.resource,
            namespace: key.namespace,
            name: key.name,
            preconditions: Preconditions(uid: uid)
        ) { value throws(StatusError) in
            let before = value
            try body(&value)
            guard value != before, !isCustom else { return }
            value = ServerSideApply.update(
                value,
                from: before,
                schema: schema,
                writer: ServerSideApply.Writer(
                    manager: manager,
                    apiVersion: before["apiVersion"]?.stringValue ?? "v1",
                    subresource: subresource,
                    time: self.timestamp
                )
            )
        }
    }

    /// Creates an object.
    @discardableResult
    func create(
        _ resource: GroupResource,
        _ object: JSONValue,
        by manager: String = "kube-controller-manager"
    ) throws(StatusError) -> StoredObject {
        let definition = self.store.definition(of: resource)
        var object = object
        object["kind"] = .string(definition?.kind ?? "")
        object["apiVersion"] = .string(definition?.apiVersion ?? "v1")
        let managed = ServerSideApply.update(
            object,
            from: nil,
            schema: FieldSchema.builtIn(group: resource.group, kind: definition?.kind ?? ""),
            writer: ServerSideApply.Writer(
                manager: manager,
                apiVersion: definition?.apiVersion ?? "v1",
                time: self.timestamp
            )
        )
        return try self.store.create(resource, managed)
    }

    /// Tells about an object; failures are of no consequence.
    func event(
        about object: StoredObject,
        kind: String,
        type: String = "Normal",
        reason: String,
        message: String,
        component: String
    ) {
        let namespace = object.namespace.isEmpty ? "default" : object.namespace
        let time = JSONValue.string(self.timestamp)
        var reference: [String: JSONValue] = [
            "kind": .string(kind), "name": .string(object.name), "uid": .string(object.uid),
            "apiVersion": object["apiVersion"] ?? "v1", "resourceVersion": .string(String(object.resourceVersion)),
        ]
        if !object.namespace.isEmpty { reference["namespace"] = .string(object.namespace) }
        _ = try? self.create(
            .events,
            [
                "metadata": ["generateName": .string("\(object.name)."), "namespace": .string(namespace)],
                "involvedObject": .object(reference), "type": .string(type), "reason": .string(reason),
                "message": .string(message), "source": ["component": .string(component)], "firstTimestamp": time,
                "lastTimestamp": time, "count": 1, "reportingComponent": .string(component), "reportingInstance": "",
            ],
            by: component
        )
    }
}

/// `status.conditions` and the like.
enum ConditionList {
    /// The condition of a type.
    static func find(_ type: String, in object: JSONValue) -> JSONValue? {
        (object["status"]?["conditions"]?.arrayValue ?? []).first { $0["type"]?.stringValue == type }
    }

    /// Whether a condition is there and true.
    static func isTrue(_ type: String, in object: JSONValue) -> Bool {
        self.find(type, in: object)?["status"]?.stringValue == "True"
    }

    /// Sets a condition; `lastTransitionTime` moves only when the status does.
    static func set(
        _ type: String,
        _ status: String,
        reason: String,
        message: String,
        time: String,
        in object: inout JSONValue,
        others: [String: JSONValue] = [:]
    ) {
        var conditions = object["status"]?["conditions"]?.arrayValue ?? []
        let index = conditions.firstIndex { $0["type"]?.stringValue == type }
        var condition = index.map { conditions[$0] } ?? ["type": .string(type)]
        if condition["status"]?.stringValue != status { condition["lastTransitionTime"] = .string(time) }
        condition["status"] = .string(status)
        condition["reason"] = reason.isEmpty ? nil : .string(reason)
        condition["message"] = message.isEmpty ? nil : .string(message)
        for (key, value) in others { condition[key] = value }
        if let index { conditions[index] = condition } else { conditions.append(condition) }
        object[path: ["status", "conditions"]] = .array(conditions)
    }
}

extension StoredObject {
    /// `metadata.ownerReferences` entry that says `controller: true`.
    var controllerReference: JSONValue? {
        self.ownerReferences.first { $0["controller"]?.boolValue == true }
    }

    /// Whether a pod counts as ready.
    var isReadyPod: Bool { ConditionList.isTrue("Ready", in: self.value) }

    /// Whether a pod has ended for good.
    var isFinishedPod: Bool {
        let phase = self.value["status"]?["phase"]?.stringValue
        return phase == "Succeeded" || phase == "Failed"
    }

    /// The node a pod is bound to, empty when it is to none.
    var nodeName: String { self.value["spec"]?["nodeName"]?.stringValue ?? "" }
}
