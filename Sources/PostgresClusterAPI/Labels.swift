/// Keys of the labels that Drover writes or reads.
public enum Labels {
    /// The cluster's name, on pods: what budgets, dashboards and network policies of our users select on.
    public static let application = "application"
    /// ``PodRole``, on pods; only the operator writes it.
    public static let role = "role"
    /// The cluster's name, on everything that belongs to it.
    public static let cluster = "drover.dev/cluster"
    /// The instance's name, on pods, volume claims and certificate Secrets.
    public static let instance = "drover.dev/instance"
    /// The pooler's name, on pods of poolers.
    public static let pooler = "drover.dev/pooler"
    /// `postgresql`.
    public static let appName = "app.kubernetes.io/name"
    /// The cluster's name.
    public static let appInstance = "app.kubernetes.io/instance"
    /// PostgreSQL's major version.
    public static let appVersion = "app.kubernetes.io/version"
    /// `database`.
    public static let appComponent = "app.kubernetes.io/component"
    /// ``managedByDrover``.
    public static let appManagedBy = "app.kubernetes.io/managed-by"
    /// The Service an EndpointSlice belongs to.
    public static let serviceName = "kubernetes.io/service-name"
    /// Who writes an EndpointSlice: ``endpointSliceManager``.
    public static let endpointSliceManagedBy = "endpointslice.kubernetes.io/managed-by"

    /// Value of ``appManagedBy``.
    public static let managedByDrover = "drover"
    /// Value of ``endpointSliceManagedBy``.
    public static let endpointSliceManager = "drover.dev"

    /// The label selector for everything of ours.
    public static let ours = "\(Labels.appManagedBy)=\(Labels.managedByDrover)"

    /// The labels of every object of a cluster.
    public static func common(cluster: String, version: Int? = nil) -> [String: String] {
        var labels = [
            Labels.application: cluster,
            Labels.cluster: cluster,
            Labels.appName: "postgresql",
            Labels.appInstance: cluster,
            Labels.appComponent: "database",
            Labels.appManagedBy: Labels.managedByDrover,
        ]
        labels[Labels.appVersion] = version.map(String.init)
        return labels
    }

    /// The labels of what belongs to one instance.
    ///
    /// The role is not among them: the operator patches it on.
    public static func instance(_ name: String, cluster: String, version: Int? = nil) -> [String: String] {
        var labels = self.common(cluster: cluster, version: version)
        labels[Labels.instance] = name
        return labels
    }

    /// The labels of a pooler's pod.
    ///
    /// Another `application` and no role, so that nothing that selects instances selects it.
    public static func pooler(_ name: String, cluster: String) -> [String: String] {
        var labels = self.common(cluster: cluster)
        labels[Labels.application] = Names(cluster: cluster).pooler
        labels[Labels.appComponent] = "pooler"
        labels[Labels.appName] = "pgbouncer"
        labels[Labels.pooler] = name
        return labels
    }

    /// What the budget and the Service of the poolers select by.
    public static func poolerSelector(cluster: String) -> [String: String] {
        [Labels.application: Names(cluster: cluster).pooler, Labels.cluster: cluster]
    }

    /// What budgets and Services select the pods of a role by.
    public static func selector(cluster: String, role: PodRole) -> [String: String] {
        [Labels.application: cluster, Labels.role: role.rawValue, Labels.cluster: cluster]
    }

    /// The selector of all instance pods, as text for the scale subresource.
    public static func instancesSelector(cluster: String) -> String {
        "\(Labels.application)=\(cluster),\(Labels.cluster)=\(cluster)"
    }
}

/// Values of the label ``Labels/role``.
public enum PodRole: String, Codable, Hashable, Sendable, CaseIterable {
    /// The primary; never two pods at once.
    case master
    /// Everything else.
    case replica
}
