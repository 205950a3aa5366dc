internal import Foundation
internal import Glibc
internal import JSON
internal import KubernetesClient
internal import Logging

/// A Secret or ConfigMap that a pod refers to.
enum ObjectName: Hashable, Sendable {
    case secret(String)
    case configMap(String)
}

extension PodWorker {
    private static let tokenDirectory = "/var/run/secrets/kubernetes.io/serviceaccount"
    private static let tokenVolume = "drover-service-account-token"
    private static let authorityMap = "kube-root-ca.crt"
    private static let retryInterval = Duration.milliseconds(100)

    /// The pod's volumes, with that of the service account's token where no admission has added it.
    var volumes: [VolumeSpecification] {
        var volumes = self.pod.spec.volumes ?? []
        if self.needsTokenVolume {
            volumes.append(
                VolumeSpecification(
                    name: Self.tokenVolume,
                    projected: .init(sources: [
                        .init(serviceAccountToken: .init(path: "token", expirationSeconds: 3607)),
                        .init(configMap: .init(name: Self.authorityMap, items: [.init(key: "ca.crt", path: "ca.crt")])),
                        .init(
                            downwardAPI: .init(items: [
                                .init(path: "namespace", fieldRef: .init(fieldPath: "metadata.namespace"))
                            ])
                        ),
                    ])
                )
            )
        }
        return volumes
    }

    private var needsTokenVolume: Bool {
        guard self.pod.spec.automountServiceAccountToken != false, self.pod.spec.serviceAccountName != nil else {
            return false
        }
        return !self.pod.spec.containers.contains { container in
            (container.volumeMounts ?? []).contains { $0.mountPath == Self.tokenDirectory }
        }
    }

    private var tokenSources: [VolumeSpecification.TokenSource] {
        self.volumes.flatMap { $0.projected?.sources ?? [] }.compactMap(\.serviceAccountToken)
    }

    /// All Secrets and ConfigMaps that the pod refers to.
    var objectNames: Set<ObjectName> {
        var names: Set<ObjectName> = []
        for volume in self.volumes {
            if let secret = volume.secret { names.insert(.secret(secret.secretName)) }
            if let map = volume.configMap { names.insert(.configMap(map.name)) }
            for part in volume.projected?.sources ?? [] {
                if let secret = part.secret { names.insert(.secret(secret.name)) }
                if let map = part.configMap { names.insert(.configMap(map.name)) }
            }
        }
        for container in self.pod.spec.containers {
            for source in container.envFrom ?? [] {
                if let secret = source.secretRef { names.insert(.secret(secret.name)) }
                if let map = source.configMapRef { names.insert(.configMap(map.name)) }
            }
            for source in (container.env ?? []).compactMap(\.valueFrom) {
                if let secret = source.secretKeyRef { names.insert(.secret(secret.name)) }
                if let map = source.configMapKeyRef { names.insert(.configMap(map.name)) }
            }
        }
        return names
    }

    /// Keeps the contents of one object current, until cancelled.
    func follow(_ name: ObjectName) async {
        switch name {
        case .secret(let secret):
            await self.follower(Secret.self, secret)
                .run { objects in
                    let contents = objects.values.first.map { ($0.data ?? [:]).mapValues(\.bytes) }
                    self.objects.secrets[secret] = contents
                    self.objectChanged(name)
                }
        case .configMap(let map):
            await self.follower(ConfigMap.self, map)
                .run { objects in
                    var contents = objects.values.first.map { ($0.data ?? [:]).mapValues { Array($0.utf8) } }
                    if contents == nil, map == Self.authorityMap, let pem = self.context.certificateAuthorityPEM {
                        contents = ["ca.crt": Array(pem.utf8)]
                    }
                    self.objects.configMaps[map] = contents
                    self.objectChanged(name)
                }
        }
    }

    private func follower<Object: KubernetesResource>(_: Object.Type, _ name: String) -> Follower<Object> {
        Follower(
            client: self.context.client,
            namespace: self.key.namespace,
            selector: .named(name),
            logger: self.logger
        )
    }

    private func objectChanged(_ name: ObjectName) {
        self.knownObjects.insert(name)
        if self.hasVolumes { self.refreshVolumes() }
    }

    /// Asks for tokens, and for new ones before they end.
    func keepTokens() async {
        let sources = self.tokenSources
        guard !sources.isEmpty else { return }
        while !Task.isCancelled {
            var hasFailed = false
            for source in sources where self.tokens[source.path].map({ $0.refreshAt <= .now }) ?? true {
                do {
                    self.tokens[source.path] = try await ServiceAccountToken.request(
                        source,
                        of: self.pod,
                        client: self.context.client
                    )
                } catch {
                    if Task.isCancelled { return }
                    hasFailed = true
                    self.logger.warning("cannot get a service account token", metadata: ["error": "\(error)"])
                }
            }
            if self.hasVolumes { self.refreshVolumes() }
            let next = self.tokens.values.map(\.refreshAt.timeIntervalSinceNow).min() ?? 0
            try? await Task.sleep(for: hasFailed ? .seconds(1) : .seconds(max(1, next)))
        }
    }

