/// The files of a volume made from API objects: path inside the volume, and what is there.
struct VolumePayload: Sendable, Equatable {
    /// One file.
    struct File: Sendable, Equatable {
        var bytes: [UInt8]
        var mode: UInt32
    }

    private(set) var files: [String: File] = [:]

    /// Adds a file, unless its path would leave the volume.
    mutating func add(_ path: String, _ bytes: [UInt8], mode: Int?) throws(ContainerConfigurationError) {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard !parts.isEmpty, !parts.contains(where: { $0.isEmpty || $0 == "." || $0.hasPrefix("..") }) else {
            throw ContainerConfigurationError(message: "path \"\(path)\" may not leave its volume")
        }
        self.files[path] = File(bytes: bytes, mode: UInt32(clamping: mode ?? 0o644) & 0o777)
    }

    /// Adds the keys of a Secret or ConfigMap: all, or those chosen by `items` under the names given there.
    mutating func add(
        contents: [String: [UInt8]]?,
        items: [VolumeSpecification.Item]?,
        mode: Int?,
        isOptional: Bool,
        described name: String
    ) throws(ContainerConfigurationError) {
        guard let contents else {
            if isOptional { return }
            throw ContainerConfigurationError(message: "\(name) not found")
        }
        guard let items else {
            for (key, bytes) in contents { try self.add(key, bytes, mode: mode) }
            return
        }
        for item in items {
            guard let bytes = contents[item.key] else {
                if isOptional { continue }
                throw ContainerConfigurationError(message: "\(name) has no key \"\(item.key)\"")
            }
            try self.add(item.path, bytes, mode: item.mode ?? mode)
        }
    }
}

extension VolumePayload {
    /// The files of a Secret, ConfigMap, downward API or projected volume; nil for other kinds.
    ///
    /// Tokens are given by the path they were asked for under.
    init?(
        _ volume: VolumeSpecification,
        fields: PodFields,
        objects: PodObjects,
        tokens: [String: [UInt8]]
    ) throws(ContainerConfigurationError) {
        self.init()
        if let source = volume.secret {
            try self.add(
                contents: objects.secrets[source.secretName],
                items: source.items,
                mode: source.defaultMode,
                isOptional: source.optional ?? false,
                described: "secret \"\(source.secretName)\""
            )
        } else if let source = volume.configMap {
            try self.add(
                contents: objects.configMaps[source.name],
                items: source.items,
                mode: source.defaultMode,
                isOptional: source.optional ?? false,
                described: "configmap \"\(source.name)\""
            )
        } else if let source = volume.downwardAPI {
            try self.add(source, mode: source.defaultMode, fields: fields)
        } else if let source = volume.projected {
            for part in source.sources ?? [] {
                try self.add(part, mode: source.defaultMode, fields: fields, objects: objects, tokens: tokens)
            }
        } else {
            return nil
        }
    }

    private mutating func add(
        _ source: VolumeSpecification.DownwardSource,
        mode: Int?,
        fields: PodFields
    ) throws(ContainerConfigurationError) {
        for item in source.items ?? [] {
            guard let value = item.fieldRef.flatMap({ fields[$0.fieldPath] }) else {
                throw ContainerConfigurationError(message: "unsupported field for \"\(item.path)\"")
            }
            try self.add(item.path, Array(value.utf8), mode: item.mode ?? mode)
        }
    }

    private mutating func add(
        _ part: VolumeSpecification.Projection,
        mode: Int?,
        fields: PodFields,
        objects: PodObjects,
        tokens: [String: [UInt8]]
    ) throws(ContainerConfigurationError) {
        if let secret = part.secret {
            try self.add(
                contents: objects.secrets[secret.name],
                items: secret.items,
                mode: mode,
                isOptional: secret.optional ?? false,
                described: "secret \"\(secret.name)\""
            )
        }
        if let map = part.configMap {
            try self.add(
                contents: objects.configMaps[map.name],
                items: map.items,
                mode: mode,
                isOptional: map.optional ?? false,
                described: "configmap \"\(map.name)\""
            )
        }
        if let downward = part.downwardAPI {
            try self.add(downward, mode: mode, fields: fields)
        }
        if let token = part.serviceAccountToken {
            guard let bytes = tokens[token.path] else {
                throw ContainerConfigurationError(message: "no token for \"\(token.path)\" yet")
            }
            // Readable by the container's user alone, as the kubelet makes it.
            try self.add(token.path, bytes, mode: 0o600)
        }
    }
}
