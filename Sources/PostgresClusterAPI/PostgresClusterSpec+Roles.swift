extension PostgresClusterSpec {
    /// A role that Drover sees to.
    ///
    /// What is left out has PostgreSQL's default, whatever somebody has set by hand.
    public struct RoleSpec: Codable, Hashable, Sendable {
        /// The role's name.
        public var name: String
        /// Whether there is to be such a role.
        public var ensure: Ensure?
        /// Whether it may log in.
        public var login: Bool?
        /// Always refused when true.
        public var superuser: Bool?
        /// Whether it may create databases.
        public var createdb: Bool?
        /// Whether it may create roles; refused before PostgreSQL 16.
        public var createrole: Bool?
        /// Whether it has the rights of the roles that it is in without `SET ROLE`.
        public var inherit: Bool?
        /// Always refused when true.
        public var replication: Bool?
        /// Always refused when true.
        public var bypassrls: Bool?
        /// How many sessions it may have; -1 for as many as there are.
        public var connectionLimit: Int?
        /// RFC 3339: the password counts until then; nil for ever.
        public var validUntil: String?
        /// The roles that it is a member of; it is in no other one.
        public var inRoles: [String]?
        /// Where its password comes from; nil for `Generated` when it may log in, otherwise `Disabled`.
        public var password: RolePassword?
        /// The Secret whose key `password` has it; for ``RolePassword/secret``, which it also is the default for.
        public var passwordSecret: String?

        /// Makes a role.
        public init(
            name: String,
            ensure: Ensure? = nil,
            login: Bool? = nil,
            superuser: Bool? = nil,
            createdb: Bool? = nil,
            createrole: Bool? = nil,
            inherit: Bool? = nil,
            replication: Bool? = nil,
            bypassrls: Bool? = nil,
            connectionLimit: Int? = nil,
            validUntil: String? = nil,
            inRoles: [String]? = nil,
            password: RolePassword? = nil,
            passwordSecret: String? = nil
        ) {
            self.name = name
            self.ensure = ensure
            self.login = login
            self.superuser = superuser
            self.createdb = createdb
            self.createrole = createrole
            self.inherit = inherit
            self.replication = replication
            self.bypassrls = bypassrls
            self.connectionLimit = connectionLimit
            self.validUntil = validUntil
            self.inRoles = inRoles
            self.password = password
            self.passwordSecret = passwordSecret
        }

        /// Whether there is to be such a role.
        public var isPresent: Bool { self.ensure != .absent }

        /// Where the password comes from, defaults put in.
        public var passwordSource: RolePassword {
            self.password ?? (self.passwordSecret != nil ? .secret : self.login == true ? .generated : .disabled)
        }
    }

    /// A database that Drover sees to.
    public struct DatabaseSpec: Codable, Hashable, Sendable {
        /// The database's name.
        public var name: String
        /// Whether there is to be such a database.
        public var ensure: Ensure?
        /// Its owner; nil for the role of ``accessRoles``, or else the application's role.
        public var owner: String?
        /// Its encoding, for when it is made.
        public var encoding: String?
        /// Its locale, for when it is made.
        public var locale: String?
        /// How many sessions it may have; -1 for as many as there are.
        public var connectionLimit: Int?
        /// What becomes of its data when it is to be absent.
        public var reclaimPolicy: DatabaseReclaimPolicy?
        /// Whether there are roles `<name>_owner`, `<name>_writer` and `<name>_reader`, for what will be made in it.
        public var accessRoles: Bool?
        /// Extensions in it.
        public var extensions: [ExtensionSpec]?
        /// Schemas in it.
        public var schemas: [SchemaSpec]?

        /// Makes a database.
        public init(
            name: String,
            ensure: Ensure? = nil,
            owner: String? = nil,
            encoding: String? = nil,
            locale: String? = nil,
            connectionLimit: Int? = nil,
            reclaimPolicy: DatabaseReclaimPolicy? = nil,
            accessRoles: Bool? = nil,
            extensions: [ExtensionSpec]? = nil,
            schemas: [SchemaSpec]? = nil
        ) {
            self.name = name
            self.ensure = ensure
            self.owner = owner
            self.encoding = encoding
            self.locale = locale
            self.connectionLimit = connectionLimit
            self.reclaimPolicy = reclaimPolicy
            self.accessRoles = accessRoles
            self.extensions = extensions
            self.schemas = schemas
        }

        /// Whether there is to be such a database.
        public var isPresent: Bool { self.ensure != .absent }
    }

    /// An extension in a database.
    public struct ExtensionSpec: Codable, Hashable, Sendable {
        /// The extension's name.
        public var name: String
        /// Whether it is to be there.
        public var ensure: Ensure?
        /// Its version; nil for whichever is there, or the newest.
        public var version: String?
        /// Its schema; nil for whichever it is in, or `public`.
        public var schema: String?

        /// Makes an extension.
        public init(name: String, ensure: Ensure? = nil, version: String? = nil, schema: String? = nil) {
            self.name = name
            self.ensure = ensure
            self.version = version
            self.schema = schema
        }
    }

    /// A schema in a database.
    public struct SchemaSpec: Codable, Hashable, Sendable {
        /// The schema's name.
        public var name: String
        /// Whether it is to be there; one with something in it is not dropped.
        public var ensure: Ensure?
        /// Its owner; nil for the database's owner when it is made.
        public var owner: String?

        /// Makes a schema.
        public init(name: String, ensure: Ensure? = nil, owner: String? = nil) {
            self.name = name
            self.ensure = ensure
            self.owner = owner
        }
    }
}

/// Whether something is to be there.
public enum Ensure: String, Codable, Hashable, Sendable, CaseIterable {
    /// It is made when it is missing, and kept as declared.
    case present = "Present"
    /// It is dropped, unless something is in the way.
    case absent = "Absent"
}

/// Where the password of a role comes from.
public enum RolePassword: String, Codable, Hashable, Sendable, CaseIterable {
    /// Made by Drover, and kept in a Secret of the cluster.
    case generated = "Generated"
    /// Out of a Secret that somebody else keeps.
    case secret = "Secret"
    /// There is none: nobody comes in as this role by password.
    case disabled = "Disabled"
}

/// What becomes of a database that is to be absent.
public enum DatabaseReclaimPolicy: String, Codable, Hashable, Sendable, CaseIterable {
    /// It stays, and that is said.
    case retain = "Retain"
    /// It is dropped with all its data.
    case delete = "Delete"
}
