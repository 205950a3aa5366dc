/// What the catalogs of a server say about the roles and databases that are declared.
package struct Catalog: Hashable, Sendable {
    /// `server_version_num` by 10,000: the major version.
    package var version: Int
    /// The roles that were asked for, and exist.
    package var roles: [String: Role]
    /// The databases that were asked for, and exist.
    package var databases: [String: Database]

    package init(version: Int = 15, roles: [String: Role] = [:], databases: [String: Database] = [:]) {
        self.version = version
        self.roles = roles
        self.databases = databases
    }

    /// A role.
    package struct Role: Hashable, Sendable {
        package var isSuperuser = false
        package var login = false
        package var createdb = false
        package var createrole = false
        package var inherit = true
        package var replication = false
        package var bypassrls = false
        package var connectionLimit = -1
        /// Seconds since 1970; nil for ever.
        package var validUntil: Int64?
        package var verifier: String?
        package var memberships: [Membership] = []
        /// What depends on it, in words; asked only of roles that are to go.
        package var dependents: [String] = []

        package init() {}
    }

    /// That a role is in another one.
    package struct Membership: Hashable, Sendable {
        package var role: String
        /// Who granted it: from PostgreSQL 16 on, what one has granted another does not revoke.
        package var grantor: String

        package init(role: String, grantor: String = "postgres") {
            self.role = role
            self.grantor = grantor
        }
    }

    /// A database.
    package struct Database: Hashable, Sendable {
        package var owner: String
        package var encoding: String
        package var collate: String
        package var ctype: String
        package var connectionLimit: Int

        package init(
            owner: String,
            encoding: String = "UTF8",
            collate: String = "C.UTF-8",
            ctype: String = "C.UTF-8",
            connectionLimit: Int = -1
        ) {
            self.owner = owner
            self.encoding = encoding
            self.collate = collate
            self.ctype = ctype
            self.connectionLimit = connectionLimit
        }
    }
}

/// What the catalogs of one database say about what is declared in it.
package struct DatabaseCatalog: Hashable, Sendable {
    /// Owners of the schemas by name.
    package var schemas: [String: String]
    /// The extensions by name.
    package var extensions: [String: Extension]
    /// Default privileges that hold in all schemas.
    package var defaultPrivileges: Set<DefaultPrivilege>
    /// The schemas whose content the reader's role can reach.
    package var readableSchemas: Set<String>

    package init(
        schemas: [String: String] = ["public": "pg_database_owner"],
        extensions: [String: Extension] = [:],
        defaultPrivileges: Set<DefaultPrivilege> = [],
        readableSchemas: Set<String> = []
    ) {
        self.schemas = schemas
        self.extensions = extensions
        self.defaultPrivileges = defaultPrivileges
        self.readableSchemas = readableSchemas
    }

    /// An extension.
    package struct Extension: Hashable, Sendable {
        package var version: String
        package var schema: String

        package init(version: String, schema: String = "public") {
            self.version = version
            self.schema = schema
        }
    }
}

/// A right that a role gets on what another one makes later.
package struct DefaultPrivilege: Hashable, Sendable {
    /// A kind of objects; the raw value is that of `pg_default_acl.defaclobjtype`.
    package enum Kind: String, Hashable, Sendable, CaseIterable {
        case tables = "r"
        case sequences = "S"
        case schemas = "n"
    }

    package var creator: String
    package var kind: Kind
    package var grantee: String
    /// In capitals, as PostgreSQL says it.
    package var privilege: String

    package init(creator: String, kind: Kind, grantee: String, privilege: String) {
        self.creator = creator
        self.kind = kind
        self.grantee = grantee
        self.privilege = privilege
    }
}

/// One statement, and what it does in words that a person who declared it understands.
package struct CatalogChange: Hashable, Sendable {
    package var sql: SQLText
    package var says: String

    package init(_ says: String, _ sql: SQLText) {
        self.says = says
        self.sql = sql
    }
}

/// Why something is not made as declared.
package struct DeclarationProblem: Error, Hashable, Sendable {
    package var message: String

    package init(_ message: String) { self.message = message }
}
