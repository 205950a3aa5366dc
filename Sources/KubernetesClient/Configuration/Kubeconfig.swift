internal import Foundation
internal import Yams

/// The contents of one or several kubeconfig files.
struct Kubeconfig {
    private struct File: Decodable {
        struct Named<Value: Decodable>: Decodable {
            let name: String
            let value: Value

            private struct Key: CodingKey {
                let stringValue: String
                var intValue: Int? { nil }
                init(stringValue: String) { self.stringValue = stringValue }
                init?(intValue: Int) { nil }
            }

            init(from decoder: any Decoder) throws {
                let container = try decoder.container(keyedBy: Key.self)
                self.name = try container.decode(String.self, forKey: Key(stringValue: "name"))
                // The value is under `cluster`, `user` or `context`.
                let keys = container.allKeys.filter { ["cluster", "user", "context"].contains($0.stringValue) }
                guard let key = keys.first else {
                    throw DecodingError.dataCorrupted(
                        .init(codingPath: decoder.codingPath, debugDescription: "entry \(self.name) is empty")
                    )
                }
                self.value = try container.decode(Value.self, forKey: key)
            }
        }

        let clusters: [Named<Cluster>]?
        let users: [Named<User>]?
        let contexts: [Named<Context>]?
        let currentContext: String?

        private enum CodingKeys: String, CodingKey {
            case clusters
            case users
            case contexts
            case currentContext = "current-context"
        }
    }

    struct Cluster: Decodable {
        var server: String?
        var certificateAuthority: String?
        var certificateAuthorityData: String?
        var insecureSkipTLSVerify: Bool?
        var tlsServerName: String?

        private enum CodingKeys: String, CodingKey {
            case server
            case certificateAuthority = "certificate-authority"
            case certificateAuthorityData = "certificate-authority-data"
            case insecureSkipTLSVerify = "insecure-skip-tls-verify"
            case tlsServerName = "tls-server-name"
        }
    }

    struct User: Decodable {
        struct Exec: Decodable {
            struct Variable: Decodable {
                let name: String
                let value: String
            }

            let command: String
            let args: [String]?
            let env: [Variable]?
            let apiVersion: String?
            let provideClusterInfo: Bool?
            let installHint: String?
        }

        var clientCertificate: String?
        var clientCertificateData: String?
        var clientKey: String?
        var clientKeyData: String?
        var token: String?
        var tokenFile: String?
        var username: String?
        var password: String?
        var exec: Exec?

        private enum CodingKeys: String, CodingKey {
            case clientCertificate = "client-certificate"
            case clientCertificateData = "client-certificate-data"
            case clientKey = "client-key"
            case clientKeyData = "client-key-data"
            case token
            case tokenFile
            case username
            case password
            case exec
        }
    }

    struct Context: Decodable {
        let cluster: String?
        let user: String?
        let namespace: String?
    }

    private var clusters: [String: Cluster] = [:]
    private var users: [String: User] = [:]
    private var contexts: [String: Context] = [:]
    private var currentContext: String?
    private let origin: String

    init(yaml: String, origin: String, directory: String) throws(KubernetesError) {
        self.origin = origin
        let file: File
        do {
            file = try YAMLDecoder().decode(File.self, from: yaml.isEmpty ? "{}" : yaml)
        } catch {
            // Yams tells the place with the text around it, which may be a credential.
            throw KubernetesError(
                code: .configuration,
                message: "\(origin) is not a kubeconfig: \(Self.place(of: error))"
            )
        }
        func absolute(_ path: String?) -> String? {
            path.map { $0.hasPrefix("/") ? $0 : "\(directory)/\($0)" }
        }
        // Of entries with one name the first counts, as for kubectl.
        for entry in file.clusters ?? [] where self.clusters[entry.name] == nil {
            var cluster = entry.value
            cluster.certificateAuthority = absolute(cluster.certificateAuthority)
            self.clusters[entry.name] = cluster
        }
        for entry in file.users ?? [] where self.users[entry.name] == nil {
            var user = entry.value
            user.clientCertificate = absolute(user.clientCertificate)
            user.clientKey = absolute(user.clientKey)
            user.tokenFile = absolute(user.tokenFile)
            self.users[entry.name] = user
        }
        for entry in file.contexts ?? [] where self.contexts[entry.name] == nil {
            self.contexts[entry.name] = entry.value
        }
        self.currentContext = file.currentContext.flatMap { $0.isEmpty ? nil : $0 }
    }

