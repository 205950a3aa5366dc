internal import Foundation
internal import HTTPClient
public import JSON
internal import Logging

extension KubernetesClient {
    /// Reads one object.
    ///
    /// The namespace is nil for kinds without.
    public func get<T: KubernetesResource>(
        _ type: T.Type,
        _ name: String,
        namespace: String? = nil
    ) async throws(KubernetesError) -> T {
        let path = try ResourcePath(T.resourceType, namespace: namespace, name: name)
        return try self.decode(try await self.perform(Call(.get, path)).body)
    }

    /// Reads all objects of a kind that match, in pages.
    ///
    /// Objects that do not decode are left out and logged, so that one bad object does not hide the others.
    /// - Parameters:
    ///   - type: the kind.
    ///   - namespace: nil for all namespaces.
    ///   - selector: which objects are meant.
    ///   - pageSize: objects per request.
    /// - Returns: the objects, and the resourceVersion to watch from.
    /// - Throws: ``KubernetesError``; `expired` when the list changed too much between two pages.
    public func list<T: KubernetesResource>(
        _ type: T.Type,
        namespace: String? = nil,
        selector: Selector = .everything,
        pageSize: Int = 500
    ) async throws(KubernetesError) -> (items: [T], resourceVersion: String) {
        var items: [T] = []
        let version = try await self.listPages(type, namespace: namespace, selector: selector, pageSize: pageSize) {
            items.append(contentsOf: $0.items)
        }
        return (items, version)
    }

    /// Reads all objects of a kind that match, and gives each page away, so that they need not all be held at once.
    /// - Parameters:
    ///   - type: the kind.
    ///   - namespace: nil for all namespaces.
    ///   - selector: which objects are meant.
    ///   - pageSize: objects per request.
    ///   - onPage: takes each page.
    /// - Returns: the resourceVersion to watch from.
    /// - Throws: ``KubernetesError``; `expired` when the list changed too much between two pages.
    public func listPages<T: KubernetesResource>(
        _ type: T.Type,
        namespace: String? = nil,
        selector: Selector = .everything,
        pageSize: Int = 500,
        onPage: (ListPage<T>) -> Void
    ) async throws(KubernetesError) -> String {
        let path = try ResourcePath(T.resourceType, namespace: namespace)
        return try await self.eachPage(path, selector: selector, pageSize: pageSize) { body throws(KubernetesError) in
            let page: TypedList<T> = try self.decode(body)
            for problem in page.problems {
                self.logUndecodable(type.resourceType, problem)
            }
            onPage(ListPage(items: page.items, undecodable: page.problems.map(\.key)))
            return page.metadata
        }
    }

    /// Creates an object; its own namespace counts unless another is given.
    public func create<T: KubernetesResource>(
        _ object: T,
        namespace: String? = nil
    ) async throws(KubernetesError) -> T {
        let path = try ResourcePath(T.resourceType, namespace: namespace ?? object.metadata.namespace)
        let call = Call(.post, path, body: try Self.body(of: object))
        return try self.decode(try await self.perform(call).body)
    }

    /// Replaces an object whole (PUT).
    ///
    /// For types that are complete only, such as `Lease`: fields that the type does not
    /// know are lost. Its resourceVersion, when set, is a precondition.
    public func update<T: KubernetesResource>(_ object: T) async throws(KubernetesError) -> T {
        try await self.replace(object, subresource: nil)
    }

    /// Replaces the status of an object (PUT); the same warning as for ``update(_:)`` holds for the status.
    public func updateStatus<T: KubernetesResource>(_ object: T) async throws(KubernetesError) -> T {
        try await self.replace(object, subresource: "status")
    }

    private func replace<T: KubernetesResource>(_ object: T, subresource: String?) async throws(KubernetesError) -> T {
        let path = try ResourcePath(
            T.resourceType,
            namespace: object.metadata.namespace,
            name: object.metadata.name ?? "",
            subresource: subresource
        )
        let call = Call(.put, path, body: try Self.body(of: object))
        return try self.decode(try await self.perform(call).body)
    }

    /// Changes part of an object, or of a subresource such as `status`.
    public func patch<T: KubernetesResource>(
        _ type: T.Type,
        _ name: String,
        namespace: String? = nil,
        _ patch: Patch,
        subresource: String? = nil
    ) async throws(KubernetesError) -> T {
        let path = try ResourcePath(T.resourceType, namespace: namespace, name: name, subresource: subresource)
        return try self.decode(try await self.perform(Call(path, patch)).body)
    }

