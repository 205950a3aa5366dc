package import InstanceAPI
internal import PostgresClusterAPI

// What a database needs to be as declared.
extension DeclaredDatabase {
    /// The roles that go with it; nil when it has none.
    var accessRoles: AccessRoles? { self.creators.map { _ in AccessRoles(database: self.name) } }

    /// Makes the roles that go with the database; before roles are put into them.
    package func accessRoleChanges(from catalog: Catalog) throws(DeclarationProblem) -> [CatalogChange] {
        guard self.isPresent, let access = self.accessRoles else { return [] }
        try self.check()
        var changes: [CatalogChange] = []
        for name in access.all {
            guard let role = catalog.roles[name] else {
                changes.append(CatalogChange("role \(name) created", "create role \(name: name) with nologin"))
                continue
            }
            guard !role.isSuperuser else {
                throw DeclarationProblem("accessRoles: \(name) is a superuser in PostgreSQL, which Drover leaves alone")
            }
        }
        // Who writes reads, too; the owner of what is there needs neither.
        if catalog.roles[access.writer]?.memberships.contains(where: { $0.role == access.reader }) != true {
            let sql: SQLText = "grant \(name: access.reader) to \(name: access.writer)"
            changes.append(CatalogChange("\(access.writer) put into \(access.reader)", sql))
        }
        return changes
    }

    /// Makes the database, or changes what differs, once all roles are there.
    package func changes(from catalog: Catalog) throws(DeclarationProblem) -> [CatalogChange] {
        guard self.isPresent else { return [] }
        try self.check()
        var changes: [CatalogChange] = []
        if let database = catalog.databases[self.name] {
            try self.compareWhatStays(database)
            if database.owner != self.owner {
                let sql: SQLText = "alter database \(name: self.name) owner to \(name: self.owner)"
                changes.append(CatalogChange("owner changed", sql))
            }
            if database.connectionLimit != self.connectionLimit {
                let sql: SQLText = "alter database \(name: self.name) connection limit \(self.connectionLimit)"
                changes.append(CatalogChange("connection limit changed", sql))
            }
        } else {
            var sql: SQLText = "create database \(name: self.name) with owner \(name: self.owner)"
            // Only template0 may be copied into something else than it is itself.
            if self.encoding != nil || self.locale != nil { sql = "\(sql) template template0" }
            if let encoding { sql = "\(sql) encoding \(value: encoding)" }
            if let locale { sql = "\(sql) locale \(value: locale)" }
            sql = "\(sql) connection limit \(self.connectionLimit)"
            changes.append(CatalogChange("created", sql))
        }
        // Members of the owning role own the database, too, when it belongs to somebody else.
        if let access = self.accessRoles, access.owner != self.owner,
            catalog.roles[access.owner]?.memberships.contains(where: { $0.role == self.owner }) != true
        {
            let sql: SQLText = "grant \(name: self.owner) to \(name: access.owner)"
            changes.append(CatalogChange("\(access.owner) put into \(self.owner)", sql))
        }
        return changes
    }

    /// Drops a database that is to be absent, if its data may go.
    package func removal(from catalog: Catalog) throws(DeclarationProblem) -> [CatalogChange] {
        guard !self.isPresent, catalog.databases[self.name] != nil else { return [] }
        try self.check()
        guard self.isDropped else {
            throw DeclarationProblem("is still there: reclaimPolicy Retain keeps it, Delete drops it with all its data")
        }
        return [CatalogChange("dropped", "drop database \(name: self.name)")]
    }

    /// What to do inside the database.
    ///
    /// One problem does not hold the rest up.
    package func contentChanges(
        from content: DatabaseCatalog,
        withdrawing absentRoles: Set<String>
    ) -> [Result<CatalogChange, DeclarationProblem>] {
        guard self.isPresent else { return [] }
        // Extensions may want schemas, and leave before them.
        return self.extensions.filter { !$0.isPresent }.flatMap { $0.changes(content) }
            + self.schemas.flatMap { $0.changes(content, reader: self.accessRoles?.reader) }
            + self.extensions.filter(\.isPresent).flatMap { $0.changes(content) }
            + self.privilegeChanges(content, withdrawing: absentRoles).map { .success($0) }
    }

    private func privilegeChanges(_ content: DatabaseCatalog, withdrawing absentRoles: Set<String>) -> [CatalogChange] {
        guard let access = self.accessRoles, let creators else { return [] }
        let declared = Set(
            creators.flatMap { creator in
                Self.privileges(access)
                    .map {
                        DefaultPrivilege(creator: creator, kind: $0.kind, grantee: $0.grantee, privilege: $0.privilege)
                    }
            }
        )
        let missing = declared.subtracting(content.defaultPrivileges)
        let superfluous = content.defaultPrivileges
            .filter { absentRoles.contains($0.creator) && access.all.contains($0.grantee) }
        return Self.sorted(missing).map { $0.grant } + Self.sorted(superfluous).map { $0.revoke }
    }

    /// What the reader and the writer get on what a creator makes; the writer is in the reader's role.
    private static func privileges(_ access: AccessRoles) -> [(
        kind: DefaultPrivilege.Kind, grantee: String, privilege: String
    )] {
        [
            (.schemas, access.reader, "USAGE"), (.tables, access.reader, "SELECT"),
            (.sequences, access.reader, "SELECT"), (.tables, access.writer, "INSERT"),
            (.tables, access.writer, "UPDATE"), (.tables, access.writer, "DELETE"),
            (.sequences, access.writer, "USAGE"), (.sequences, access.writer, "UPDATE"),
        ]
    }

    private static func sorted(_ privileges: some Sequence<DefaultPrivilege>) -> [DefaultPrivilege] {
        privileges.sorted {
            ($0.creator, $0.kind.rawValue, $0.grantee, $0.privilege)
                < ($1.creator, $1.kind.rawValue, $1.grantee, $1.privilege)
        }
    }

