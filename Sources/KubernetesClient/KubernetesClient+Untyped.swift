internal import Foundation
internal import HTTPClient
public import JSON

extension KubernetesClient {
    /// Reads one object.
    public func getObject(
        _ type: ResourceType,
        _ name: String,
        namespace: String? = nil,
        subresource: String? = nil
    ) async throws(KubernetesError) -> JSONValue {
        let path = try ResourcePath(type, namespace: namespace, name: name, subresource: subresource)
        return try Self.parse(try await self.perform(Call(.get, path)).body)
    }

    /// Reads all objects of a kind that match, in pages.
    ///
    /// Of all namespaces when none is given. Beside the objects comes the resourceVersion to watch from.
    public func listObjects(
        _ type: ResourceType,
        namespace: String? = nil,
        selector: Selector = .everything,
        pageSize: Int = 500
    ) async throws(KubernetesError) -> (items: [JSONValue], resourceVersion: String) {
        let path = try ResourcePath(type, namespace: namespace)
        var items: [JSONValue] = []
        let version = try await self.eachPage(path, selector: selector, pageSize: pageSize) {
            body throws(KubernetesError) in
            let page = try Self.parse(body)
            items.append(contentsOf: page["items"]?.arrayValue ?? [])
            return ListMeta(
                resourceVersion: page["metadata"]?["resourceVersion"]?.stringValue,
                continue: page["metadata"]?["continue"]?.stringValue
            )
        }
        return (items, version)
    }

    /// Creates an object, or a subresource such as `binding` of the object `name`.
    ///
    /// The object's own namespace counts unless another is given; `apiVersion` and `kind` are filled in.
    public func createObject(
        _ type: ResourceType,
        _ object: JSONValue,
        namespace: String? = nil,
        name: String? = nil,
        subresource: String? = nil
    ) async throws(KubernetesError) -> JSONValue {
        let namespace = namespace ?? object["metadata"]?["namespace"]?.stringValue
        let path = try ResourcePath(type, namespace: namespace, name: name, subresource: subresource)
        var object = object
        if object["apiVersion"] == nil { object["apiVersion"] = .string(type.apiVersion) }
        if object["kind"] == nil { object["kind"] = .string(type.kind) }
        return try Self.parse(try await self.perform(Call(.post, path, body: object.serializedBytes())).body)
    }

    /// Replaces an object whole (PUT).
    ///
    /// Its resourceVersion, when set, is a precondition.
    public func updateObject(
        _ type: ResourceType,
        _ object: JSONValue,
        subresource: String? = nil
    ) async throws(KubernetesError) -> JSONValue {
        let path = try ResourcePath(
            type,
            namespace: object["metadata"]?["namespace"]?.stringValue,
            name: object["metadata"]?["name"]?.stringValue ?? "",
            subresource: subresource
        )
        return try Self.parse(try await self.perform(Call(.put, path, body: object.serializedBytes())).body)
    }

    /// Changes part of an object.
    public func patchObject(
        _ type: ResourceType,
        _ name: String,
        namespace: String? = nil,
        _ patch: Patch,
        subresource: String? = nil
    ) async throws(KubernetesError) -> JSONValue {
        let path = try ResourcePath(type, namespace: namespace, name: name, subresource: subresource)
        return try Self.parse(try await self.perform(Call(path, patch)).body)
    }

    /// Server-side apply; see ``apply(_:_:namespace:_:fieldManager:force:subresource:)``.
    public func applyObject(
        _ type: ResourceType,
        _ name: String,
        namespace: String? = nil,
        _ configuration: JSONValue,
        fieldManager: String,
        force: Bool = false,
        subresource: String? = nil
    ) async throws(KubernetesError) -> JSONValue {
        let path = try ResourcePath(type, namespace: namespace, name: name, subresource: subresource)
        let call = Call(applying: configuration, to: path, fieldManager: fieldManager, force: force)
        return try Self.parse(try await self.perform(call).body)
    }

    /// Deletes an object; see ``delete(_:_:namespace:options:)``.
    public func deleteObject(
        _ type: ResourceType,
        _ name: String,
        namespace: String? = nil,
        options: DeleteOptions = DeleteOptions()
    ) async throws(KubernetesError) {
        let path = try ResourcePath(type, namespace: namespace, name: name)
        let body: [UInt8]
        do {
            var document = try JSONValue(encoding: options)
            document["apiVersion"] = "v1"
            document["kind"] = "DeleteOptions"
            body = document.serializedBytes()
        } catch {
            throw KubernetesError(code: .configuration, message: "the options do not encode: \(error)")
        }
        _ = try await self.perform(Call(.delete, path, body: body))
    }

    /// Watches the objects of a kind from a resourceVersion on; see ``watch(_:namespace:selector:resourceVersion:timeout:_:)``.
    public func watchObjects<R>(
        _ type: ResourceType,
        namespace: String? = nil,
        selector: Selector = .everything,
        resourceVersion: String?,
        timeout: Duration? = nil,
        _ body: (WatchEvents<JSONValue>) async throws -> R
    ) async throws -> R {
        let request = WatchRequest(
            path: try ResourcePath(type, namespace: namespace),
            selector: selector,
            resourceVersion: resourceVersion,
            timeout: timeout
        )
        return try await self.withWatch(
            request,
            decode: { line in
                guard let object = try JSONValue(parsing: Array(line))["object"] else {
                    throw KubernetesError(code: .malformedAnswer, message: "an event without object")
                }
                return object
            },
            body
        )
    }

    private static func parse(_ body: [UInt8]) throws(KubernetesError) -> JSONValue {
        do {
            return try JSONValue(parsing: body)
        } catch {
            throw KubernetesError(
                code: .malformedAnswer,
                message: "the answer is not JSON: \(error)",
                mayHaveBeenCarriedOut: true
            )
        }
    }
}
