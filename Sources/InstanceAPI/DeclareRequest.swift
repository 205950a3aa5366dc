/// Tells the primary which roles and databases are declared.
///
/// It compares them with its catalogs and changes what differs; what is not named here is left alone. May be repeated.
public struct DeclareRequest: Codable, Hashable, Sendable {
    /// The term of the primary now.
    public var term: Int64
    /// The roles.
    public var roles: [DeclaredRole]
    /// The databases.
    public var databases: [DeclaredDatabase]

    /// Makes a request.
    public init(term: Int64, roles: [DeclaredRole], databases: [DeclaredDatabase]) {
        self.term = term
        self.roles = roles
        self.databases = databases
    }
}

/// A role as it should be, with every attribute said.
public struct DeclaredRole: Codable, Hashable, Sendable {
    /// What becomes of its password.
    public enum Password: Codable, Hashable, Sendable {
        /// It stays as it is: nobody knows what it should be.
        case unchanged
        /// It has none.
        case none
        /// It has the one with this SCRAM-SHA-256 verifier; the password itself is not said.
        case verifier(String)
    }

    /// Its name.
    public var name: String
    /// Whether there is to be such a role; when not, nothing else counts.
    public var isPresent: Bool
    /// `LOGIN`.
    public var login: Bool
    /// `CREATEDB`.
    public var createdb: Bool
    /// `CREATEROLE`.
    public var createrole: Bool
    /// `INHERIT`.
    public var inherit: Bool
    /// `CONNECTION LIMIT`.
    public var connectionLimit: Int
    /// `VALID UNTIL`, in seconds since 1970; nil for ever.
    public var validUntil: Int64?
    /// The roles that it is in.
    public var inRoles: [String]
    /// Its password.
    public var password: Password

    /// Makes a role.
    public init(
        name: String,
        isPresent: Bool = true,
        login: Bool = false,
        createdb: Bool = false,
        createrole: Bool = false,
        inherit: Bool = true,
        connectionLimit: Int = -1,
        validUntil: Int64? = nil,
        inRoles: [String] = [],
        password: Password = .none
    ) {
        self.name = name
        self.isPresent = isPresent
        self.login = login
        self.createdb = createdb
        self.createrole = createrole
        self.inherit = inherit
        self.connectionLimit = connectionLimit
        self.validUntil = validUntil
        self.inRoles = inRoles
        self.password = password
    }
}

/// A database as it should be.
public struct DeclaredDatabase: Codable, Hashable, Sendable {
    /// Its name.
    public var name: String
    /// Whether there is to be such a database; when not, only ``isDropped`` counts.
    public var isPresent: Bool
    /// Whether it may be dropped with its data.
    public var isDropped: Bool
    /// Its owner.
    public var owner: String
    /// Its encoding; nil for the server's.
    public var encoding: String?
    /// Its locale; nil for the server's.
    public var locale: String?
    /// `CONNECTION LIMIT`.
    public var connectionLimit: Int
    /// Whose future objects the roles of the database can read and write; nil when it has no such roles.
    public var creators: [String]?
    /// Schemas in it.
    public var schemas: [Schema]
    /// Extensions in it.
    public var extensions: [Extension]

    /// Makes a database.
    public init(
        name: String,
        isPresent: Bool = true,
        isDropped: Bool = false,
        owner: String,
        encoding: String? = nil,
        locale: String? = nil,
        connectionLimit: Int = -1,
        creators: [String]? = nil,
        schemas: [Schema] = [],
        extensions: [Extension] = []
    ) {
        self.name = name
        self.isPresent = isPresent
        self.isDropped = isDropped
        self.owner = owner
        self.encoding = encoding
        self.locale = locale
        self.connectionLimit = connectionLimit
        self.creators = creators
        self.schemas = schemas
        self.extensions = extensions
    }

    /// A schema.
    public struct Schema: Codable, Hashable, Sendable {
        /// Its name.
        public var name: String
        /// Whether it is to be there.
        public var isPresent: Bool
        /// Its owner; nil for whoever has it, or the database's.
        public var owner: String?

        /// Makes a schema.
        public init(name: String, isPresent: Bool = true, owner: String? = nil) {
            self.name = name
            self.isPresent = isPresent
            self.owner = owner
        }
    }

    /// An extension.
    public struct Extension: Codable, Hashable, Sendable {
        /// Its name.
        public var name: String
        /// Whether it is to be there.
        public var isPresent: Bool
        /// Its version; nil for whichever is there, or the newest.
        public var version: String?
        /// Its schema; nil for whichever it is in, or `public`.
        public var schema: String?

        /// Makes an extension.
        public init(name: String, isPresent: Bool = true, version: String? = nil, schema: String? = nil) {
            self.name = name
            self.isPresent = isPresent
            self.version = version
            self.schema = schema
        }
    }
}

/// What has become of a declaration: only what was changed, and what is not as declared.
public struct DeclareResponse: Codable, Hashable, Sendable {
    /// What has become of one role or database.
    public struct Outcome: Codable, Hashable, Sendable {
        /// Its name.
        public var name: String
        /// What was changed, as `created` or `password set`.
        public var changes: [String]
        /// Why it is not as declared; nil when it is.
        public var problem: String?

        /// Makes it.
        public init(name: String, changes: [String] = [], problem: String? = nil) {
            self.name = name
            self.changes = changes
            self.problem = problem
        }
    }

    /// The term of the request.
    public var term: Int64
    /// The roles.
    public var roles: [Outcome]
    /// The databases.
    public var databases: [Outcome]

    /// Makes an answer.
    public init(term: Int64, roles: [Outcome] = [], databases: [Outcome] = []) {
        self.term = term
        self.roles = roles
        self.databases = databases
    }
}
