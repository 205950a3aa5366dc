import Foundation
import JSON
import Testing

@testable import KubernetesServer

struct RulesSchemaTests {
    private func schema(_ spec: JSONValue) throws -> StructuralSchema {
        try StructuralSchema.root(parsing: ["type": "object", "properties": ["spec": spec]])
    }

    private func problems(_ spec: JSONValue, _ value: JSONValue) throws -> [FieldProblem] {
        try self.schema(spec).validate(["spec": value], isRoot: true)
    }

    private static let refused: [(JSONValue, JSONValue, FieldProblem.Reason)] = [
        (["type": "integer", "minimum": 1], 0, .invalid),
        (["type": "integer", "maximum": 9], 10, .invalid),
        (["type": "integer", "minimum": 1, "exclusiveMinimum": true], 1, .invalid),
        (["type": "integer", "multipleOf": 16], 17, .invalid),
        (["type": "integer", "format": "int32"], 3_000_000_000, .invalid),
        (["type": "integer"], "1", .typeInvalid),
        (["type": "integer"], 1.5, .typeInvalid),
        (["type": "string"], nil, .typeInvalid),
        (["type": "string", "minLength": 2], "a", .invalid),
        (["type": "string", "maxLength": 2], "abc", .tooLong),
        (["type": "string", "pattern": "^[a-z]+$"], "a1", .invalid),
        (["type": "string", "pattern": "^[a-z]+$"], "a\n", .invalid),
        (["type": "string", "format": "date-time"], "yesterday", .invalid),
        (["type": "string", "enum": ["A", "B"]], "C", .notSupported),
        (["type": "object", "required": ["a"], "properties": ["a": ["type": "string"]]], [:], .required),
        (
            ["type": "object", "maxProperties": 1, "additionalProperties": ["type": "string"]], ["a": "", "b": ""],
            .tooMany
        ),
        (["type": "object", "additionalProperties": ["type": "string"]], ["a": 1], .typeInvalid),
        (["type": "array", "items": ["type": "string"], "minItems": 1], [], .invalid),
        (["type": "array", "items": ["type": "string"], "maxItems": 1], ["a", "b"], .tooMany),
        (["type": "array", "items": ["type": "string"], "x-kubernetes-list-type": "set"], ["a", "a"], .duplicate),
        (
            [
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": ["type": "object", "properties": ["name": ["type": "string"]]],
            ], [["name": "a"], ["name": "a"]], .duplicate
        ),
        (["x-kubernetes-int-or-string": true], true, .typeInvalid),
        (
            [
                "type": "object", "anyOf": [["required": ["a"]], ["required": ["b"]]],
                "properties": ["c": ["type": "string"]],
            ], [:], .invalid
        ),
        (["type": "string", "not": ["enum": ["x"]]], "x", .invalid),
    ]

    @Test(arguments: refused)
    func `a value that breaks a keyword is refused`(
        spec: JSONValue,
        value: JSONValue,
        reason: FieldProblem.Reason
    ) throws {
        let problems = try self.problems(spec, value)
        #expect(problems.map(\.reason) == [reason])
        #expect(problems.first?.field.hasPrefix("spec") == true)
    }

    private static let accepted: [(JSONValue, JSONValue)] = [
        (["type": "integer", "minimum": 1], 1),
        (["type": "number"], 1),
        (["type": "integer"], 2.0),
        (["type": "string", "nullable": true], nil),
        (["x-kubernetes-int-or-string": true], "16Mi"),
        (["x-kubernetes-int-or-string": true], 5),
        (["type": "object", "x-kubernetes-preserve-unknown-fields": true], ["what": ["ever": 1]]),
        (["type": "string", "format": "date-time"], "2026-01-01T00:00:00.123456Z"),
        (["type": "string", "maxLength": 2], "\u{E4}\u{F6}"),
    ]

    @Test(arguments: accepted)
    func `a value within the schema passes`(spec: JSONValue, value: JSONValue) throws {
        #expect(try self.problems(spec, value) == [])
    }

    @Test func `a schema may restrict the name of its objects`() throws {
        let schema = try StructuralSchema.root(parsing: [
            "type": "object",
            "properties": [
                "metadata": ["type": "object", "properties": ["name": ["type": "string", "maxLength": 4]]]
            ],
        ])
        var long: JSONValue = [
            "apiVersion": "x/v1", "kind": "X", "metadata": ["name": "orders", "labels": ["a": "b"]],
        ]
        #expect(schema.validate(long, isRoot: true).map(\.field) == ["metadata.name"])
        #expect(schema.prune(&long) == [])
        #expect(long["metadata"]?["labels"] == ["a": "b"])
        #expect(schema.validate(["metadata": ["name": "shop"]], isRoot: true) == [])
    }

