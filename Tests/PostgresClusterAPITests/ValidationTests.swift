import JSON
import PostgresClusterAPI
import Testing

private let megabyte = String(repeating: "a", count: 1_000_000)
private let manyParameters = JSONValue.object(
    Dictionary(uniqueKeysWithValues: (0...256).map { ("app.setting\($0)", JSONValue.string("1")) })
)

/// Specs that the schema alone refuses, whether or not CEL is evaluated.
private let refusedBySchema: [(path: String, value: JSONValue)] = [
    ("spec", "text"),
    ("spec", []),
    ("spec.instances", 0),
    ("spec.instances", -1),
    ("spec.instances", 17),
    ("spec.instances", 9_000_000_000),
    ("spec.instances", 2.5),
    ("spec.instances", "3"),
    ("spec.postgres", "15"),
    ("spec.postgres.version", 9),
    ("spec.postgres.version", 18),
    ("spec.postgres.version", "15"),
    ("spec.postgres.image", ""),
    ("spec.postgres.image", "two words"),
    ("spec.postgres.image", .string(megabyte)),
    ("spec.postgres.parameters", ["work_mem": 5]),
    ("spec.postgres.parameters", ["work_mem": "1\nfsync = off"]),
    ("spec.postgres.parameters", ["work_mem": .string(megabyte)]),
    ("spec.postgres.parameters", manyParameters),
    ("spec.postgres.parameters", ["work_mem"]),
    ("spec.postgres.hba", ["trust me"]),
    ("spec.postgres.hba", [""]),
    ("spec.postgres.hba", [" host all all all md5"]),
    ("spec.postgres.hba", ["local all all trust"]),
    ("spec.postgres.hba", ["host all all all trust"]),
    ("spec.postgres.hba", ["host all all all md5 map=x"]),
    ("spec.postgres.hba", ["host all all all md5\nlocal all all trust"]),
    ("spec.postgres.hba", ["host all all all md5 \\"]),
    ("spec.postgres.hba", ["host all all example.org md5"]),
    ("spec.postgres.hba", ["host all all 10.0.0.0 255.0.0.0 md5"]),
    ("spec.postgres.hba", ["host all, all all md5"]),
    ("spec.postgres.hba", ["host \"all all all md5"]),
    ("spec.postgres.hba", ["host all all md5"]),
    ("spec.postgres.hba", ["host all all all md5 # comment"]),
    ("spec.postgres.hba", ["host @/etc/passwd all all md5"]),
    ("spec.postgres.hba", ["include /etc/passwd"]),
    ("spec.postgres.hba", [.string("host " + megabyte)]),
    ("spec.postgres.hba", .array([JSONValue](repeating: "host all all all md5", count: 129))),
    ("spec.storage", [:]),
    ("spec.storage.size", -1),
    ("spec.storage.size", "-1Gi"),
    ("spec.storage.size", "+1Gi"),
    ("spec.storage.size", "ten"),
    ("spec.storage.size", ""),
    ("spec.storage.size", "1GiB"),
    ("spec.storage.size", true),
    ("spec.storage.size", .string(String(repeating: "1", count: 33))),
    ("spec.storage.size", .string(String(repeating: "1", count: 1_000_000))),
    ("spec.storage.storageClassName", ""),
    ("spec.storage.storageClassName", "Fast"),
    ("spec.storage.storageClassName", "a..b"),
    ("spec.storage.storageClassName", .string(megabyte)),
    ("spec.resources", ["requests": ["cpu": "-1"]]),
    ("spec.resources", ["requests": ["cpu": "many"]]),
    ("spec.resources", ["limits": ["memory": -5]]),
    ("spec.placement.topologyKey", ""),
    ("spec.placement.topologyKey", "no blanks"),
    ("spec.placement.topologyKey", "a/b/c"),
    ("spec.placement.topologyKey", .string(megabyte)),
    ("spec.placement.nodeAffinity", "here"),
    ("spec.placement.nodeAffinity", ["requiredDuringSchedulingIgnoredDuringExecution": ["nodeSelectorTerms": []]]),
    (
        "spec.placement.nodeAffinity",
        ["preferredDuringSchedulingIgnoredDuringExecution": [["weight": 0, "preference": [:]]]]
    ),
    (
        "spec.placement.nodeAffinity",
        [
            "requiredDuringSchedulingIgnoredDuringExecution": [
                "nodeSelectorTerms": [["matchExpressions": [["key": "a", "operator": "Near"]]]]
            ]
        ]
    ),
    (
        "spec.placement.nodeAffinity",
        [
            "requiredDuringSchedulingIgnoredDuringExecution": [
                "nodeSelectorTerms": [
                    ["matchExpressions": [["key": "a", "operator": "In", "values": [.string(megabyte)]]]]
                ]
            ]
        ]
    ),
    ("spec.placement.tolerations", [["key": "a", "operator": "Sometimes"]]),
    ("spec.placement.tolerations", [["key": "a", "effect": "NoNothing"]]),
    ("spec.placement.tolerations", [["key": "a", "value": .string(megabyte)]]),
    ("spec.placement.tolerations", [["key": "no blanks"]]),
    ("spec.placement.tolerations", .array([JSONValue](repeating: ["key": "a"], count: 33))),
    ("spec.replication.synchronous", ["mode": "Some"]),
    ("spec.replication.synchronous", ["mode": "Quorum", "count": 0]),
    ("spec.replication.synchronous", ["mode": "Quorum", "count": 16]),
    ("spec.switchover.maximumLagBytes", -1),
    ("spec.switchover.maximumLagBytes", "lots"),
    ("spec.switchover.prepareTimeoutSeconds", 0),
    ("spec.switchover.prepareTimeoutSeconds", 3601),
    ("spec.switchover.demoteTimeoutSeconds", 1),
    ("spec.switchover.demoteTimeoutSeconds", 301),
    ("spec.failover.leaseDurationSeconds", 5),
    ("spec.failover.leaseDurationSeconds", 301),
    ("spec.failover.maximumLagBytes", "-1Ki"),
    ("spec.maintenance.freshNodeWaitSeconds", -1),
    ("spec.maintenance.freshNodeWaitSeconds", 86401),
    ("spec.maintenance.hold", "line\nbreak"),
    ("spec.maintenance.hold", .string(megabyte)),
    ("spec.bootstrap.database", ""),
    ("spec.bootstrap.database", "1st"),
    ("spec.bootstrap.database", "drop table"),
    ("spec.bootstrap.database", .string(megabyte)),
    ("spec.bootstrap.owner", "Robert'); --"),
]

