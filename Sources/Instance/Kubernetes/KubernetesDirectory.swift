internal import EventLoop
package import Fence
internal import JSON
package import KubernetesClient
package import Logging
package import PostgresClusterAPI

/// The instance's view of the Kubernetes API: its own cluster and Lease, nothing else (its account may see no more).
package struct KubernetesDirectory: ClusterDirectory {
    private let client: KubernetesClient
    private let name: String
    private let namespace: String
    private let logger: Logger

    package init(client: KubernetesClient, cluster: String, namespace: String, logger: Logger) {
        // Repeating is decided here, where it is known how long an answer is of use.
        self.client = client.with(retryPolicy: RetryPolicy(maximumAttempts: 1)).with(requestTimeout: .seconds(4))
        self.name = cluster
        self.namespace = namespace
        self.logger = logger
    }

    package func cluster() async throws(DirectoryError) -> PostgresCluster {
        do {
            return try await self.client.get(PostgresCluster.self, self.name, namespace: self.namespace)
        } catch {
            throw DirectoryError(error)
        }
    }

    package func lease() async throws(DirectoryError) -> PrimaryLease? {
        do {
            let document = try await self.client.getObject(
                Lease.resourceType,
                Names(cluster: self.name).lease,
                namespace: self.namespace
            )
            return PrimaryLease(document: document)
        } catch {
            if error.code == .notFound { return nil }
            throw DirectoryError(error)
        }
    }

    package func replace(_ lease: PrimaryLease) async throws(DirectoryError) -> PrimaryLease {
        do {
            return PrimaryLease(document: try await self.client.updateObject(Lease.resourceType, lease.document))
        } catch {
            throw DirectoryError(error)
        }
    }

    package func create(_ lease: PrimaryLease) async throws(DirectoryError) -> PrimaryLease {
        do {
            return PrimaryLease(document: try await self.client.createObject(Lease.resourceType, lease.document))
        } catch {
            throw DirectoryError(error)
        }
    }

    package func followCluster(_ handler: @escaping @Sendable (PostgresCluster) async -> Void) async {
        await self.follow(PostgresCluster.resourceType, self.name) { document in
            // One that is gone leaves everything as it is: its pods end with it.
            guard let document else { return }
            do {
                await handler(try document.decode(PostgresCluster.self))
            } catch {
                self.logger.warning("Cannot read the PostgresCluster", metadata: ["error": "\(error)"])
            }
        }
    }

    package func followLease(_ handler: @escaping @Sendable (PrimaryLease?) async -> Void) async {
        await self.follow(Lease.resourceType, Names(cluster: self.name).lease) { document in
            await handler(document.map { PrimaryLease(document: $0) })
        }
    }

    /// Lists and watches one object for as long as the task lives.
    private func follow(
        _ type: ResourceType,
        _ name: String,
        _ handler: @escaping @Sendable (JSONValue?) async -> Void
    ) async {
        var failures = 0
        while !Task.isCancelled {
            do {
                // By list, because a watch goes on from a list's resourceVersion, whether or not the object exists.
                let (items, version) = try await self.client.listObjects(
                    type,
                    namespace: self.namespace,
                    selector: .named(name)
                )
                await handler(items.first)
                failures = 0
                try await self.watch(type, name, from: version, handler)
            } catch {
                failures += 1
                if !Task.isCancelled {
                    self.logger.debug("A watch has ended", metadata: ["kind": "\(type.kind)", "error": "\(error)"])
                }
            }
            guard failures > 0 else { continue }
            let milliseconds = min(5_000, 50 << min(failures, 7))
            try? await Task.sleep(for: .milliseconds(Int.random(in: milliseconds / 2...milliseconds)))
        }
    }

    private func watch(
        _ type: ResourceType,
        _ name: String,
        from version: String,
        _ handler: @escaping @Sendable (JSONValue?) async -> Void
    ) async throws {
        var version = version
        while !Task.isCancelled {
            version = try await self.client.watchObjects(
                type,
                namespace: self.namespace,
                selector: .named(name),
                resourceVersion: version
            ) { events in
                var version = version
                for try await event in events {
                    switch event {
                    case .added(let object), .modified(let object):
                        version = object[path: ["metadata", "resourceVersion"]]?.stringValue ?? version
                        await handler(object)
                    case .deleted(let object):
                        version = object[path: ["metadata", "resourceVersion"]]?.stringValue ?? version
                        await handler(nil)
                    case .bookmark(let newer):
                        version = newer
                    case .undecodable(_, let newer, _):
                        version = newer
                    }
                }
                return version
            }
        }
    }
}

extension DirectoryError {
    init(_ error: KubernetesError) {
        let code: Code
        switch error.code {
        case .conflict, .alreadyExists: code = .conflict
        case .notFound: code = .notFound
        case .forbidden, .unauthorized: code = .forbidden
        case .invalid, .badRequest, .methodNotAllowed, .unsupportedMediaType, .requestTooLarge, .configuration:
            code = .refused
        case .expired, .tooManyRequests, .timeout, .unreachable, .untrusted, .serviceUnavailable, .serverError,
            .malformedAnswer, .cancelled, .other:
            code = .unreachable
        }
        self.init(code, error.message)
    }
}
