import JSON
import KubernetesClient
import PostgresClusterAPI
import Testing

@Suite struct DeclaredSpecTests {
    let resource: CustomResource

    init() throws { self.resource = try CustomResource() }

    @Test(arguments: [
        ("spec.roles", "maxItems", SchemaLimits.roles),
        ("spec.roles.[].name", "maxLength", SchemaLimits.identifier),
        ("spec.roles.[].inRoles", "maxItems", SchemaLimits.inRoles),
        ("spec.roles.[].passwordSecret", "maxLength", SchemaLimits.name),
        ("spec.roles.[].connectionLimit", "minimum", SchemaLimits.connectionLimit.lowerBound),
        ("spec.roles.[].connectionLimit", "maximum", SchemaLimits.connectionLimit.upperBound),
        ("spec.databases", "maxItems", SchemaLimits.databases),
        ("spec.databases.[].name", "maxLength", SchemaLimits.identifier),
        ("spec.databases.[].schemas", "maxItems", SchemaLimits.schemas),
        ("spec.databases.[].extensions", "maxItems", SchemaLimits.extensions),
        ("status.roles", "maxItems", SchemaLimits.roles),
        ("status.roles.[].message", "maxLength", SchemaLimits.declarationMessage),
        ("status.databases", "maxItems", SchemaLimits.databases),
    ])
    func boundsAreThoseOfSwift(_ path: String, _ keyword: String, _ bound: Int) {
        #expect(self.resource.part(path)?[keyword]?.intValue == Int64(bound))
    }

    @Test func wordsAreThoseOfSwift() {
        func words(_ path: String) -> [String]? {
            self.resource.part(path)?["enum"]?.arrayValue?.compactMap(\.stringValue)
        }
        #expect(words("spec.roles.[].ensure") == Ensure.allCases.map(\.rawValue))
        #expect(words("spec.roles.[].password") == RolePassword.allCases.map(\.rawValue))
        #expect(words("spec.databases.[].reclaimPolicy") == DatabaseReclaimPolicy.allCases.map(\.rawValue))
        let rule = self.resource.part("spec.roles.[].inRoles.[]")?["x-kubernetes-validations"]?[0]?["rule"]?.stringValue
        for name in DeclaredNames.grantablePredefinedRoles + DeclaredNames.reservedRoles {
            #expect(rule?.contains("'\(name)'") == true, "\(name)")
        }
    }

    @Test func aFullDeclarationIsAdmittedAndValid() throws {
        var document = cluster(
            "spec.roles",
            [
                ["name": "shop", "login": true, "connectionLimit": 20, "inRoles": ["orders_owner", "pg_monitor"]],
                [
                    "name": "Report-ing", "login": true, "passwordSecret": "reporting",
                    "validUntil": "2030-01-01T00:00:00Z",
                ],
                ["name": "old", "ensure": "Absent"], ["name": "team", "createdb": true, "inherit": false],
            ]
        )
        document[path: ["spec", "databases"]] = [
            [
                "name": "orders", "accessRoles": true, "encoding": "UTF8", "locale": "C.UTF-8", "connectionLimit": 50,
                "schemas": [["name": "sales", "owner": "shop"], ["name": "public", "owner": "pg_database_owner"]],
                "extensions": [["name": "pg_trgm", "version": "1.6", "schema": "sales"], ["name": "uuid-ossp"]],
            ],
            ["name": "app", "extensions": [["name": "pg_trgm"]]],
            ["name": "gone", "ensure": "Absent", "reclaimPolicy": "Delete"],
        ]
        let admitted = self.resource.admit(document)
        #expect(admitted.problems == [] && admitted.unknown == [])
        let read = try admitted.object.decode(PostgresCluster.self)
        #expect(read.validate() == [])
        #expect(read.spec.resolved.roles.map(\.passwordSource) == [.generated, .secret, .disabled, .disabled])
        #expect(try JSONValue(encoding: read)["spec"]?["databases"] == document["spec"]?["databases"])
    }