/// Specs that a real API server refuses by CEL, and the operator everywhere.
private let refusedByRules: [(path: String, value: JSONValue)] = [
    ("metadata.name", "orders-replicas"),
    ("metadata.name", "orders-pooler"),
    ("spec.postgres.parameters", ["listen_addresses": "*"]),
    ("spec.postgres.parameters", ["LISTEN_ADDRESSES": "*"]),
    ("spec.postgres.parameters", ["include": "/etc/passwd"]),
    ("spec.postgres.parameters", ["archive_command": "true"]),
    ("spec.postgres.parameters", ["fsync": "off"]),
    ("spec.postgres.parameters", ["wal_level": "minimal"]),
    ("spec.postgres.hba", ["host all all all cert"]),
    ("spec.postgres.hba", ["hostnossl all all all md5 clientcert=verify-full"]),
    ("spec.postgres.hba", ["hostssl all all all cert clientcert=verify-full"]),
    ("spec.postgres.parameters", ["max_wal_senders": "0"]),
    ("spec.postgres.parameters", ["max_wal_senders": "9"]),
    ("spec.postgres.parameters", ["max_replication_slots": "many"]),
    ("spec.storage.size", 0),
    ("spec.storage.size", "0"),
    ("spec.storage.size", "1"),
    ("spec.storage.size", "63Mi"),
    ("spec.storage.size", "65Ti"),
    ("spec.storage.size", "999999999999999999999999"),
    ("spec.resources", ["requests": ["cpu": "2"], "limits": ["cpu": "1500m"]]),
    ("spec.resources", ["requests": ["memory": "2Gi"], "limits": ["memory": "1Gi"]]),
    ("spec.placement.tolerations", [["value": "a"]]),
    ("spec.placement.tolerations", [["key": "a", "operator": "Exists", "value": "b"]]),
    ("spec.placement.tolerations", [["key": "a", "effect": "NoSchedule", "tolerationSeconds": 5]]),
    ("spec.replication.synchronous", ["mode": "Quorum", "count": 3]),
    ("spec.switchover.maximumLagBytes", "2Ti"),
    ("spec.failover.maximumLagBytes", "1E"),
    ("spec.bootstrap.database", "template0"),
    ("spec.bootstrap.owner", "postgres"),
    ("spec.bootstrap.owner", "pg_monitor"),
    ("spec.bootstrap.owner", "drover_operator"),
]

/// Specs that only the operator refuses: a structural schema says nothing about keys of maps and little about networks.
private let refusedByOperatorOnly: [(path: String, value: JSONValue)] = [
    ("spec.postgres.hba", ["host all all 10.0.0.0/33 md5"]),
    ("spec.postgres.hba", ["host all all 10.0.0/8 md5"]),
    ("spec.postgres.hba", ["host all all 10.0.0.256/8 md5"]),
    ("spec.postgres.hba", ["host all all 010.0.0.1/8 md5"]),
    ("spec.postgres.hba", ["host all all fd00::/129 md5"]),
    ("spec.postgres.hba", ["host all all fd00:::1/64 md5"]),
    ("spec.postgres.hba", ["host all all fd00::1::/64 md5"]),
    ("spec.postgres.hba", ["host all all 1:2:3:4:5:6:7/64 md5"]),
    ("spec.postgres.parameters", ["": "1"]),
    ("spec.postgres.parameters", ["work mem": "1"]),
    ("spec.postgres.parameters", ["a.b.c": "1"]),
    ("spec.postgres.parameters", ["x = 1\ny": "1"]),
    ("spec.postgres.parameters", [megabyte: "1"]),
    ("spec.postgres.parameters", ["TimeZone": "UTC", "timezone": "UTC"]),
]