    /// Makes the fields of `configuration` so, by server-side apply.
    ///
    /// Removes the fields that this manager had set before and sets no more; creates the object when it does not exist.
    /// - Parameters:
    ///   - type: the kind.
    ///   - name: the object's name.
    ///   - namespace: its namespace; nil for kinds without.
    ///   - configuration: the fields to own; `apiVersion`, `kind`, `metadata.name` and namespace are added.
    ///   - fieldManager: who owns the fields.
    ///   - force: takes fields from other managers instead of failing with `conflict`.
    ///   - subresource: such as `status`.
    /// - Returns: the object as the server has it.
    /// - Throws: ``KubernetesError``; `conflict` when another manager owns one of the fields.
    public func apply<T: KubernetesResource>(
        _ type: T.Type,
        _ name: String,
        namespace: String? = nil,
        _ configuration: JSONValue,
        fieldManager: String,
        force: Bool = false,
        subresource: String? = nil
    ) async throws(KubernetesError) -> T {
        let path = try ResourcePath(T.resourceType, namespace: namespace, name: name, subresource: subresource)
        let call = Call(applying: configuration, to: path, fieldManager: fieldManager, force: force)
        return try self.decode(try await self.perform(call).body)
    }

    /// Deletes an object.
    ///
    /// Ends when the server has taken it on; finalizers and grace may keep the object for a while. The error is
    /// `notFound` when it is gone already, `conflict` when a precondition does not hold.
    public func delete<T: KubernetesResource>(
        _ type: T.Type,
        _ name: String,
        namespace: String? = nil,
        options: DeleteOptions = DeleteOptions()
    ) async throws(KubernetesError) {
        try await self.deleteObject(T.resourceType, name, namespace: namespace, options: options)
    }

    /// Asks for the eviction of a pod, which its budgets may refuse: `tooManyRequests`, which is not repeated.
    public func evict(
        pod name: String,
        namespace: String,
        options: DeleteOptions? = nil
    ) async throws(KubernetesError) {
        let path = try ResourcePath(Pod.resourceType, namespace: namespace, name: name, subresource: "eviction")
        let eviction = Eviction(metadata: ObjectMeta(name: name, namespace: namespace), deleteOptions: options)
        var call = Call(.post, path, body: try Self.body(of: eviction))
        call.safety.waitsWhenTooMany = false
        _ = try await self.perform(call)
    }

    /// Makes a token of a service account.
    public func createToken(
        serviceAccount name: String,
        namespace: String,
        _ spec: TokenRequestSpec = TokenRequestSpec()
    ) async throws(KubernetesError) -> TokenRequestStatus {
        let path = try ResourcePath(ServiceAccount.resourceType, namespace: namespace, name: name, subresource: "token")
        let call = Call(.post, path, body: try Self.body(of: TokenRequest(spec: spec)))
        let answer: TokenRequest = try self.decode(try await self.perform(call).body)
        guard let status = answer.status, !status.token.isEmpty else {
            throw KubernetesError(code: .malformedAnswer, message: "the answer holds no token")
        }
        return status
    }

    /// Watches the objects of a kind from a resourceVersion on, and gives the events to `body` as they come.
    ///
    /// The server ends a watch every few minutes: go on from the last resourceVersion. An `Informer` does all that.
    /// - Parameters:
    ///   - type: the kind.
    ///   - namespace: nil for all namespaces.
    ///   - selector: which objects are meant.
    ///   - resourceVersion: where to start; nil starts with the present state as `added` events.
    ///   - timeout: how long the server lets it go on.
    ///   - body: takes the events; the watch ends with it.
    /// - Returns: what `body` returns.
    /// - Throws: ``KubernetesError``, and whatever `body` throws.
    public func watch<T: KubernetesResource, R>(
        _ type: T.Type,
        namespace: String? = nil,
        selector: Selector = .everything,
        resourceVersion: String?,
        timeout: Duration? = nil,
        _ body: (WatchEvents<T>) async throws -> R
    ) async throws -> R {
        let request = WatchRequest(
            path: try ResourcePath(T.resourceType, namespace: namespace),
            selector: selector,
            resourceVersion: resourceVersion,
            timeout: timeout
        )
        return try await self.withWatch(
            request,
            decode: { line in try JSONDecoder().decode(ObjectLine<T>.self, from: line).object },
            body
        )
    }

    // MARK: Coding

    private static func body(of object: some KubernetesResource) throws(KubernetesError) -> [UInt8] {
        do {
            return try object.document().serializedBytes()
        } catch {
            throw KubernetesError(code: .configuration, message: "the object does not encode: \(error)")
        }
    }

    private func decode<T: Decodable>(_ body: [UInt8]) throws(KubernetesError) -> T {
        do {
            return try JSONDecoder().decode(T.self, from: Data(body))
        } catch {
            throw KubernetesError(
                code: .malformedAnswer,
                message: "the answer is no \(T.self): \(Decoding.describe(error))",
                mayHaveBeenCarriedOut: true
            )
        }
    }

    private func logUndecodable(_ type: ResourceType, _ problem: Decoding.Problem) {
        self.logger.warning(
            "Object does not decode and is left out",
            metadata: [
                "kubernetes.kind": "\(type.kind)",
                "kubernetes.object": "\(problem.key)",
                "error": "\(problem.reason)",
            ]
        )
    }
}
