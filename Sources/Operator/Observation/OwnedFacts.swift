internal import KubernetesClient

/// What is kept of an object that is made once per cluster: whose it is, and whether it is as we would make it.
struct OwnedFacts: Sendable, Hashable {
    /// UIDs of those it belongs to.
    var owners: [String]
    /// Stands for labels and contents, as far as we write them; of use in this process only.
    var contents: Int

    init(_ service: Service) {
        let spec = service.spec
        self.init(service.metadata, [AnyHashable(spec?.type), AnyHashable(spec?.ports), AnyHashable(spec?.selector)])
    }

    init(_ role: Role) { self.init(role.metadata, [AnyHashable(role.rules)]) }

    init(_ binding: RoleBinding) {
        self.init(binding.metadata, [AnyHashable(binding.subjects), AnyHashable(binding.roleRef)])
    }

    init(_ account: ServiceAccount) { self.init(account.metadata, []) }

    private init(_ metadata: ObjectMeta, _ contents: [AnyHashable]) {
        self.owners = (metadata.ownerReferences ?? []).map(\.uid)
        var hasher = Hasher()
        hasher.combine(metadata.labels)
        hasher.combine(contents)
        self.contents = hasher.finalize()
    }
}