private let accepted: [(path: String, value: JSONValue)] = [
    ("", .null),
    ("spec.instances", 1),
    ("spec.instances", 16),
    ("spec.postgres.version", 14),
    ("spec.postgres.image", "registry.example:5000/db/postgres@sha256:abc"),
    ("spec.postgres.parameters", ["max_connections": "200", "TimeZone": "UTC", "auto_explain.log_min_duration": "1s"]),
    (
        "spec.postgres.parameters",
        ["search_path": "\"$user\", public", "max_wal_senders": "20"]
    ),
    (
        "spec.postgres.hba",
        [
            "hostssl all reporting 10.0.0.0/8 cert", "host app,shop  +readers,app all scram-sha-256",
            "hostssl replication cdc fd00::/8 scram-sha-256 clientcert=verify-full", "hostnossl all all ::/0 reject",
            "host all all 1:2:3:4:5:6:7:8/128 md5 ", "host sameuser all samenet md5", "host all all ::1/128 md5",
        ]
    ),
    ("spec.storage.size", 1_073_741_824),
    ("spec.storage.size", "64Mi"),
    ("spec.storage.size", "1.5Gi"),
    ("spec.storage.size", "64Ti"),
    ("spec.storage.storageClassName", "gp3.fast"),
    ("spec.resources", ["requests": ["cpu": 1, "memory": "1Gi"], "limits": ["cpu": "1", "memory": "1Gi"]]),
    ("spec.placement.topologyKey", "zone"),
    (
        "spec.placement.nodeAffinity",
        [
            "requiredDuringSchedulingIgnoredDuringExecution": [
                "nodeSelectorTerms": [["matchExpressions": [["key": "pool", "operator": "In", "values": ["db"]]]]]
            ]
        ]
    ),
    ("spec.placement.tolerations", [["operator": "Exists"], ["key": "db", "value": "yes", "effect": "NoSchedule"]]),
    ("spec.switchover.maximumLagBytes", 0),
    ("spec.maintenance.hold", ""),
    ("spec.maintenance.hold", "month end closing until the 3rd"),
    ("spec.bootstrap.owner", "shop_owner"),
]

@Suite struct ValidationTests {
    let resource: CustomResource

    init() throws { self.resource = try CustomResource() }

    private func problems(_ object: JSONValue) throws -> [ValidationProblem] {
        try object.decode(PostgresCluster.self).validate()
    }

    @Test(arguments: accepted.indices)
    func acceptsGoodSpecs(_ index: Int) throws {
        let object = cluster(accepted[index].path, accepted[index].value)
        let admitted = self.resource.admit(object)
        #expect(admitted.problems == [])
        #expect(admitted.unknown == [])
        #expect(try self.problems(object) == [])
        #expect(try self.problems(admitted.object) == [])
    }

    @Test(arguments: refusedBySchema.indices)
    func refusesWhatTheSchemaRefuses(_ index: Int) throws {
        let (path, value) = refusedBySchema[index]
        let object = cluster(path, value)
        #expect(self.resource.admit(object).problems != [])
        try self.expectRefusal(object, path)
    }

    @Test(arguments: refusedByRules.indices)
    func refusesWhatTheRulesRefuse(_ index: Int) throws {
        let (path, value) = refusedByRules[index]
        try self.expectRefusal(cluster(path, value), path)
    }

    @Test(arguments: refusedByOperatorOnly.indices)
    func refusesWhatNoSchemaCanRefuse(_ index: Int) throws {
        let (path, value) = refusedByOperatorOnly[index]
        try self.expectRefusal(cluster(path, value), path)
    }

    private func expectRefusal(_ object: JSONValue, _ path: String) throws {
        let problems = try self.problems(object)
        // A value of the wrong type may be reported for the section it is in.
        #expect(problems.contains { $0.field.hasPrefix(path) || path.hasPrefix($0.field) }, "\(problems)")
        for problem in problems {
            #expect(problem.message.count <= SchemaLimits.message)
            #expect(problem.field.count <= 256)
        }
    }

    @Test func unknownFieldsAreRefusedByStrictServersAndPrunedByOthers() {
        for path in ["spec.replicas", "spec.postgres.extensions", "spec.backup", "spec.resources.claims"] {
            let object = cluster(path, "x")
            let admitted = self.resource.admit(object)
            #expect(admitted.unknown == [path])
            #expect(admitted.object[path: path.split(separator: ".").map(String.init)] == nil)
        }
    }

    @Test func aMissingSpecIsRefused() throws {
        var object = cluster()
        object["spec"] = nil
        #expect(self.resource.admit(object).problems != [])
        #expect(try self.problems(object).map(\.field) == ["spec.storage.size"])
    }

    @Test func namesEveryProblemAtOnce() throws {
        var object = cluster("spec.instances", 0)
        object[path: ["spec", "storage", "size"]] = "1"
        object[path: ["metadata", "name"]] = "Orders"
        #expect(try self.problems(object).map(\.field) == ["metadata.name", "spec.instances", "spec.storage.size"])
    }
}
