import InstanceAPI
import Testing

@testable import Instance

/// What differs between what is declared and what the catalogs say, as statements.
@Suite struct DeclaredChangesTests {
    /// Names as they would be quoted, values in their quotes: enough to compare.
    private func text(_ changes: [CatalogChange]) -> [String] { changes.map { self.text($0.sql) } }

    private func text(_ sql: SQLText) -> String {
        sql.parts
            .map { part in
                switch part {
                case .text(let text): text
                case .name(let name): "<\(name)>"
                case .value(let value): "{\(value)}"
                }
            }
            .joined()
    }

    private let verifier = "SCRAM-SHA-256$4096:c2FsdA==$a:b"

    private func catalog(_ change: (inout Catalog.Role) -> Void = { _ in }) -> Catalog {
        var role = Catalog.Role()
        role.login = true
        role.verifier = self.verifier
        change(&role)
        return Catalog(roles: ["shop": role])
    }

    private var shop: DeclaredRole { DeclaredRole(name: "shop", login: true, password: .verifier(self.verifier)) }

    @Test func whatIsAsDeclaredIsLeftAlone() throws {
        #expect(try self.shop.changes(from: self.catalog()) == [])
        #expect(try self.shop.membershipChanges(from: self.catalog()) == [])
        #expect(try self.shop.removal(from: self.catalog()) == [])
    }

