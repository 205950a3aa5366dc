internal import Certificates
internal import EventLoop
internal import Foundation
internal import InstanceAPI
internal import Logging
internal import PodProgram
internal import PostgresClient
internal import PostgresClusterAPI

/// Certificates: from the mounted Secret to everything that uses them, and the word that they have arrived there.
extension Supervisor {
    /// Brings the certificates that are mounted to where they are used; before anything uses them.
    func loadFirstCertificates() async throws {
        let files = try await self.volume.mountedCertificates(from: self.configuration.certificates)
        if let problem = Self.problem(with: files) {
            // Exchanged a moment ago, perhaps. What was good before is good enough to begin with.
            let known = try? await self.volume.mountedCertificates(from: self.volume.layout.certificates)
            guard let known, Self.problem(with: known) == nil else { throw CertificatesUnusable(problem: problem) }
            self.loadedCertificates = Self.names(of: known)
            self.serverHost = self.serverHost(by: known)
            return
        }
        _ = try await self.volume.installCertificates(files)
        self.serverHost = self.serverHost(by: files)
        self.loadedCertificates = Self.names(of: files)
    }

    struct CertificatesUnusable: Error, CustomStringConvertible {
        var problem: String
        var description: String { "the mounted certificates cannot be used: \(self.problem)" }
    }

    /// Mounted Secrets change under us, more than a minute after they were changed; that is soon enough to look.
    func refreshCertificatesForever() async {
        var problem: String?
        var changedAt: Date?
        var isRenamed = false
        while !Task.isCancelled, !self.hasFinished {
            await self.certificateKicks.wait(
                atMost: changedAt == nil ? .seconds(10) : .milliseconds(500),
                on: self.eventLoop
            )
            guard !self.hasFinished else { return }
            do {
                let files = try await self.volume.mountedCertificates(from: self.configuration.certificates)
                let found = Self.problem(with: files)
                if let found, found != problem {
                    self.logger.warning("Cannot use the mounted certificates", metadata: ["problem": "\(found)"])
                }
                problem = found
                guard found == nil else { continue }
                if try await self.volume.installCertificates(files) {
                    self.logger.notice("The certificates have changed")
                    self.peers.useNewCertificates()
                    for subscriber in self.certificateSubscribers { subscriber.yield() }
                    let host = self.serverHost(by: files)
                    if host != self.serverHost { isRenamed = true }
                    self.serverHost = host
                    changedAt = Date()
                    await self.reloadPostmaster()
                }
                if isRenamed {
                    // Those who are followed may show something else as soon as this has been said to be loaded.
                    try await self.exclusively { try await self.reloadIfChanged() }
                    isRenamed = false
                    changedAt = Date()
                    await self.reloadPostmaster()
                }
                guard let since = changedAt, await self.hasReloaded(since: since) else { continue }
                changedAt = nil
                self.loadedCertificates = Self.names(of: files)
                self.publish()
            } catch {
                let found = "\(error)"
                if found != problem {
                    self.logger.warning("Cannot read the mounted certificates", metadata: ["error": "\(error)"])
                }
                problem = found
            }
        }
    }

    /// Whether PostgreSQL, if it runs, has read its files since: nothing but a new session tells what the postmaster knows.
    private func hasReloaded(since: Date) async -> Bool {
        guard let postmaster = self.postmaster else { return true }
        guard !postmaster.isStopping, postmaster.accepts else { return false }
        let rows = try? await self.withLocal { connection in
            try await connection.query(
                "select extract(epoch from pg_conf_load_time()) >= \(since.timeIntervalSince1970) as is_new",
                timeout: .seconds(5)
            )
        }
        return rows?.first?["is_new"] == "t"
    }

    private func reloadPostmaster() async {
        guard let postmaster = self.postmaster, !postmaster.isStopping else { return }
        await self.processes.signal(postmaster.process, 1)
    }

    /// By which name the other instances are known; nil when each is known by its own.
    private func serverHost(by files: [String: String]) -> String? {
        guard let bundle = files[CertificateFiles.serverBundle], bundle != files[CertificateFiles.bundle] else {
            return nil
        }
        let service = Names(cluster: self.configuration.cluster).primaryService
        return Names.host(ofService: service, namespace: self.configuration.namespace)
    }

    private static func problem(with files: [String: String]) -> String? {
        let files = CertificateFiles.completed(files)
        let text = { (name: String) in files[name] ?? "" }
        return CertificateFiles.problem(
            bundle: text("ca.crt"),
            pairs: [
                (name: "server.crt", certificate: text("server.crt"), key: text("server.key")),
                (name: "tls.crt", certificate: text("tls.crt"), key: text("tls.key")),
                (name: "replica.crt", certificate: text("replica.crt"), key: text("replica.key")),
            ]
        )
    }

    private static func names(of files: [String: String]) -> LoadedCertificates {
        LoadedCertificates(
            trust: CertificateFiles.trust(files),
            certificate: CertificateFiles.certificates(files)
        )
    }

    /// Yields whenever the certificates have changed.
    package func certificateChanges() -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        self.certificateSubscribers.append(continuation)
        return stream
    }
}
