/// The shape of a protobuf message of the Kubernetes API: which field number is which member.
struct ProtobufSchema: Sendable {
    indirect enum Field: Sendable {
        case string
        /// Becomes Base64, as JSON has it.
        case bytes
        case integer
        case bool
        case message(ProtobufSchema)
        /// `metav1.Time`: seconds since 1970.
        case time
        /// Integer or string, as `minAvailable` is.
        case intOrString
        case list(Field)
        case map(Field)
    }

    let fields: [UInt64: (name: String, field: Field)]

    init(_ fields: [UInt64: (String, Field)]) {
        self.fields = fields.mapValues { (name: $0.0, field: $0.1) }
    }
}

extension ProtobufSchema {
    /// The kinds that kubectl sends in protobuf; everything else comes as JSON.
    static let kinds: [String: ProtobufSchema] = [
        "Namespace": object([2: ("spec", .message(ProtobufSchema([1: ("finalizers", .list(.string))])))]),
        "ConfigMap": object([
            2: ("data", .map(.string)), 3: ("binaryData", .map(.bytes)), 4: ("immutable", .bool),
        ]),
        "Secret": object([
            2: ("data", .map(.bytes)), 3: ("type", .string), 4: ("stringData", .map(.string)),
            5: ("immutable", .bool),
        ]),
        "ServiceAccount": object([
            3: ("imagePullSecrets", .list(.message(ProtobufSchema([1: ("name", .string)])))),
            4: ("automountServiceAccountToken", .bool),
        ]),
        "PodDisruptionBudget": object([
            2: (
                "spec",
                .message(
                    ProtobufSchema([
                        1: ("minAvailable", .intOrString), 2: ("selector", .message(labelSelector)),
                        3: ("maxUnavailable", .intOrString), 4: ("unhealthyPodEvictionPolicy", .string),
                    ])
                )
            )
        ]),
        "Role": object([2: ("rules", .list(.message(policyRule)))]),
        "ClusterRole": object([2: ("rules", .list(.message(policyRule)))]),
        "RoleBinding": object([2: ("subjects", .list(.message(subject))), 3: ("roleRef", .message(roleReference))]),
        "ClusterRoleBinding": object([
            2: ("subjects", .list(.message(subject))), 3: ("roleRef", .message(roleReference)),
        ]),
        "PriorityClass": object([
            2: ("value", .integer), 3: ("globalDefault", .bool), 4: ("description", .string),
            5: ("preemptionPolicy", .string),
        ]),
        "TokenRequest": object([
            2: (
                "spec",
                .message(
                    ProtobufSchema([
                        1: ("audiences", .list(.string)),
                        3: (
                            "boundObjectRef",
                            .message(
                                ProtobufSchema([
                                    1: ("kind", .string), 2: ("apiVersion", .string), 3: ("name", .string),
                                    4: ("uid", .string),
                                ])
                            )
                        ),
                        4: ("expirationSeconds", .integer),
                    ])
                )
            )
        ]),
        "SelfSubjectAccessReview": object([
            2: (
                "spec",
                .message(
                    ProtobufSchema([
                        1: (
                            "resourceAttributes",
                            .message(
                                ProtobufSchema([
                                    1: ("namespace", .string), 2: ("verb", .string), 3: ("group", .string),
                                    4: ("version", .string), 5: ("resource", .string), 6: ("subresource", .string),
                                    7: ("name", .string),
                                ])
                            )
                        ),
                        2: (
                            "nonResourceAttributes",
                            .message(ProtobufSchema([1: ("path", .string), 2: ("verb", .string)]))
                        ),
                    ])
                )
            )
        ]),
        "SelfSubjectReview": object([:]),
        "Eviction": object([2: ("deleteOptions", .message(deleteOptions))]),
        "DeleteOptions": deleteOptions,
    ]

    private static let deleteOptions = ProtobufSchema([
        1: ("gracePeriodSeconds", .integer),
        2: ("preconditions", .message(ProtobufSchema([1: ("uid", .string), 2: ("resourceVersion", .string)]))),
        3: ("orphanDependents", .bool), 4: ("propagationPolicy", .string), 5: ("dryRun", .list(.string)),
    ])

    private static func object(_ fields: [UInt64: (String, Field)]) -> ProtobufSchema {
        ProtobufSchema(fields.merging([1: ("metadata", .message(self.objectMeta))]) { given, _ in given })
    }

    private static let objectMeta = ProtobufSchema([
        1: ("name", .string), 2: ("generateName", .string), 3: ("namespace", .string), 5: ("uid", .string),
        6: ("resourceVersion", .string), 7: ("generation", .integer), 8: ("creationTimestamp", .time),
        11: ("labels", .map(.string)), 12: ("annotations", .map(.string)), 14: ("finalizers", .list(.string)),
    ])

    private static let labelSelector = ProtobufSchema([
        1: ("matchLabels", .map(.string)),
        2: (
            "matchExpressions",
            .list(
                .message(
                    ProtobufSchema([1: ("key", .string), 2: ("operator", .string), 3: ("values", .list(.string))])
                )
            )
        ),
    ])

    private static let policyRule = ProtobufSchema([
        1: ("verbs", .list(.string)), 2: ("apiGroups", .list(.string)), 3: ("resources", .list(.string)),
        4: ("resourceNames", .list(.string)), 5: ("nonResourceURLs", .list(.string)),
    ])

    private static let subject = ProtobufSchema([
        1: ("kind", .string), 2: ("apiGroup", .string), 3: ("name", .string), 4: ("namespace", .string),
    ])

    private static let roleReference = ProtobufSchema([
        1: ("apiGroup", .string), 2: ("kind", .string), 3: ("name", .string),
    ])
}