    @Test func aMissingRoleIsMadeInOneStatement() throws {
        var role = self.shop
        role.connectionLimit = 5
        role.validUntil = 1_800_000_000
        #expect(
            try self.text(role.changes(from: Catalog())) == [
                "create role <shop> with login nosuperuser nocreatedb nocreaterole inherit noreplication nobypassrls "
                    + "connection limit 5 valid until {2027-01-15T08:00:00Z} password {\(self.verifier)}"
            ]
        )
        role.password = .unchanged
        #expect(try self.text(role.changes(from: Catalog())).first?.contains("password") == false)
    }

    static let drifts: [(@Sendable (inout Catalog.Role) -> Void, String)] = [
        ({ $0.login = false }, "alter role <shop> with login"),
        ({ $0.createdb = true }, "alter role <shop> with nocreatedb"),
        ({ $0.createrole = true }, "alter role <shop> with nocreaterole"),
        ({ $0.inherit = false }, "alter role <shop> with inherit"),
        ({ $0.replication = true }, "alter role <shop> with noreplication"),
        ({ $0.bypassrls = true }, "alter role <shop> with nobypassrls"),
        ({ $0.connectionLimit = 7 }, "alter role <shop> with connection limit -1"),
        ({ $0.validUntil = 1 }, "alter role <shop> with valid until {infinity}"),
        ({ $0.verifier = nil }, "alter role <shop> password {SCRAM-SHA-256$4096:c2FsdA==$a:b}"),
        ({ $0.verifier = "md5" }, "alter role <shop> password {SCRAM-SHA-256$4096:c2FsdA==$a:b}"),
    ]

    @Test(arguments: DeclaredChangesTests.drifts)
    func whatSomebodyChangedByHandIsPutRight(_ change: @Sendable (inout Catalog.Role) -> Void, _ sql: String) throws {
        #expect(try self.text(self.shop.changes(from: self.catalog(change))) == [sql])
    }

    @Test func aPasswordThatNobodyKnowsStaysAndOneThatIsDisabledGoes() throws {
        var role = self.shop
        role.password = .unchanged
        #expect(try role.changes(from: self.catalog()) == [])
        role.password = .none
        #expect(try self.text(role.changes(from: self.catalog())) == ["alter role <shop> password null"])
        role.password = .verifier("clear text")
        #expect(throws: DeclarationProblem.self) { try role.changes(from: self.catalog()) }
    }

    @Test func rolesThatAreNotOursToMakeAreRefused() {
        for name in ["postgres", "drover_operator", "pg_monitor", "public", "", "a\u{0}b", "x; drop role y"] {
            #expect(throws: DeclarationProblem.self, "\(name)") {
                try DeclaredRole(name: name).changes(from: Catalog())
            }
            #expect(throws: DeclarationProblem.self, "\(name)") {
                try DeclaredRole(name: name, isPresent: false)
                    .removal(from: Catalog(roles: [name: Catalog.Role()]))
            }
        }
        #expect(throws: DeclarationProblem.self) { try self.shop.changes(from: self.catalog { $0.isSuperuser = true }) }
    }

    @Test func membershipsAreExactlyThoseDeclared() throws {
        var role = self.shop
        role.inRoles = ["b", "a"]
        let catalog = self.catalog { $0.memberships = [.init(role: "b"), .init(role: "c", grantor: "d")] }
        #expect(
            try self.text(role.membershipChanges(from: catalog)) == ["grant <a> to <shop>", "revoke <c> from <shop>"]
        )
        var newer = catalog
        newer.version = 16
        #expect(try self.text(role.membershipChanges(from: newer)).last == "revoke <c> from <shop> granted by <d>")
        role.inRoles = ["pg_execute_server_program"]
        #expect(throws: DeclarationProblem.self) { try role.membershipChanges(from: catalog) }
    }

    @Test func aRoleGoesOnlyWhenNothingDependsOnIt() throws {
        let role = DeclaredRole(name: "shop", isPresent: false)
        #expect(try self.text(role.removal(from: self.catalog())) == ["drop role <shop>"])
        #expect(try role.removal(from: Catalog()) == [])
        let problem = #expect(throws: DeclarationProblem.self) {
            try role.removal(from: self.catalog { $0.dependents = ["owns 2 objects in database orders"] })
        }
        #expect(problem?.message == "cannot be dropped: it owns 2 objects in database orders")
    }

    // MARK: Databases

    private var orders: DeclaredDatabase { DeclaredDatabase(name: "orders", owner: "shop") }

    @Test func aDatabaseIsMadeAndChanged() throws {
        var database = self.orders
        #expect(
            try self.text(database.changes(from: Catalog()))
                == ["create database <orders> with owner <shop> connection limit -1"]
        )
        database.encoding = "LATIN1"
        database.locale = "C"
        database.connectionLimit = 3
        #expect(
            try self.text(database.changes(from: Catalog())) == [
                "create database <orders> with owner <shop> template template0 encoding {LATIN1} locale {C} "
                    + "connection limit 3"
            ]
        )
        let same = Catalog(databases: ["orders": .init(owner: "shop")])
        #expect(try self.orders.changes(from: same) == [])
        let other = Catalog(databases: ["orders": .init(owner: "app", connectionLimit: 9)])
        #expect(
            try self.text(self.orders.changes(from: other))
                == ["alter database <orders> owner to <shop>", "alter database <orders> connection limit -1"]
        )
    }

    @Test(
        arguments: [
            ("UTF8", nil, true), ("utf-8", nil, true), ("LATIN1", nil, false), (nil, "C.utf8", true),
            (nil, "de_DE.UTF-8", false),
        ] as [(String?, String?, Bool)]
    )
    func encodingAndLocaleStay(_ encoding: String?, _ locale: String?, _ isSame: Bool) {
        var database = self.orders
        database.encoding = encoding
        database.locale = locale
        let catalog = Catalog(databases: ["orders": .init(owner: "shop")])
        #expect((try? database.changes(from: catalog)) == (isSame ? [] : nil))
    }

    @Test func dataGoesOnlyWhenThatIsSaidTwice() throws {
        var database = self.orders
        database.isPresent = false
        let catalog = Catalog(databases: ["orders": .init(owner: "shop")])
        #expect(throws: DeclarationProblem.self) { try database.removal(from: catalog) }
        #expect(try database.removal(from: Catalog()) == [])
        database.isDropped = true
        #expect(try self.text(database.removal(from: catalog)) == ["drop database <orders>"])
        #expect(try database.changes(from: catalog) == [])
        database.name = "postgres"
        #expect(throws: DeclarationProblem.self) {
            try database.removal(from: Catalog(databases: ["postgres": .init(owner: "postgres")]))
        }
    }

    @Test func accessRolesAreMadeAndDefaultPrivilegesSet() throws {
        var database = self.orders
        database.creators = ["orders_owner"]
        #expect(
            try self.text(database.accessRoleChanges(from: Catalog())) == [
                "create role <orders_owner> with nologin", "create role <orders_writer> with nologin",
                "create role <orders_reader> with nologin", "grant <orders_reader> to <orders_writer>",
            ]
        )
        // Whoever owns it lends the owner's role its rights.
        #expect(
            try self.text(database.changes(from: Catalog(databases: ["orders": .init(owner: "shop")])))
                == ["grant <shop> to <orders_owner>"]
        )
        let changes = try database.contentChanges(from: DatabaseCatalog(), withdrawing: []).map { try $0.get() }
        #expect(changes.count == 8)
        #expect(
            self.text(changes).first
                == "alter default privileges for role <orders_owner> grant usage on sequences to <orders_writer>"
                || self.text(changes)
                    .contains(
                        "alter default privileges for role <orders_owner> grant select on tables to <orders_reader>"
                    )
        )
        var content = DatabaseCatalog()
        for privilege in ["SELECT"] {
            content.defaultPrivileges.insert(
                .init(creator: "orders_owner", kind: .tables, grantee: "orders_reader", privilege: privilege)
            )
        }
        content.defaultPrivileges.insert(
            .init(creator: "old", kind: .tables, grantee: "orders_reader", privilege: "SELECT")
        )
        let rest = try database.contentChanges(from: content, withdrawing: ["old"]).map { try $0.get() }
        #expect(rest.count == 8)
        // A role that is to go must not be held by what we have set for it.
        #expect(
            self.text(rest).last
                == "alter default privileges for role <old> revoke select on tables from <orders_reader>"
        )
    }

    @Test func schemasAndExtensionsComeInAnOrderThatWorks() throws {
        var database = self.orders
        database.creators = ["orders_owner"]
        database.schemas = [
            .init(name: "sales"), .init(name: "old", isPresent: false), .init(name: "public", owner: "shop"),
        ]
        database.extensions = [
            .init(name: "pg_trgm"), .init(name: "hstore", version: "1.8", schema: "sales"),
            .init(name: "citext", isPresent: false), .init(name: "cube", version: "1.5", schema: "sales"),
        ]
        let content = DatabaseCatalog(
            schemas: ["public": "pg_database_owner", "old": "shop"],
            extensions: ["citext": .init(version: "1.6"), "cube": .init(version: "1.4")],
            readableSchemas: ["public"]
        )
        let changes = try database.contentChanges(from: content, withdrawing: []).map { try $0.get() }
        #expect(
            self.text(changes).filter { !$0.hasPrefix("alter default") } == [
                "drop extension <citext>", "create schema <sales> authorization <pg_database_owner>",
                "grant usage on schema <sales> to <orders_reader>", "drop schema <old>",
                "alter schema <public> owner to <shop>",
                "set local search_path to public; create extension <pg_trgm>",
                "create extension <hstore> schema <sales> version {1.8}",
                "alter extension <cube> update to {1.5}", "alter extension <cube> set schema <sales>",
            ]
        )
    }

    @Test func oneWrongEntryHoldsUpNoOther() {
        var database = self.orders
        database.schemas = [.init(name: "drover"), .init(name: "good")]
        database.extensions = [.init(name: "bad; name"), .init(name: "good")]
        let changes = database.contentChanges(from: DatabaseCatalog(), withdrawing: [])
        #expect(changes.count { (try? $0.get()) == nil } == 2)
        #expect(changes.count == 4)
    }
}
