internal import Foundation

/// The path of a resource, percent-encoded.
struct ResourcePath: Sendable, Hashable {
    var text: String
    /// What the path names, for apply configurations.
    var type: ResourceType
    var name: String?
    var namespace: String?

    /// Makes a path.
    ///
    /// The namespace is nil for kinds without and for lists over all namespaces, the name is nil for the collection.
    init(
        _ type: ResourceType,
        namespace: String? = nil,
        name: String? = nil,
        subresource: String? = nil
    ) throws(KubernetesError) {
        var text = type.group.isEmpty ? "/api/\(type.version)" : "/apis/\(type.group)/\(type.version)"
        if type.isNamespaced, let namespace {
            text += "/namespaces/\(try Self.segment(namespace, "namespace"))"
        } else if type.isNamespaced, name != nil {
            throw KubernetesError(code: .configuration, message: "\(type.kind) needs a namespace")
        }
        text += "/\(type.plural)"
        if let name {
            text += "/\(try Self.segment(name, "name"))"
        }
        if let subresource {
            text += "/\(subresource)"
        }
        self.text = text
        self.type = type
        self.name = name
        self.namespace = type.isNamespaced ? namespace : nil
    }

    private static let allowed = CharacterSet(
        charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
    )

    /// Encodes one segment, so that no name can lead to another path.
    private static func segment(_ text: String, _ what: String) throws(KubernetesError) -> String {
        guard !text.isEmpty, text != ".", text != "..",
            let encoded = text.addingPercentEncoding(withAllowedCharacters: Self.allowed)
        else { throw KubernetesError(code: .configuration, message: "the \(what) \"\(text)\" is not possible") }
        return encoded
    }

    static func query(_ items: [(name: String, value: String)]) -> String {
        guard !items.isEmpty else { return "" }
        let pairs = items.map { item in
            "\(item.name)=\(item.value.addingPercentEncoding(withAllowedCharacters: Self.allowed) ?? "")"
        }
        return "?" + pairs.joined(separator: "&")
    }
}
