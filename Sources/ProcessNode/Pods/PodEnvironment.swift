/// A container cannot be configured now: something it refers to is missing or malformed.
struct ContainerConfigurationError: Error, CustomStringConvertible {
    /// What the kubelet calls it in a container's status.
    var reason = "CreateContainerConfigError"
    var message: String

    var description: String { self.message }
}

/// Contents of the Secrets and ConfigMaps that a pod refers to.
struct PodObjects: Sendable, Equatable {
    var secrets: [String: [String: [UInt8]]] = [:]
    var configMaps: [String: [String: [UInt8]]] = [:]
}

/// The environment of a container, from its specification and what that refers to.
enum PodEnvironment {
    /// Resolves `envFrom` and `env` in the kubelet's order, later ones winning, with `$(NAME)` expanded from what comes
    /// before.
    static func resolve(
        _ container: ContainerSpecification,
        fields: PodFields,
        objects: PodObjects,
        base: [String: String]
    ) throws(ContainerConfigurationError) -> [String: String] {
        var values = base
        for source in container.envFrom ?? [] {
            let contents = try self.contents(of: source, objects)
            for (key, value) in contents {
                values[(source.prefix ?? "") + key] = String(decoding: value, as: UTF8.self)
            }
        }
        for variable in container.env ?? [] {
            if let source = variable.valueFrom {
                if let value = try self.value(of: source, fields: fields, objects: objects) {
                    values[variable.name] = value
                }
            } else {
                values[variable.name] = ContainerEnvironment.expand(variable.value ?? "", values)
            }
        }
        return values
    }

    private static func contents(
        of source: EnvironmentSource,
        _ objects: PodObjects
    ) throws(ContainerConfigurationError) -> [String: [UInt8]] {
        if let reference = source.secretRef {
            if let contents = objects.secrets[reference.name] { return contents }
            if reference.optional == true { return [:] }
            throw ContainerConfigurationError(message: "secret \"\(reference.name)\" not found")
        }
        if let reference = source.configMapRef {
            if let contents = objects.configMaps[reference.name] { return contents }
            if reference.optional == true { return [:] }
            throw ContainerConfigurationError(message: "configmap \"\(reference.name)\" not found")
        }
        return [:]
    }

    private static func value(
        of source: EnvironmentVariable.Source,
        fields: PodFields,
        objects: PodObjects
    ) throws(ContainerConfigurationError) -> String? {
        if let reference = source.fieldRef {
            guard let value = fields[reference.fieldPath] else {
                throw ContainerConfigurationError(message: "unsupported fieldPath \"\(reference.fieldPath)\"")
            }
            return value
        }
        if let reference = source.secretKeyRef {
            return try self.value(of: reference, in: objects.secrets, kind: "secret")
        }
        if let reference = source.configMapKeyRef {
            return try self.value(of: reference, in: objects.configMaps, kind: "configmap")
        }
        throw ContainerConfigurationError(message: "unsupported source of an environment variable")
    }

    private static func value(
        of reference: KeyReference,
        in objects: [String: [String: [UInt8]]],
        kind: String
    ) throws(ContainerConfigurationError) -> String? {
        if let value = objects[reference.name]?[reference.key] {
            return String(decoding: value, as: UTF8.self)
        }
        if reference.optional == true { return nil }
        guard objects[reference.name] != nil else {
            throw ContainerConfigurationError(message: "\(kind) \"\(reference.name)\" not found")
        }
        throw ContainerConfigurationError(
            message: "couldn't find key \(reference.key) in \(kind) \(reference.name)"
        )
    }
}
