/// Who sends a request.
struct Identity: Sendable, Hashable {
    var username: String
    var uid = ""
    var groups: [String]
    var extra: [String: [String]] = [:]

    static let anonymous = Identity(username: "system:anonymous", groups: ["system:unauthenticated"])
    static let administrator = Identity(
        username: "kubernetes-admin",
        groups: ["system:masters", "system:authenticated"]
    )

    var isAdministrator: Bool { self.groups.contains("system:masters") }

    /// Namespace and name, when it is a service account.
    var serviceAccount: (namespace: String, name: String)? {
        let parts = self.username.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "system", parts[1] == "serviceaccount" else { return nil }
        return (namespace: String(parts[2]), name: String(parts[3]))
    }
}
