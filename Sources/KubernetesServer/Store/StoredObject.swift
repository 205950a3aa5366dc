internal import EventLoop
package import JSON
package import NIOCore
internal import Synchronization

/// Where an object is: resource, namespace (empty for cluster-scoped kinds), name.
package struct ObjectKey: Hashable, Sendable, CustomStringConvertible {
    package let resource: GroupResource
    package let namespace: String
    package let name: String

    package init(_ resource: GroupResource, namespace: String = "", name: String) {
        self.resource = resource
        self.namespace = namespace
        self.name = name
    }

    package var description: String {
        self.namespace.isEmpty ? "\(self.resource) \(self.name)" : "\(self.resource) \(self.namespace)/\(self.name)"
    }
}

/// One version of one object, immutable, so that history, watchers and readers share it and its text.
package final class StoredObject: Sendable {
    package let key: ObjectKey
    package let value: JSONValue
    package let resourceVersion: UInt64
    private let text = Lock<ByteBuffer?>(nil)

    init(key: ObjectKey, value: JSONValue, resourceVersion: UInt64) {
        self.key = key
        self.value = value
        self.resourceVersion = resourceVersion
    }

    /// The object as JSON; made once however many readers and watchers there are.
    package var encoded: ByteBuffer {
        self.text.withLock { text in
            if let text { return text }
            let made = ByteBuffer(bytes: self.value.serializedBytes())
            text = made
            return made
        }
    }

    package var name: String { self.key.name }
    package var namespace: String { self.key.namespace }
    package var uid: String { self.value["metadata"]?["uid"]?.stringValue ?? "" }
    package var generation: Int64 { self.value["metadata"]?["generation"]?.intValue ?? 0 }
    package var labels: [String: JSONValue] { self.value["metadata"]?["labels"]?.objectValue ?? [:] }
    package var annotations: [String: JSONValue] { self.value["metadata"]?["annotations"]?.objectValue ?? [:] }
    package var finalizers: [String] { Self.finalizers(of: self.value) }
    package var ownerReferences: [JSONValue] { self.value["metadata"]?["ownerReferences"]?.arrayValue ?? [] }
    /// Whether it has a deletionTimestamp.
    package var isTerminating: Bool { Self.isTerminating(self.value) }

    package subscript(key: String) -> JSONValue? { self.value[key] }
    package subscript(path path: [String]) -> JSONValue? { self.value[path: path] }

    static func finalizers(of value: JSONValue) -> [String] {
        value["metadata"]?["finalizers"]?.arrayValue?.compactMap(\.stringValue) ?? []
    }

    static func isTerminating(_ value: JSONValue) -> Bool {
        value["metadata"]?["deletionTimestamp"]?.stringValue != nil
    }
}

/// What must hold for a write to be carried out.
package struct Preconditions: Sendable, Hashable {
    package var uid: String?
    package var resourceVersion: String?

    package init(uid: String? = nil, resourceVersion: String? = nil) {
        self.uid = uid
        self.resourceVersion = resourceVersion
    }

    package static let none = Preconditions()

    func check(_ object: StoredObject) throws(StatusError) {
        if let uid, uid != object.uid {
            throw .conflict(
                object.key.resource,
                object.name,
                "Precondition failed: UID in precondition: \(uid), UID in object meta: \(object.uid)"
            )
        }
        if let resourceVersion, resourceVersion != String(object.resourceVersion) {
            throw .conflict(
                object.key.resource,
                object.name,
                "Precondition failed: ResourceVersion in precondition: \(resourceVersion), "
                    + "ResourceVersion in object meta: \(object.resourceVersion)"
            )
        }
    }
}

/// `metav1.DeleteOptions`, as far as the store acts on them.
package struct DeleteOptions: Sendable, Hashable {
    package enum Propagation: String, Sendable {
        case background = "Background"
        case foreground = "Foreground"
        case orphan = "Orphan"
    }

    package var preconditions = Preconditions.none
    /// Seconds, for pods only; zero removes at once.
    package var gracePeriodSeconds: Int64?
    package var propagation: Propagation?

    package init(
        preconditions: Preconditions = .none,
        gracePeriodSeconds: Int64? = nil,
        propagation: Propagation? = nil
    ) {
        self.preconditions = preconditions
        self.gracePeriodSeconds = gracePeriodSeconds
        self.propagation = propagation
    }
}

/// What a delete did.
package struct DeleteOutcome: Sendable {
    /// The object, in its last state.
    package let object: StoredObject
    /// False when it stays for its grace period or its finalizers.
    package let isRemoved: Bool
}

/// What a watcher sees.
package enum WatchEvent: Sendable {
    case added(StoredObject)
    case modified(StoredObject)
    /// The object in its last state, with the resourceVersion of its removal.
    case deleted(StoredObject)
    /// Everything up to this resourceVersion has been delivered.
    case bookmark(resourceVersion: UInt64, isEndOfInitialEvents: Bool)

    /// The object, unless it is a bookmark.
    package var object: StoredObject? {
        switch self {
        case .added(let object), .modified(let object), .deleted(let object): object
        case .bookmark: nil
        }
    }
}

/// Where a watch begins.
package enum WatchStart: Sendable, Hashable {
    /// An `added` for everything there is, then what changes; what built-in controllers want.
    case existing
    /// The same with a bookmark after the existing objects (`sendInitialEvents=true`).
    case existingThenBookmark
    /// What changed after this resourceVersion.
    case after(UInt64)
}

/// A part of a list.
package struct ObjectPage: Sendable {
    package let objects: [StoredObject]
    /// Of the whole list, the same on every page.
    package let resourceVersion: UInt64
    package let continueToken: String?
    package let remainingItemCount: Int?
}