    private static func place(of error: any Error) -> String {
        switch error {
        case DecodingError.keyNotFound(let key, let context):
            "\(Self.path(context.codingPath)) lacks \(key.stringValue)"
        case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context):
            "\(Self.path(context.codingPath)) has the wrong type"
        case DecodingError.dataCorrupted(let context) where !context.codingPath.isEmpty:
            "\(Self.path(context.codingPath)) is damaged"
        default: "its YAML does not parse"
        }
    }

    private static func path(_ keys: [any CodingKey]) -> String {
        keys.isEmpty
            ? "the document" : keys.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
    }

    /// Both; where they differ, this one counts.
    func merging(_ other: Kubeconfig) -> Kubeconfig {
        var merged = self
        merged.clusters.merge(other.clusters) { mine, _ in mine }
        merged.users.merge(other.users) { mine, _ in mine }
        merged.contexts.merge(other.contexts) { mine, _ in mine }
        merged.currentContext = self.currentContext ?? other.currentContext
        return merged
    }

    func configuration(context name: String?) throws(KubernetesError) -> KubernetesConfiguration {
        guard let name = name ?? self.currentContext else {
            throw self.error("has no current-context: name one")
        }
        guard let context = self.contexts[name] else { throw self.error("has no context \(name)") }
        guard let clusterName = context.cluster, let cluster = self.clusters[clusterName] else {
            throw self.error("has no cluster \(context.cluster ?? "") for context \(name)")
        }
        guard let server = cluster.server, server.hasPrefix("https://") || server.hasPrefix("http://") else {
            throw self.error("has no valid server URL in cluster \(clusterName)")
        }
        var configuration = KubernetesConfiguration(
            server: server,
            namespace: context.namespace.flatMap { $0.isEmpty ? nil : $0 } ?? "default",
            certificateAuthority: try self.source(cluster.certificateAuthorityData, cluster.certificateAuthority),
            tlsServerName: cluster.tlsServerName.flatMap { $0.isEmpty ? nil : $0 },
            skipsTLSVerification: cluster.insecureSkipTLSVerify ?? false
        )
        guard let userName = context.user, !userName.isEmpty else { return configuration }
        guard let user = self.users[userName] else { throw self.error("has no user \(userName) for context \(name)") }
        configuration.clientCertificate = try self.source(user.clientCertificateData, user.clientCertificate)
        configuration.clientKey = try self.source(user.clientKeyData, user.clientKey)
        guard (configuration.clientCertificate == nil) == (configuration.clientKey == nil) else {
            throw self.error("has a client certificate without key, or a key without certificate, for user \(userName)")
        }
        configuration.authentication = Self.authentication(of: user)
        return configuration
    }

    private static func authentication(of user: User) -> KubernetesConfiguration.Authentication {
        // As for client-go: the file before the text.
        if let file = user.tokenFile, !file.isEmpty { return .token(.file(file)) }
        if let token = user.token, !token.isEmpty { return .token(.text(token)) }
        if let name = user.username, !name.isEmpty { return .basic(username: name, password: user.password ?? "") }
        guard let exec = user.exec else { return .none }
        return .exec(
            .init(
                command: exec.command,
                arguments: exec.args ?? [],
                environment: Dictionary((exec.env ?? []).map { ($0.name, $0.value) }) { _, last in last },
                apiVersion: exec.apiVersion ?? "client.authentication.k8s.io/v1",
                provideClusterInfo: exec.provideClusterInfo ?? false,
                installHint: exec.installHint
            )
        )
    }

    private func source(
        _ base64: String?,
        _ path: String?
    ) throws(KubernetesError) -> KubernetesConfiguration.Source? {
        if let base64, !base64.isEmpty {
            guard let data = Data(base64Encoded: base64, options: .ignoreUnknownCharacters) else {
                throw self.error("has certificate or key data that is not base64")
            }
            return .text(String(decoding: data, as: UTF8.self))
        }
        return path.map { .file($0) }
    }

    private func error(_ message: String) -> KubernetesError {
        KubernetesError(code: .configuration, message: "\(self.origin) \(message)")
    }
}
