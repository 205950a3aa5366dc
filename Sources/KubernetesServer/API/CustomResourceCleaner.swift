internal import JSON

/// Removes the objects of a CustomResourceDefinition that is being deleted, then lets the definition go.
struct CustomResourceCleaner: Sendable {
    /// Put on every definition when it is created.
    static let finalizer = "customresourcecleanup.apiextensions.k8s.io"

    let store: ObjectStore

    @concurrent
    func run() async {
        while !Task.isCancelled {
            guard let definitions = try? self.store.watch(.customResourceDefinitions) else { return }
            for await event in definitions {
                guard let object = event.object, object.isTerminating, object.finalizers.contains(Self.finalizer) else {
                    continue
                }
                await self.clean(object)
            }
        }
    }

    /// Deletes everything of one kind; waits for finalizers of others.
    private func clean(_ definition: StoredObject) async {
        guard let resource = ResourceDefinition(customResourceDefinition: definition.value)?.name else { return }
        if let objects = try? self.store.watch(resource, from: .existingThenBookmark) {
            loop: for await event in objects {
                switch event {
                case .added(let object), .modified(let object):
                    guard !object.isTerminating else { continue }
                    // Gone already is as good.
                    _ = try? self.store.delete(resource, namespace: object.namespace, name: object.name)
                case .deleted, .bookmark: break
                }
                if self.store.list(resource).isEmpty { break loop }
            }
        }
        _ = try? self.store.mutate(.customResourceDefinitions, name: definition.name) { value in
            let left = StoredObject.finalizers(of: value).filter { $0 != Self.finalizer }
            value[path: ["metadata", "finalizers"]] = .array(left.map { .string($0) })
        }
    }
}
