internal import JSON

/// What a node needs of a pod's `spec`; the rest is not read.
struct PodSpecification: Codable, Sendable {
    struct SecurityContext: Codable, Sendable {
        var runAsUser: Int64?
        var runAsGroup: Int64?
        var runAsNonRoot: Bool?
    }

    var nodeName: String?
    var hostname: String?
    var hostNetwork: Bool?
    var restartPolicy: RestartPolicy?
    var terminationGracePeriodSeconds: Int64?
    var serviceAccountName: String?
    var automountServiceAccountToken: Bool?
    var securityContext: SecurityContext?
    var initContainers: [ContainerSpecification]?
    var containers: [ContainerSpecification]
    var volumes: [VolumeSpecification]?
}

/// When a container that has ended is started again.
enum RestartPolicy: String, Codable, Sendable {
    case always = "Always"
    case onFailure = "OnFailure"
    case never = "Never"
}

/// One entry of `spec.containers`.
struct ContainerSpecification: Codable, Sendable {
    struct SecurityContext: Codable, Sendable {
        var runAsUser: Int64?
        var runAsGroup: Int64?
        var runAsNonRoot: Bool?
        var readOnlyRootFilesystem: Bool?
    }

    struct Port: Codable, Sendable {
        var name: String?
        var containerPort: Int
    }

    struct VolumeMount: Codable, Sendable {
        var name: String
        var mountPath: String
        var readOnly: Bool?
        var subPath: String?
    }

    var name: String
    var image: String?
    var command: [String]?
    var args: [String]?
    var workingDir: String?
    var env: [EnvironmentVariable]?
    var envFrom: [EnvironmentSource]?
    var ports: [Port]?
    var volumeMounts: [VolumeMount]?
    var securityContext: SecurityContext?
    var startupProbe: ProbeSpecification?
    var livenessProbe: ProbeSpecification?
    var readinessProbe: ProbeSpecification?
    /// `requests` and `limits`, for the downward API.
    var resources: JSONValue?
}

/// One entry of `env`.
struct EnvironmentVariable: Codable, Sendable {
    struct Source: Codable, Sendable {
        var fieldRef: FieldReference?
        var resourceFieldRef: JSONValue?
        var secretKeyRef: KeyReference?
        var configMapKeyRef: KeyReference?
    }

    var name: String
    var value: String?
    var valueFrom: Source?
}

/// A field of the pod itself.
struct FieldReference: Codable, Sendable {
    var fieldPath: String
}

/// One key of a Secret or ConfigMap.
struct KeyReference: Codable, Sendable {
    var name: String
    var key: String
    var optional: Bool?
}

/// One entry of `envFrom`.
struct EnvironmentSource: Codable, Sendable {
    struct Reference: Codable, Sendable {
        var name: String
        var optional: Bool?
    }

    var prefix: String?
    var secretRef: Reference?
    var configMapRef: Reference?
}

/// One entry of `spec.volumes`.
struct VolumeSpecification: Codable, Sendable {
    struct Claim: Codable, Sendable {
        var claimName: String
        var readOnly: Bool?
    }

    /// One key and where it goes.
    struct Item: Codable, Sendable {
        var key: String
        var path: String
        var mode: Int?
    }

    struct SecretSource: Codable, Sendable {
        var secretName: String
        var items: [Item]?
        var defaultMode: Int?
        var optional: Bool?
    }

    struct ConfigMapSource: Codable, Sendable {
        var name: String
        var items: [Item]?
        var defaultMode: Int?
        var optional: Bool?
    }

    struct DownwardItem: Codable, Sendable {
        var path: String
        var fieldRef: FieldReference?
        var resourceFieldRef: JSONValue?
        var mode: Int?
    }

    struct DownwardSource: Codable, Sendable {
        var items: [DownwardItem]?
        var defaultMode: Int?
    }

    struct TokenSource: Codable, Sendable {
        var path: String
        var audience: String?
        var expirationSeconds: Int64?
    }

    /// A Secret or ConfigMap inside a projected volume.
    struct ObjectProjection: Codable, Sendable {
        var name: String
        var items: [Item]?
        var optional: Bool?
    }

    struct Projection: Codable, Sendable {
        var secret: ObjectProjection?
        var configMap: ObjectProjection?
        var downwardAPI: DownwardSource?
        var serviceAccountToken: TokenSource?
    }

    struct ProjectedSource: Codable, Sendable {
        var sources: [Projection]?
        var defaultMode: Int?
    }

    struct EmptyDirectory: Codable, Sendable {
        var medium: String?
    }

    var name: String
    var persistentVolumeClaim: Claim?
    var secret: SecretSource?
    var configMap: ConfigMapSource?
    var downwardAPI: DownwardSource?
    var projected: ProjectedSource?
    var emptyDir: EmptyDirectory?
}

/// A probe as it is written in a pod.
struct ProbeSpecification: Codable, Sendable {
    struct HTTPGet: Codable, Sendable {
        struct Header: Codable, Sendable {
            var name: String
            var value: String
        }

        var path: String?
        var port: JSONValue
        var host: String?
        var scheme: String?
        var httpHeaders: [Header]?
    }

    struct TCPSocket: Codable, Sendable {
        var port: JSONValue
        var host: String?
    }

    struct Exec: Codable, Sendable {
        var command: [String]?
    }

    var httpGet: HTTPGet?
    var tcpSocket: TCPSocket?
    var exec: Exec?
    var initialDelaySeconds: Int?
    var timeoutSeconds: Int?
    var periodSeconds: Int?
    var successThreshold: Int?
    var failureThreshold: Int?
    var terminationGracePeriodSeconds: Int64?
}
