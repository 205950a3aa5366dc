public import KubernetesClient

/// Told of every change that an informer sees, in order, from the informer's task: be quick, put a key into a queue.
public struct InformerHandler<Resource: Sendable>: Sendable {
    /// The object is new to the informer.
    public var added: @Sendable (Resource) -> Void
    /// The object has changed.
    public var updated: @Sendable (_ old: Resource, _ new: Resource) -> Void
    /// The object is gone; this is what was last known, with the resourceVersion at which it was gone.
    public var deleted: @Sendable (Resource) -> Void
    /// After all changes that a new list has brought: what there was at its resourceVersion, and nothing else.
    public var listed: @Sendable (_ present: Set<ObjectKey>, _ resourceVersion: String) -> Void

    /// Makes a handler; what is left out does nothing.
    public init(
        added: @escaping @Sendable (Resource) -> Void = { _ in },
        updated: @escaping @Sendable (_ old: Resource, _ new: Resource) -> Void = { _, _ in },
        deleted: @escaping @Sendable (Resource) -> Void = { _ in },
        listed: @escaping @Sendable (_ present: Set<ObjectKey>, _ resourceVersion: String) -> Void = { _, _ in }
    ) {
        self.added = added
        self.updated = updated
        self.deleted = deleted
        self.listed = listed
    }

    /// Makes a handler that treats all changes alike.
    public init(any changed: @escaping @Sendable (Resource) -> Void) {
        self.init(added: changed, updated: { _, new in changed(new) }, deleted: changed)
    }
}
