internal import Foundation
public import JSON
internal import JSONYAML
public import KubernetesClient

/// Applies manifests to an API server, as `kubectl apply --server-side` does.
public struct Manifests: Sendable {
    private let client: KubernetesClient

    /// Makes an applier.
    public init(client: KubernetesClient) {
        self.client = client
    }

    /// Reads the documents of a YAML file.
    /// - Throws: ``PlaygroundError`` when the file cannot be read or is no YAML.
    public static func read(file: String) throws -> [JSONValue] {
        guard let data = FileManager.default.contents(atPath: file) else {
            throw PlaygroundError(message: "cannot read \(file)")
        }
        do {
            return try JSONValue.documents(yaml: String(decoding: data, as: UTF8.self)).filter { !$0.isNull }
        } catch {
            throw PlaygroundError(message: "\(file) is no YAML: \(error)")
        }
    }

    /// Applies all objects of a file, and waits until new kinds are served.
    public func apply(file: String) async throws {
        for document in try Self.read(file: file) {
            try await self.apply(document)
        }
    }

    /// Applies one object; one without namespace goes to `default`.
    public func apply(_ document: JSONValue) async throws {
        guard let kind = document["kind"]?.stringValue, let apiVersion = document["apiVersion"]?.stringValue,
            let name = document["metadata"]?["name"]?.stringValue
        else { throw PlaygroundError(message: "a document without kind, apiVersion or name cannot be applied") }
        let type = try await self.find(kind: kind, apiVersion: apiVersion)
        _ = try await self.client.applyObject(
            type,
            name,
            namespace: type.isNamespaced ? document["metadata"]?["namespace"]?.stringValue ?? "default" : nil,
            document,
            fieldManager: "drover-playground",
            force: true
        )
        guard kind == "CustomResourceDefinition", let defined = document["spec"]?["names"]?["kind"]?.stringValue,
            let group = document["spec"]?["group"]?.stringValue,
            let version = document["spec"]?["versions"]?[0]?["name"]?.stringValue
        else { return }
        let deadline = ContinuousClock.now + .seconds(30)
        while true {
            do {
                _ = try await self.find(kind: defined, apiVersion: "\(group)/\(version)")
                return
            } catch {
                guard ContinuousClock.now < deadline else { throw error }
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    private func find(kind: String, apiVersion: String) async throws -> ResourceType {
        let parts = apiVersion.split(separator: "/").map(String.init)
        let path = parts.count == 1 ? "/api/\(apiVersion)" : "/apis/\(apiVersion)"
        let list = try await self.client.raw(method: "GET", path: path)
        for resource in list["resources"]?.arrayValue ?? []
        where resource["kind"]?.stringValue == kind && resource["name"]?.stringValue?.contains("/") == false {
            return ResourceType(
                group: parts.count == 1 ? "" : parts[0],
                version: parts[parts.count - 1],
                kind: kind,
                plural: resource["name"]?.stringValue ?? "",
                isNamespaced: resource["namespaced"]?.boolValue ?? true
            )
        }
        throw PlaygroundError(message: "the API server knows no \(kind) of \(apiVersion)")
    }
}
