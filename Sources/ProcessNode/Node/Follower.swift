internal import KubernetesClient
internal import Logging

/// Keeps a picture of the objects of one kind that match, and tells of each change.
///
/// Lists, then watches, resumes a watch that broke where it was, and lists anew when that is too long ago.
struct Follower<Object: KubernetesResource>: Sendable {
    let client: KubernetesClient
    var namespace: String?
    var selector = Selector.everything
    let logger: Logger

    /// Calls `changed` with all objects, first when they are known and then after each change, until cancelled.
    func run(_ changed: ([ObjectKey: Object]) async -> Void) async {
        var objects: [ObjectKey: Object] = [:]
        var version: String?
        var pause = RetryPause()
        while !Task.isCancelled {
            do {
                if version == nil {
                    let list = try await self.client.list(
                        Object.self,
                        namespace: self.namespace,
                        selector: self.selector
                    )
                    objects = Dictionary(list.items.map { ($0.key, $0) }) { _, last in last }
                    version = list.resourceVersion
                    await changed(objects)
                }
                try await self.client.watch(
                    Object.self,
                    namespace: self.namespace,
                    selector: self.selector,
                    resourceVersion: version
                ) { events in
                    for try await event in events {
                        pause.reset()
                        switch event {
                        case .added(let object), .modified(let object):
                            objects[object.key] = object
                            version = object.metadata.resourceVersion ?? version
                            await changed(objects)
                        case .deleted(let object):
                            objects[object.key] = nil
                            version = object.metadata.resourceVersion ?? version
                            await changed(objects)
                        case .bookmark(let resourceVersion), .undecodable(_, let resourceVersion, _):
                            version = resourceVersion
                        }
                    }
                }
            } catch let error as KubernetesError where error.code == .expired {
                version = nil
            } catch {
                if Task.isCancelled { return }
                self.logger.debug(
                    "watch failed",
                    metadata: ["resource": "\(Object.resourceType.plural)", "error": "\(error)"]
                )
                // A request that the server does not understand will not get better by a later version.
                version = nil
                try? await Task.sleep(for: pause.next())
            }
        }
    }
}