    @Test func `messages are those of the API server`() throws {
        let problems = try self.problems(
            ["type": "object", "properties": ["instances": ["type": "integer", "minimum": 1]]],
            ["instances": 0]
        )
        #expect(
            problems.first?.description
                == "spec.instances: Invalid value: 0: spec.instances in body should be greater than or equal to 1"
        )
    }

    @Test func `defaults fill what is missing, deep inside defaults as well`() throws {
        let schema = try self.schema([
            "type": "object", "default": [:],
            "properties": [
                "mode": ["type": "string", "default": "Quorum"], "note": ["type": "string"],
                "list": [
                    "type": "array",
                    "items": ["type": "object", "properties": ["n": ["type": "integer", "default": 7]]],
                ],
            ],
        ])
        var empty: JSONValue = [:]
        schema.applyDefaults(to: &empty)
        #expect(empty == ["spec": ["mode": "Quorum"]])
        var partial: JSONValue = ["spec": ["mode": nil, "list": [[:], ["n": 1]]]]
        schema.applyDefaults(to: &partial)
        #expect(partial == ["spec": ["mode": "Quorum", "list": [["n": 7], ["n": 1]]]])
    }

    @Test func `unknown members are pruned and named, metadata is left alone`() throws {
        let schema = try self.schema([
            "type": "object",
            "properties": [
                "a": ["type": "string"], "free": ["type": "object", "x-kubernetes-preserve-unknown-fields": true],
                "l": ["type": "array", "items": ["type": "object", "properties": ["k": ["type": "string"]]]],
            ],
        ])
        var value: JSONValue = [
            "apiVersion": "x/v1", "kind": "X", "metadata": ["name": "n", "labels": ["a": "b"]], "extra": 1,
            "spec": ["a": "1", "b": 2, "free": ["z": 1], "l": [["k": "1", "m": 2]]],
        ]
        #expect(schema.prune(&value) == ["extra", "spec.b", "spec.l[0].m"])
        #expect(
            value == [
                "apiVersion": "x/v1", "kind": "X", "metadata": ["name": "n", "labels": ["a": "b"]],
                "spec": ["a": "1", "free": ["z": 1], "l": [["k": "1"]]],
            ]
        )
    }

    @Test(arguments: [
        ["type": "object", "properties": ["a": [:]]] as JSONValue,
        ["type": "array"],
        ["type": "thing"],
        ["type": "string", "pattern": "("],
        ["type": "array", "x-kubernetes-list-type": "map", "items": ["type": "object"]],
        ["type": "object", "properties": ["a": ["$ref": "#/x"]]],
        ["type": "integer", "default": "x"],
    ])
    func `what is no structural schema is refused`(document: JSONValue) {
        #expect(throws: FieldProblem.self) { try StructuralSchema(parsing: document) }
    }

    @Test func `ownership of a custom resource follows its list types`() throws {
        let schema = try self.schema([
            "type": "object",
            "properties": [
                "conditions": [
                    "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
                    "items": [
                        "type": "object", "properties": ["type": ["type": "string"], "status": ["type": "string"]],
                    ],
                ],
                "names": ["type": "array", "x-kubernetes-list-type": "set", "items": ["type": "string"]],
                "plain": ["type": "array", "items": ["type": "string"]],
            ],
        ])
        let fields = TypedObject.fields(
            of: [
                "spec": ["conditions": [["type": "Ready", "status": "True"]], "names": ["a"], "plain": ["x"]]
            ],
            schema: schema.fieldSchema()
        )
        #expect(
            fields.paths.map { FieldSet.describe($0) } == [
                #".spec.conditions[type="Ready"]"#, #".spec.conditions[type="Ready"].status"#,
                #".spec.conditions[type="Ready"].type"#, #".spec.names[="a"]"#, ".spec.plain",
            ]
        )
    }

    @Test(arguments: [
        ("orders-1", NameRules.Style.dns1123Subdomain, true), ("a.b", .dns1123Subdomain, true),
        ("A", .dns1123Subdomain, false), ("-a", .dns1123Subdomain, false), ("a..b", .dns1123Subdomain, false),
        ("1a", .dns1035Label, false), ("a1", .dns1035Label, true), ("a.b", .dns1123Label, false),
        ("system:x", .pathSegment, true), ("a/b", .pathSegment, false),
        (String(repeating: "a", count: 254), .dns1123Subdomain, false),
    ])
    func `names follow the rules of their kind`(name: String, style: NameRules.Style, isRight: Bool) {
        #expect(NameRules.problems(name: name, style: style).isEmpty == isRight)
    }

    @Test func `metadata is checked`() {
        func problems(_ metadata: JSONValue) -> [String] {
            NameRules.problems(metadata: metadata, style: .dns1123Subdomain).map(\.field)
        }
        #expect(problems(["name": "a", "labels": ["drover.dev/cluster": "x", "role": ""]]) == [])
        #expect(problems(["name": "a", "labels": ["bad key": "x"]]) == ["metadata.labels"])
        #expect(problems(["name": "a", "labels": ["k": "bad value"]]) == ["metadata.labels"])
        #expect(problems(["name": "a", "labels": ["k": 1]]) == ["metadata.labels.k"])
        #expect(
            problems(["name": "a", "annotations": ["k": .string(String(repeating: "x", count: 300_000))]]) == [
                "metadata.annotations"
            ]
        )
        #expect(
            problems(["name": "a", "ownerReferences": [["kind": "X", "apiVersion": "v1", "name": "n"]]]) == [
                "metadata.ownerReferences[0].uid"
            ]
        )
    }

    @Test func `json paths of printer columns are followed`() throws {
        let object: JSONValue = [
            "status": ["conditions": [["type": "A", "status": "x"], ["type": "Ready", "status": "True"]], "n": 3],
            "metadata": ["annotations": ["drover.dev/hold": "h"]],
        ]
        func values(_ path: String) throws -> [JSONValue] { try #require(JSONPath(path)).values(in: object) }
        #expect(try values(#".status.conditions[?(@.type=="Ready")].status"#) == ["True"])
        #expect(try values(#".status.conditions[?(@.type!='Ready')].status"#) == ["x"])
        #expect(try values(".status.conditions[0].type") == ["A"])
        #expect(try values(".status.conditions[*].type") == ["A", "Ready"])
        #expect(try values(".status.conditions[-1:].x".replacing("[-1:]", with: "[-1]")) == [])
        #expect(try values(#".metadata.annotations.drover\.dev/hold"#) == ["h"])
        #expect(try values(".status.none") == [])
        #expect(JSONPath("status") == nil)
        #expect(JSONPath(".status[") == nil)
    }

    @Test func `custom columns make a table`() throws {
        let now = try #require(Timestamp.parse("2026-01-01T01:00:00Z"))
        let table = TableFormat.table(
            of: [
                [
                    "metadata": ["name": "orders", "creationTimestamp": "2026-01-01T00:00:00Z"],
                    "spec": ["instances": 3],
                ]
            ],
            resource: GroupResource("things", group: "x"),
            isCustom: true,
            printerColumns: [
                ["name": "Instances", "type": "integer", "jsonPath": ".spec.instances"],
                ["name": "Primary", "type": "string", "jsonPath": ".status.primary"],
                ["name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"],
            ],
            now: now
        )
        #expect(table[path: ["rows"]]?[0]?["cells"] == ["orders", 3, nil, "60m"])
        #expect(table["rows"]?[0]?["object"]?["kind"] == "PartialObjectMetadata")
    }

    @Test func `a pod shows the reason nearest to its trouble`() {
        func status(_ status: JSONValue, deleted: Bool = false) -> JSONValue? {
            var pod: JSONValue = ["metadata": ["name": "p"], "spec": ["containers": [["name": "c"]]], "status": status]
            if deleted { pod[path: ["metadata", "deletionTimestamp"]] = "2026-01-01T00:00:00Z" }
            return TableFormat.table(of: [pod], resource: .pods, now: Date())["rows"]?[0]?["cells"]?[2]
        }
        #expect(
            status(["phase": "Running", "containerStatuses": [["ready": true, "state": ["running": [:]]]]]) == "Running"
        )
        #expect(
            status(["phase": "Pending", "containerStatuses": [["state": ["waiting": ["reason": "ContainerCreating"]]]]])
                == "ContainerCreating"
        )
        #expect(
            status(["phase": "Failed", "containerStatuses": [["state": ["terminated": ["exitCode": 3]]]]])
                == "ExitCode:3"
        )
        #expect(status(["phase": "Running"], deleted: true) == "Terminating")
    }

    @Test(arguments: [
        (5, "5s"), (119, "119s"), (125, "2m5s"), (700, "11m"), (4 * 3_600 + 60, "4h1m"), (49 * 3_600, "2d1h"),
        (400 * 86_400, "400d"),
    ])
    func `ages are short`(seconds: Int, text: String) {
        #expect(AgeText.age(seconds: seconds) == text)
    }
}
