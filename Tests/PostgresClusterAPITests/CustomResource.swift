import Foundation
import JSON
import JSONYAML
import Testing

@testable import KubernetesServer

/// The CRD as it is in `crds/`, with the schema as the embedded API server applies it.
struct CustomResource {
    let document: JSONValue
    let schema: StructuralSchema

    init() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "crds/postgresclusters.drover.dev.yaml")
        let documents = try JSONValue.documents(yaml: String(contentsOf: file, encoding: .utf8))
        self.document = try #require(documents.first)
        self.schema = try StructuralSchema.root(
            parsing: try #require(self.document[path: ["spec", "versions"]]?[0]?[path: ["schema", "openAPIV3Schema"]])
        )
    }

    var version: JSONValue { self.document[path: ["spec", "versions"]]?[0] ?? .null }

    /// A part of the schema by the path of the field.
    func part(_ path: String) -> JSONValue? {
        var part = self.version[path: ["schema", "openAPIV3Schema"]]
        for key in path.split(separator: ".") {
            part = key == "[]" ? part?["items"] : part?["properties"]?[String(key)]
        }
        return part
    }

    /// What the API server makes of an object: pruned fields, defaults, and what is wrong with it.
    func admit(_ object: JSONValue) -> (object: JSONValue, unknown: [String], problems: [String]) {
        var object = object
        let unknown = self.schema.prune(&object)
        self.schema.dropNulls(from: &object)
        self.schema.applyDefaults(to: &object)
        return (object, unknown, self.schema.validate(object, isRoot: true).map(\.description))
    }
}

/// A cluster with a minimal spec, changed at one path.
func cluster(_ path: String = "", _ value: JSONValue = .null) -> JSONValue {
    var object: JSONValue = [
        "apiVersion": "drover.dev/v1", "kind": "PostgresCluster",
        "metadata": ["name": "orders", "namespace": "shop"], "spec": ["storage": ["size": "1Gi"]],
    ]
    if !path.isEmpty { object[path: path.split(separator: ".").map(String.init)] = value }
    return object
}
