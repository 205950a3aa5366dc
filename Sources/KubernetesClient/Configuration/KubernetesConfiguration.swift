/// Where the API server is, whom to trust, and as whom to come.
///
/// Descriptions hold no credentials.
public struct KubernetesConfiguration: Sendable, Hashable, CustomStringConvertible {
    /// Something that is given as it is, or read from a file again and again because it rotates.
    public enum Source: Sendable, Hashable {
        /// The text itself, PEM or a token.
        case text(String)
        /// A file that holds it.
        case file(String)
    }

    /// As whom to come.
    public enum Authentication: Sendable, Hashable {
        /// As nobody, or by client certificate alone.
        case none
        /// With a bearer token.
        case token(Source)
        /// With a user's name and password.
        case basic(username: String, password: String)
        /// With what a program prints.
        case exec(ExecPlugin)
    }

    /// A program that prints credentials (an `ExecCredential`).
    public struct ExecPlugin: Sendable, Hashable {
        /// The program.
        public var command: String
        /// Its arguments.
        public var arguments: [String]
        /// Added to its environment.
        public var environment: [String: String]
        /// The version of `ExecCredential` it speaks.
        public var apiVersion: String
        /// Whether it is told about the cluster.
        public var provideClusterInfo: Bool
        /// How to get the program, for people who lack it.
        public var installHint: String?

        /// Describes a program.
        public init(
            command: String,
            arguments: [String] = [],
            environment: [String: String] = [:],
            apiVersion: String = "client.authentication.k8s.io/v1",
            provideClusterInfo: Bool = false,
            installHint: String? = nil
        ) {
            self.command = command
            self.arguments = arguments
            self.environment = environment
            self.apiVersion = apiVersion
            self.provideClusterInfo = provideClusterInfo
            self.installHint = installHint
        }
    }

    /// The URL of the API server, without a slash at its end.
    public var server: String
    /// The namespace of this context.
    public var namespace: String
    /// The certificate authorities of the server, PEM; nil trusts those of the system.
    public var certificateAuthority: Source?
    /// The client certificate, PEM.
    public var clientCertificate: Source?
    /// The client certificate's key, PEM.
    public var clientKey: Source?
    /// The name the server's certificate must have, when it is not the URL's host.
    public var tlsServerName: String?
    /// Whether the server's certificate goes unverified.
    public var skipsTLSVerification: Bool
    /// As whom to come.
    public var authentication: Authentication

    /// Makes a configuration.
    public init(
        server: String,
        namespace: String = "default",
        certificateAuthority: Source? = nil,
        clientCertificate: Source? = nil,
        clientKey: Source? = nil,
        tlsServerName: String? = nil,
        skipsTLSVerification: Bool = false,
        authentication: Authentication = .none
    ) {
        var server = server
        while server.hasSuffix("/") { server.removeLast() }
        self.server = server
        self.namespace = namespace
        self.certificateAuthority = certificateAuthority
        self.clientCertificate = clientCertificate
        self.clientKey = clientKey
        self.tlsServerName = tlsServerName
        self.skipsTLSVerification = skipsTLSVerification
        self.authentication = authentication
    }

    /// The server and the namespace.
    public var description: String { "\(self.server) (namespace \(self.namespace))" }
}
