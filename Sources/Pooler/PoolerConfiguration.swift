internal import Foundation
internal import PostgresClusterAPI

/// What a pod tells its pooler: who it is and where things are.
public struct PoolerConfiguration: Sendable, Hashable {
    /// A variable that the pod must set is missing.
    public struct MissingVariable: Error, CustomStringConvertible, Sendable {
        /// Its name.
        public var name: String

        /// What to do.
        public var description: String { "environment variable \(self.name) is not set; the operator's pods set it" }
    }

    /// Name of the PostgresCluster.
    public var cluster: String
    /// Name of the pooler and its pod.
    public var pooler: String
    /// Namespace of the pod.
    public var namespace: String
    /// UID of the pod.
    public var podUID: String
    /// Where PgBouncer and the HTTP servers listen.
    public var podIP: String
    /// The mounted certificates.
    public var certificates: String = "/etc/drover/tls"
    /// Where configuration and socket are made; in memory, because the pod's root is read-only and no key or name of
    /// a client belongs on a disk.
    public var directory: String = "/dev/shm/drover-pooler"
    /// PgBouncer's program.
    public var program: String = "/usr/sbin/pgbouncer"
    /// Port of PgBouncer.
    public var port: Int = PoolerPorts.postgres
    /// Port of PostgreSQL on the primary.
    public var serverPort: Int = InstancePorts.postgres
    /// Port of the HTTPS API.
    public var apiPort: Int = InstancePorts.api
    /// Port of probes and metrics.
    public var probesPort: Int = InstancePorts.probes
    /// What a pod leaves between SIGTERM and SIGKILL.
    public var gracePeriod: Duration = .seconds(60)

    /// Makes a configuration with everything in its usual place.
    public init(cluster: String, pooler: String, namespace: String, podUID: String, podIP: String) {
        self.cluster = cluster
        self.pooler = pooler
        self.namespace = namespace
        self.podUID = podUID
        self.podIP = podIP
    }

    /// Reads the pod's environment.
    /// - Throws: ``MissingVariable``.
    public init(environment: [String: String]) throws(MissingVariable) {
        func value(_ name: String) throws(MissingVariable) -> String {
            guard let value = environment[name], !value.isEmpty else { throw MissingVariable(name: name) }
            return value
        }
        self.init(
            cluster: try value("DROVER_CLUSTER"),
            pooler: try value("DROVER_POOLER"),
            namespace: try value("POD_NAMESPACE"),
            podUID: try value("POD_UID"),
            podIP: try value("POD_IP")
        )
        if let program = environment["DROVER_PGBOUNCER"] { self.program = program }
        if let seconds = environment["DROVER_GRACE_SECONDS"].flatMap({ Int($0) }), seconds > 0 {
            self.gracePeriod = .seconds(seconds)
        }
    }

    var settingsFile: String { self.directory + "/pgbouncer.ini" }
}
