internal import EventLoop
internal import JSON
internal import Synchronization

/// Which permissions service accounts have made use of: what a role lists beyond them, it need not list.
final class UsedPermissions: Sendable {
    /// Where they can be read, by the administrator.
    static let path = "/debug/used-permissions"

    private struct Use: Hashable {
        var group: String
        var resource: String
        var verb: String
    }

    private let uses = Lock<[String: Set<Use>]>([:])

    func note(_ identity: Identity, _ attributes: Authorizer.Attributes) {
        guard identity.username.hasPrefix("system:serviceaccount:"), !attributes.resource.isEmpty else { return }
        let resource =
            attributes.subresource.isEmpty ? attributes.resource : "\(attributes.resource)/\(attributes.subresource)"
        let use = Use(group: attributes.group, resource: resource, verb: attributes.verb)
        _ = self.uses.withLock { $0[identity.username, default: []].insert(use) }
    }

    /// By user name, each as `verb resource.group`.
    var document: JSONValue {
        let uses = self.uses.withLock { $0 }
        return .object(
            uses.mapValues { uses in
                .array(
                    uses.map { use in
                        "\(use.verb) \(use.resource)" + (use.group.isEmpty ? "" : ".\(use.group)")
                    }
                    .sorted().map { .string($0) }
                )
            }
        )
    }
}