    /// Encoding and locale are those it was made with.
    private func compareWhatStays(_ database: Catalog.Database) throws(DeclarationProblem) {
        if let encoding, Self.folded(encoding) != Self.folded(database.encoding) {
            throw DeclarationProblem("encoding: it was made with \(database.encoding), which cannot be changed")
        }
        if let locale {
            for made in [database.collate, database.ctype] where Self.folded(made) != Self.folded(locale) {
                throw DeclarationProblem("locale: it was made with \(made), which cannot be changed")
            }
        }
    }

    /// PostgreSQL takes `utf-8` for `UTF8`, and so do locales.
    private static func folded(_ word: String) -> String {
        word.lowercased().filter { $0 != "-" && $0 != "_" }
    }

    private func check() throws(DeclarationProblem) {
        if let problem = DeclaredNames.problem(withDatabase: self.name) { throw DeclarationProblem(problem) }
        guard self.isPresent else { return }
        if let problem = DeclaredNames.problem(withRole: self.owner) {
            throw DeclarationProblem("owner: \(problem)")
        }
        for creator in self.creators ?? [] {
            if let problem = DeclaredNames.problem(withRole: creator) {
                throw DeclarationProblem("\(creator) \(problem)")
            }
        }
    }
}

extension DeclaredDatabase.Schema {
    func changes(_ content: DatabaseCatalog, reader: String?) -> [Result<CatalogChange, DeclarationProblem>] {
        let problem =
            DeclaredNames.problem(withSchema: self.name)
            ?? self.owner.flatMap { $0 == "pg_database_owner" ? nil : DeclaredNames.problem(withRole: $0) }
        if let problem { return [.failure(DeclarationProblem("schema \(self.name): \(problem)"))] }
        let owner = content.schemas[self.name]
        var changes: [CatalogChange] = []
        switch (self.isPresent, owner) {
        case (false, nil): return []
        case (false, _?):
            // Without CASCADE: one with something in it stays.
            return [.success(CatalogChange("schema \(self.name) dropped", "drop schema \(name: self.name)"))]
        case (true, nil):
            // By the role that owns the database, in its name.
            let owner = self.owner ?? "pg_database_owner"
            let sql: SQLText = "create schema \(name: self.name) authorization \(name: owner)"
            changes.append(CatalogChange("schema \(self.name) created", sql))
        case (true, let present?):
            if let owner = self.owner, owner != present {
                let sql: SQLText = "alter schema \(name: self.name) owner to \(name: owner)"
                changes.append(CatalogChange("owner of schema \(self.name) changed", sql))
            }
        }
        if let reader, !content.readableSchemas.contains(self.name) {
            let sql: SQLText = "grant usage on schema \(name: self.name) to \(name: reader)"
            changes.append(CatalogChange("schema \(self.name) opened to \(reader)", sql))
        }
        return changes.map { .success($0) }
    }
}

extension DeclaredDatabase.Extension {
    func changes(_ content: DatabaseCatalog) -> [Result<CatalogChange, DeclarationProblem>] {
        let problem =
            DeclaredNames.problem(withExtension: self.name)
            ?? self.version.flatMap { DeclaredNames.problem(withWord: $0) }
            ?? self.schema.flatMap { $0 == "pg_catalog" ? nil : DeclaredNames.problem(withSchema: $0) }
        if let problem { return [.failure(DeclarationProblem("extension \(self.name): \(problem)"))] }
        let present = content.extensions[self.name]
        var changes: [CatalogChange] = []
        switch (self.isPresent, present) {
        case (false, nil): break
        case (false, _?):
            changes.append(CatalogChange("extension \(self.name) dropped", "drop extension \(name: self.name)"))
        case (true, nil):
            var sql: SQLText = "create extension \(name: self.name)"
            if let schema = self.schema { sql = "\(sql) schema \(name: schema)" }
            if let version = self.version { sql = "\(sql) version \(value: version)" }
            // Its control file may name a schema, which goes before this.
            if self.schema == nil { sql = "set local search_path to public; \(sql)" }
            changes.append(CatalogChange("extension \(self.name) created", sql))
        case (true, let present?):
            if let version = self.version, version != present.version {
                let sql: SQLText = "alter extension \(name: self.name) update to \(value: version)"
                changes.append(CatalogChange("extension \(self.name) updated to \(version)", sql))
            }
            if let schema = self.schema, schema != present.schema {
                let sql: SQLText = "alter extension \(name: self.name) set schema \(name: schema)"
                changes.append(CatalogChange("extension \(self.name) moved to schema \(schema)", sql))
            }
        }
        return changes.map { .success($0) }
    }
}

extension DefaultPrivilege {
    fileprivate var grant: CatalogChange {
        let sql: SQLText = "alter default privileges for role \(name: self.creator) grant \(self.right)"
        return CatalogChange("default privileges", "\(sql) to \(name: self.grantee)")
    }

    fileprivate var revoke: CatalogChange {
        let sql: SQLText = "alter default privileges for role \(name: self.creator) revoke \(self.right)"
        return CatalogChange("default privileges withdrawn", "\(sql) from \(name: self.grantee)")
    }

    private var right: SQLText {
        let privilege: SQLText =
            switch self.privilege {
            case "SELECT": "select"
            case "INSERT": "insert"
            case "UPDATE": "update"
            case "DELETE": "delete"
            case "USAGE": "usage"
            default: "all"
            }
        let kind: SQLText =
            switch self.kind {
            case .tables: "tables"
            case .sequences: "sequences"
            case .schemas: "schemas"
            }
        return "\(privilege) on \(kind)"
    }
}
