internal import EventLoop
internal import Foundation
internal import HTTPClient
internal import Logging
internal import Synchronization

/// What a request needs to be let in.
struct Credentials: Sendable, Hashable {
    var tls: TLSSettings
    /// The value of the `Authorization` header.
    var authorization: String?
}

/// Gives each request credentials that are good now: files are read again, programs run again, before they run out.
final class CredentialSource: Sendable {
    private struct State {
        var credentials: Credentials?
        /// When the files are looked at again, or the program is run again.
        var refreshAt = ContinuousClock.now
        /// Programs that run now; one at a time is enough for all who wait.
        var refresh: Task<Result<Credentials, KubernetesError>, Never>?
    }

    /// Kubernetes lets a projected token live ten minutes at least and replaces it long before its end.
    private static let fileLifetime = Duration.seconds(10)

    private let configuration: KubernetesConfiguration
    private let logger: Logger
    private let state = Lock(State())

    init(configuration: KubernetesConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    /// Forgets what was refused, so that the next request brings something newer, if there is.
    func refused(_ credentials: Credentials) {
        self.state.withLock { state in
            if state.credentials == credentials { state.refreshAt = .now }
        }
    }

    func credentials() async throws(KubernetesError) -> Credentials {
        let cached = self.state.withLock { state in state.refreshAt > .now ? state.credentials : nil }
        if let cached { return cached }
        let refresh = self.state.withLock { state in
            if let running = state.refresh { return running }
            // Not structured: it is shared by all requests that wait, and none of them being cancelled ends it.
            let task = Task { await self.refresh() }
            state.refresh = task
            return task
        }
        return try await refresh.value.get()
    }

    private func refresh() async -> Result<Credentials, KubernetesError> {
        let result: Result<(Credentials, Duration), KubernetesError>
        do {
            result = .success(try await self.load())
        } catch {
            result = .failure(error)
        }
        return self.state.withLock { state in
            state.refresh = nil
            switch result {
            case .success(let (credentials, lifetime)):
                state.credentials = credentials
                state.refreshAt = .now + lifetime
                return .success(credentials)
            case .failure(let error):
                // A file that cannot be read for a moment: what was good before probably still is.
                guard let old = state.credentials else { return .failure(error) }
                state.refreshAt = .now + .seconds(1)
                return .success(old)
            }
        }
    }

    private func load() async throws(KubernetesError) -> (Credentials, Duration) {
        let configuration = self.configuration
        var tls = TLSSettings(
            caPEM: try Self.read(configuration.certificateAuthority, what: "certificate authority"),
            certificatePEM: try Self.read(configuration.clientCertificate, what: "client certificate"),
            keyPEM: try Self.read(configuration.clientKey, what: "client key"),
            verifyPeer: !configuration.skipsTLSVerification,
            serverName: configuration.tlsServerName
        )
        switch configuration.authentication {
        case .none:
            return (Credentials(tls: tls), Self.fileLifetime)
        case .token(let source):
            let token = try Self.read(source, what: "token")
            return (Credentials(tls: tls, authorization: token.map { "Bearer \($0)" }), Self.fileLifetime)
        case .basic(let username, let password):
            let pair = Data("\(username):\(password)".utf8).base64EncodedString()
            return (Credentials(tls: tls, authorization: "Basic \(pair)"), Self.fileLifetime)
        case .exec(let plugin):
            let status = try await plugin.run(configuration: configuration, caPEM: tls.caPEM)
            if let certificate = status.clientCertificateData, let key = status.clientKeyData {
                tls.certificatePEM = certificate
                tls.keyPEM = key
            }
            var lifetime = Duration.seconds(3600)
            if let end = status.expirationTimestamp?.date {
                // Some time ahead, so that no request is under way with what has just run out.
                lifetime = .seconds(min(max(1, end.timeIntervalSinceNow - 10), 86_400))
            }
            return (Credentials(tls: tls, authorization: status.token.map { "Bearer \($0)" }), lifetime)
        }
    }

    private static func read(
        _ source: KubernetesConfiguration.Source?,
        what: String
    ) throws(KubernetesError) -> String? {
        switch source {
        case nil: return nil
        case .text(let text): return text
        case .file(let path):
            guard let data = FileManager.default.contents(atPath: path) else {
                throw KubernetesError(code: .configuration, message: "cannot read the \(what) from \(path)")
            }
            return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        }
    }
}
