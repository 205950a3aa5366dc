internal import Foundation
internal import PostgresClusterAPI

/// What a pod tells its instance: who it is and where things are.
public struct InstanceConfiguration: Sendable, Hashable {
    /// A variable that the pod must set is missing.
    public struct MissingVariable: Error, CustomStringConvertible, Sendable {
        /// Its name.
        public var name: String

        /// What to do.
        public var description: String { "environment variable \(self.name) is not set; the operator's pods set it" }
    }

    /// Name of the PostgresCluster.
    public var cluster: String
    /// Name of the instance, its pod and its volume.
    public var instance: String
    /// Namespace of the pod.
    public var namespace: String
    /// UID of the pod.
    public var podUID: String
    /// Where PostgreSQL and the HTTP servers listen.
    public var podIP: String
    /// The mounted volume.
    public var volume: String = "/var/lib/drover"
    /// The mounted certificates.
    public var certificates: String = "/etc/drover/tls"
    /// The mounted credentials of the application's role.
    public var credentials: String = "/etc/drover/app"
    /// Where PostgreSQL's programs are; nil to look for them by version.
    public var programs: String?
    /// Port of PostgreSQL.
    public var postgresPort: Int = InstancePorts.postgres
    /// Port of the HTTPS API.
    public var apiPort: Int = InstancePorts.api
    /// Port of probes and metrics.
    public var probesPort: Int = InstancePorts.probes
    /// What a pod leaves between SIGTERM and SIGKILL.
    public var gracePeriod: Duration = .seconds(120)

    /// Makes a configuration with everything in its usual place.
    public init(cluster: String, instance: String, namespace: String, podUID: String, podIP: String) {
        self.cluster = cluster
        self.instance = instance
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
            instance: try value("DROVER_INSTANCE"),
            namespace: try value("POD_NAMESPACE"),
            podUID: try value("POD_UID"),
            podIP: try value("POD_IP")
        )
        if let volume = environment["DROVER_VOLUME"] { self.volume = volume }
        if let directory = environment["DROVER_CERTIFICATES"] { self.certificates = directory }
        if let directory = environment["DROVER_CREDENTIALS"] { self.credentials = directory }
        if let programs = environment["DROVER_POSTGRES_PROGRAMS"] { self.programs = programs }
        if let seconds = environment["DROVER_GRACE_SECONDS"].flatMap({ Int($0) }), seconds > 0 {
            self.gracePeriod = .seconds(seconds)
        }
    }

    var layout: VolumeLayout { VolumeLayout(root: self.volume) }

    /// The directory of PostgreSQL's programs for a major version.
    func programs(version: Int) -> String { self.programs ?? "/usr/lib/postgresql/\(version)/bin" }
}