    // MARK: Files

    /// Waits for everything the volumes need and makes them; false when the pod ends first.
    func prepareVolumes() async -> Bool {
        var reported: String?
        while !self.stopping.isSet, !Task.isCancelled {
            do {
                try await self.tryPrepareVolumes()
                self.hasVolumes = true
                return !self.stopping.isSet
            } catch {
                let problem = "\(error)"
                if problem != reported {
                    reported = problem
                    self.logger.info("pod waits for its volumes", metadata: ["reason": "\(problem)"])
                    for index in self.statuses.indices {
                        self.statuses[index].state = .waiting(reason: "ContainerCreating", message: problem)
                    }
                    self.statusNeedsUpdate()
                }
            }
            await self.stopping.wait(atMost: Self.retryInterval)
        }
        return false
    }

    private func tryPrepareVolumes() async throws {
        guard self.address != nil else {
            throw ContainerConfigurationError(message: "no address is left on this node")
        }
        guard self.knownObjects.isSuperset(of: self.objectNames) else {
            throw ContainerConfigurationError(message: "Secrets and ConfigMaps are being read")
        }
        for volume in self.volumes {
            if let claim = volume.persistentVolumeClaim {
                guard self.attachments[volume.name] == nil else { continue }
                self.attachments[volume.name] = try await self.context.claims.attach(
                    claim.claimName,
                    namespace: self.key.namespace
                )
            } else if volume.emptyDir != nil {
                try FileSystem.makeDirectory(self.path(of: volume.name), mode: 0o777)
            } else if let payload = try self.payload(of: volume) {
                try AtomicDirectory.write(payload, to: self.path(of: volume.name))
            } else {
                throw ContainerConfigurationError(message: "volume \(volume.name) is of a kind this node cannot mount")
            }
        }
    }

    private func payload(of volume: VolumeSpecification) throws(ContainerConfigurationError) -> VolumePayload? {
        try VolumePayload(
            volume,
            fields: self.fields,
            objects: self.objects,
            tokens: self.tokens.mapValues(\.bytes)
        )
    }

    /// Brings the files up to date; a volume whose source has gone keeps what it has.
    func refreshVolumes() {
        for volume in self.volumes {
            do {
                if let payload = try self.payload(of: volume) {
                    try AtomicDirectory.write(payload, to: self.path(of: volume.name))
                }
            } catch {
                self.logger.warning(
                    "cannot update volume",
                    metadata: ["volume.name": "\(volume.name)", "error": "\(error)"]
                )
            }
        }
    }

    /// Lets go of everything; no container runs any more.
    func releaseVolumes() {
        self.hasVolumes = false
        for attachment in self.attachments.values { attachment.detach() }
        self.attachments = [:]
    }

    private func path(of volume: String) -> String { "\(self.directory)/volumes/\(volume)" }

    /// What the downward API shows.
    var fields: PodFields {
        PodFields(
            name: self.key.name,
            namespace: self.key.namespace,
            uid: self.uid,
            labels: self.pod.metadata.labels ?? [:],
            annotations: self.pod.metadata.annotations ?? [:],
            nodeName: self.context.nodeName,
            serviceAccountName: self.pod.spec.serviceAccountName ?? "default",
            podIP: self.address?.description ?? "",
            hostIP: self.context.hostIP
        )
    }

    /// The mounts of a container.
    func mounts(of container: ContainerSpecification) throws -> [ContainerConfiguration.Mount] {
        var mounts = container.volumeMounts ?? []
        if self.needsTokenVolume {
            mounts.append(.init(name: Self.tokenVolume, mountPath: Self.tokenDirectory, readOnly: true))
        }
        return try mounts.map { mount in
            guard let volume = self.volumes.first(where: { $0.name == mount.name }) else {
                throw ContainerConfigurationError(message: "there is no volume \(mount.name)")
            }
            let isWritable = volume.persistentVolumeClaim != nil || volume.emptyDir != nil
            var source = self.attachments[volume.name]?.path ?? self.path(of: volume.name)
            if let subPath = mount.subPath, !subPath.isEmpty {
                guard !subPath.split(separator: "/").contains(".."), !subPath.hasPrefix("/") else {
                    throw ContainerConfigurationError(message: "subPath \(subPath) leaves its volume")
                }
                source += "/\(subPath)"
                if isWritable { try FileSystem.makeDirectory(source) }
            }
            return .init(
                source: source,
                path: mount.mountPath,
                isReadOnly: mount.readOnly == true || !isWritable || volume.persistentVolumeClaim?.readOnly == true
            )
        }
    }
}