    @Test(
        arguments: [
            (["name": "postgres"], "name"), (["name": "drover_replica"], "name"), (["name": "pg_monitor"], "name"),
            (["name": "app"], "name"), (["name": "a\"; drop table x"], "name"), (["name": ""], "name"),
            (["name": "1a"], "name"), (["name": "orders_reader"], "name"),
            (["name": .string(String(repeating: "a", count: 64))], "name"),
            (["name": "a", "superuser": true], "superuser"), (["name": "a", "replication": true], "replication"),
            (["name": "a", "bypassrls": true], "bypassrls"), (["name": "a", "createrole": true], "createrole"),
            (["name": "a", "connectionLimit": -2], "connectionLimit"),
            (["name": "a", "validUntil": "later"], "validUntil"),
            (["name": "a", "inRoles": ["pg_execute_server_program"]], "inRoles[0]"),
            (["name": "a", "inRoles": ["b", "drover_operator"]], "inRoles[1]"),
            (["name": "a", "inRoles": ["a"]], "inRoles[0]"),
            (["name": "a", "password": "Secret"], "passwordSecret"),
            (["name": "a", "password": "Disabled", "passwordSecret": "s"], "passwordSecret"),
            (["name": "a", "passwordSecret": "Not_A_Name"], "passwordSecret"),
        ] as [(JSONValue, String)]
    )
    func refusesRoles(_ role: JSONValue, _ field: String) throws {
        var document = cluster("spec.roles", [role])
        document[path: ["spec", "databases"]] = [["name": "orders", "accessRoles": true]]
        let problems = try document.decode(PostgresCluster.self).validate()
        #expect(problems.map(\.field) == ["spec.roles[0].\(field)"])
    }

    @Test(
        arguments: [
            (["name": "template1"], "name"), (["name": "a b"], "name"),
            (["name": "app", "ensure": "Absent"], "ensure"),
            (["name": "a", "owner": "postgres"], "owner"), (["name": "a", "encoding": "U'8"], "encoding"),
            (["name": "a", "locale": ""], "locale"), (["name": "a", "connectionLimit": 300_000], "connectionLimit"),
            (["name": .string(String(repeating: "a", count: 60)), "accessRoles": true], "accessRoles"),
            (["name": "a", "schemas": [["name": "drover"]]], "schemas[0].name"),
            (["name": "a", "schemas": [["name": "pg_catalog"]]], "schemas[0].name"),
            (["name": "a", "schemas": [["name": "s"], ["name": "s"]]], "schemas[1].name"),
            (["name": "a", "schemas": [["name": "s", "owner": "pg_monitor"]]], "schemas[0].owner"),
            (["name": "a", "extensions": [["name": "x;"]]], "extensions[0].name"),
            (["name": "a", "extensions": [["name": "x", "version": "1 2"]]], "extensions[0].version"),
            (["name": "a", "extensions": [["name": "x", "schema": "drover"]]], "extensions[0].schema"),
        ] as [(JSONValue, String)]
    )
    func refusesDatabases(_ database: JSONValue, _ field: String) throws {
        let problems = try cluster("spec.databases", [database]).decode(PostgresCluster.self).validate()
        #expect(problems.map(\.field) == ["spec.databases[0].\(field)"])
    }

    @Test(arguments: ["encoding", "locale"])
    func refusesOptionsOfInitdbThatAreNoWords(_ field: String) throws {
        let document = cluster("spec.bootstrap.initdb.\(field)", "x --pwfile=/etc/passwd")
        let problems = try document.decode(PostgresCluster.self).validate()
        #expect(problems.map(\.field) == ["spec.bootstrap.initdb.\(field)"])
        #expect(!self.resource.admit(document).problems.isEmpty)
    }

    @Test func createroleIsForVersionsInWhichItIsLessThanSuperuser() throws {
        var document = cluster("spec.roles", [["name": "a", "createrole": true]])
        document[path: ["spec", "postgres", "version"]] = 16
        #expect(try document.decode(PostgresCluster.self).validate() == [])
    }

    @Test func secretsOfRolesAreNamesOfObjectsAndNotShared() throws {
        let names = Names(cluster: "orders")
        #expect(names.roleSecret(of: "shop") == "orders-role-shop")
        #expect(names.roleSecret(of: "_Shop.Web$") == "orders-role-shop-web")
        #expect(names.roleSecret(of: "___") == "orders-role-0")
        let two: JSONValue = [["name": "a_b", "login": true], ["name": "a-b", "login": true]]
        let problems = try cluster("spec.roles", two).decode(PostgresCluster.self).validate()
        #expect(problems.map(\.field) == ["spec.roles[1].name"])
        // Where nobody looks for a password there is nothing to share.
        let one: JSONValue = [["name": "a_b", "login": true], ["name": "a-b"]]
        #expect(try cluster("spec.roles", one).decode(PostgresCluster.self).validate() == [])
    }
}
