/// The name of every object that belongs to a cluster.
public struct Names: Hashable, Sendable {
    /// The cluster's name.
    public let cluster: String

    /// Names derived from a cluster's name.
    public init(cluster: String) { self.cluster = cluster }

    /// The Lease of the primary.
    public var lease: String { self.cluster }
    /// The Service of the primary, without selector.
    public var primaryService: String { self.cluster }
    /// The EndpointSlice of that Service.
    public var endpointSlice: String { self.cluster }
    /// The Service of the replicas.
    public var replicasService: String { "\(self.cluster)-replicas" }
    /// The disruption budget of the primary.
    public var primaryBudget: String { "\(self.cluster)-master" }
    /// The disruption budget of the replicas.
    public var replicasBudget: String { "\(self.cluster)-replicas" }
    /// The Secret of the certificate authority: `tls.crt`, `tls.key`.
    public var authoritySecret: String { "\(self.cluster)-ca" }
    /// The Secret of the application: `username`, `password`, `host`, `port`, `dbname`, `uri`, `jdbc-uri`.
    public var applicationSecret: String { "\(self.cluster)-app" }
    /// The Service of the poolers; their disruption budget, service account, Role and RoleBinding are named the same.
    public var pooler: String { "\(self.cluster)-pooler" }
    /// The Secret of the poolers: `ca.crt`, `tls.crt`, `tls.key`, `client.crt`, `client.key`, and what `spec.tls` brings.
    public var poolerSecret: String { "\(self.cluster)-pooler-tls" }
    /// The pooler of a number, which is its pod's name.
    public func pooler(_ number: Int) -> String { "\(self.pooler)-\(number)" }
    /// The Secret of a role whose password Drover makes: as ``applicationSecret``.
    ///
    /// Two roles can come to the same name: `a_b` and `a-b`, or `A` and `a`.
    public func roleSecret(of role: String) -> String {
        let safe = role.utf8.map { byte -> Character in
            switch byte {
            case 0x61...0x7A, 0x30...0x39: Character(UnicodeScalar(byte))
            case 0x41...0x5A: Character(UnicodeScalar(byte + 0x20))
            default: "-"
            }
        }
        // Ends with a letter or digit, whatever the role's name does.
        var name = String(safe)
        while name.hasSuffix("-") { name.removeLast() }
        while name.hasPrefix("-") { name.removeFirst() }
        return "\(self.cluster)-role-\(name.isEmpty ? "0" : name)"
    }

    /// The service account of the instances.
    public var serviceAccount: String { self.cluster }
    /// The Role of that service account.
    public var role: String { self.cluster }
    /// The RoleBinding of that service account.
    public var roleBinding: String { self.cluster }

    /// The instance of a number; its pod and its volume claim are named the same.
    public func instance(_ number: Int) -> String { "\(self.cluster)-\(number)" }

    /// The number of one of this cluster's instances, nil for any other name.
    public func number(ofInstance name: String) -> Int? {
        guard name.hasPrefix("\(self.cluster)-") else { return nil }
        let digits = name.dropFirst(self.cluster.count + 1)
        guard (1...9).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            digits.first != "0"
        else { return nil }
        return Int(digits)
    }

    /// The Secret with the certificates of an instance: `ca.crt`, `tls.crt`, `tls.key`, `replica.crt`, `replica.key`.
    public func certificateSecret(ofInstance name: String) -> String { "\(name)-tls" }

    /// The physical replication slot for an instance.
    ///
    /// Instance names have no underscore, so no two are mapped to one.
    public static func slot(ofInstance name: String) -> String {
        String(name.map { $0 == "-" ? "_" : $0 })
    }

    /// The host names that clients may use for the primary, the shortest first.
    public func primaryHosts(namespace: String) -> [String] { Self.hosts(self.primaryService, namespace: namespace) }

    /// The host names that clients may use for the replicas, the shortest first.
    public func replicaHosts(namespace: String) -> [String] { Self.hosts(self.replicasService, namespace: namespace) }

    /// The host names that clients may use for the poolers, the shortest first.
    public func poolerHosts(namespace: String) -> [String] { Self.hosts(self.pooler, namespace: namespace) }

    /// The name of a Service in all of the Kubernetes cluster, whatever that one is called.
    public static func host(ofService service: String, namespace: String) -> String { "\(service).\(namespace).svc" }

    private static func hosts(_ service: String, namespace: String) -> [String] {
        [
            service, "\(service).\(namespace)", self.host(ofService: service, namespace: namespace),
            "\(service).\(namespace).svc.cluster.local",
        ]
    }
}

extension Names {
    /// What is wrong with a cluster's name, nil when nothing is.
    public static func problem(withClusterName name: String) -> String? {
        if name.utf8.count > SchemaLimits.clusterName {
            return "is longer than \(SchemaLimits.clusterName) characters; names of pods and Services are made from it"
        }
        guard let first = name.utf8.first, (0x61...0x7A).contains(first), name.utf8.last != UInt8(ascii: "-"),
            name.utf8.allSatisfy({ (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D })
        else {
            return "must begin with a lower-case letter, go on with lower-case letters, digits and '-', "
                + "and not end in '-'"
        }
        if let suffix = ["-replicas", "-pooler"].first(where: name.hasSuffix) {
            return "may not end in '\(suffix)', a Service of another cluster would have that name; choose another name"
        }
        return nil
    }
}

/// PostgreSQL's roles and names that Drover makes in every cluster.
public enum DatabaseRoles {
    /// The superuser, through the local socket only.
    public static let superuser = "postgres"
    /// What replicas connect as.
    public static let replication = "drover_replica"
    /// What the operator connects as: looks, changes nothing.
    public static let `operator` = "drover_operator"
    /// What poolers look passwords up as.
    public static let pooler = "drover_pooler"
}

/// Ports of an instance pod.
public enum InstancePorts {
    /// PostgreSQL; named `postgres`.
    public static let postgres = 5432
    /// The HTTPS API; named `api`.
    public static let api = 8443
    /// Probes and metrics over plain HTTP; named `probes`.
    public static let probes = 8080
}
