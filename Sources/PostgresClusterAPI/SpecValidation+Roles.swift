internal import KubernetesClient

// What `spec.roles` and `spec.databases` may say.
extension SpecValidation {
    mutating func check(roles: [PostgresClusterSpec.RoleSpec], of spec: PostgresClusterSpec) {
        if roles.count > SchemaLimits.roles {
            self.add("spec.roles", "has more than \(SchemaLimits.roles) entries")
            return
        }
        let owner = spec.bootstrap?.owner ?? SpecDefaults.owner
        let access = (spec.databases ?? []).filter { $0.accessRoles == true }
            .flatMap { AccessRoles(database: $0.name).all }
        var names: Set<String> = []
        var secrets: [String: String] = [:]
        for (index, role) in roles.enumerated() {
            let field = "spec.roles[\(index)]"
            if let problem = DeclaredNames.problem(withRole: role.name) {
                self.add("\(field).name", problem)
            } else if role.name == owner {
                self.add("\(field).name", "is the application's role, which spec.bootstrap.owner names")
            } else if access.contains(role.name) {
                self.add("\(field).name", "is one of the roles that a database with accessRoles has")
            }
            if !names.insert(role.name).inserted { self.add("\(field).name", "is given twice; leave one out") }
            self.check(role, field: field, version: spec.postgres?.version ?? SpecDefaults.postgresVersion)
            guard role.isPresent, role.passwordSource == .generated else { continue }
            let secret = Names(cluster: "").roleSecret(of: role.name)
            if let other = secrets.updateValue(role.name, forKey: secret), other != role.name {
                self.add("\(field).name", "would have its password in the same Secret as \(other); rename one of them")
            }
        }
    }

    private mutating func check(_ role: PostgresClusterSpec.RoleSpec, field: String, version: Int) {
        if role.superuser == true {
            self.add("\(field).superuser", "is refused: nobody comes in as superuser over the network")
        }
        if role.replication == true {
            self.add("\(field).replication", "is refused: only the cluster's own instances replicate")
        }
        if role.bypassrls == true {
            self.add("\(field).bypassrls", "is refused: no role is above the row security of others")
        }
        if role.createrole == true, version < 16 {
            self.add(
                "\(field).createrole",
                "is refused before PostgreSQL 16: there it can give itself roles that make it superuser"
            )
        }
        self.range("\(field).connectionLimit", role.connectionLimit, SchemaLimits.connectionLimit)
        if let text = role.validUntil, text.utf8.count > 64 || Timestamp(rawValue: text).date == nil {
            self.add("\(field).validUntil", "is not a time of RFC 3339, as 2027-01-01T00:00:00Z")
        }
        let inRoles = role.inRoles ?? []
        if inRoles.count > SchemaLimits.inRoles {
            self.add("\(field).inRoles", "has more than \(SchemaLimits.inRoles) entries")
        }
        for (index, name) in inRoles.prefix(SchemaLimits.inRoles).enumerated() {
            if let problem = DeclaredNames.problem(withMembershipIn: name) {
                self.add("\(field).inRoles[\(index)]", problem)
            } else if name == role.name {
                self.add("\(field).inRoles[\(index)]", "is the role itself")
            }
        }
        if let secret = role.passwordSecret {
            if !Self.isSubdomain(secret) { self.add("\(field).passwordSecret", "is not the name of a Secret") }
            if let source = role.password, source != .secret {
                self.add("\(field).passwordSecret", "is of no use with password \(source.rawValue); leave one out")
            }
        } else if role.password == .secret {
            self.add("\(field).passwordSecret", "is missing; name the Secret whose key password has it")
        }
    }

    mutating func check(databases: [PostgresClusterSpec.DatabaseSpec], of spec: PostgresClusterSpec) {
        if databases.count > SchemaLimits.databases {
            self.add("spec.databases", "has more than \(SchemaLimits.databases) entries")
            return
        }
        var names: Set<String> = []
        for (index, database) in databases.enumerated() {
            let field = "spec.databases[\(index)]"
            if let problem = DeclaredNames.problem(withDatabase: database.name) {
                self.add("\(field).name", problem)
            } else if !database.isPresent, database.name == spec.bootstrap?.database ?? SpecDefaults.database {
                self.add("\(field).ensure", "the application's database, which spec.bootstrap.database names, stays")
            }
            if !names.insert(database.name).inserted { self.add("\(field).name", "is given twice; leave one out") }
            if let owner = database.owner, let problem = DeclaredNames.problem(withRole: owner) {
                self.add("\(field).owner", problem)
            }
            for (name, text) in [("encoding", database.encoding), ("locale", database.locale)] {
                if let text, let problem = DeclaredNames.problem(withWord: text) {
                    self.add("\(field).\(name)", problem)
                }
            }
            self.range("\(field).connectionLimit", database.connectionLimit, SchemaLimits.connectionLimit)
            if database.accessRoles == true,
                AccessRoles(database: database.name).all.contains(where: { $0.utf8.count > SchemaLimits.identifier })
            {
                self.add("\(field).accessRoles", "the database's name is too long for names of roles made from it")
            }
            self.check(schemas: database.schemas ?? [], field: field)
            self.check(extensions: database.extensions ?? [], field: field)
        }
    }

    private mutating func check(schemas: [PostgresClusterSpec.SchemaSpec], field: String) {
        if schemas.count > SchemaLimits.schemas {
            self.add("\(field).schemas", "has more than \(SchemaLimits.schemas) entries")
            return
        }
        var names: Set<String> = []
        for (index, schema) in schemas.enumerated() {
            let field = "\(field).schemas[\(index)]"
            if let problem = DeclaredNames.problem(withSchema: schema.name) { self.add("\(field).name", problem) }
            if !names.insert(schema.name).inserted { self.add("\(field).name", "is given twice; leave one out") }
            if let owner = schema.owner, owner != "pg_database_owner",
                let problem = DeclaredNames.problem(withRole: owner)
            {
                self.add("\(field).owner", problem)
            }
        }
    }

    private mutating func check(extensions: [PostgresClusterSpec.ExtensionSpec], field: String) {
        if extensions.count > SchemaLimits.extensions {
            self.add("\(field).extensions", "has more than \(SchemaLimits.extensions) entries")
            return
        }
        var names: Set<String> = []
        for (index, item) in extensions.enumerated() {
            let field = "\(field).extensions[\(index)]"
            if let problem = DeclaredNames.problem(withExtension: item.name) { self.add("\(field).name", problem) }
            if !names.insert(item.name).inserted { self.add("\(field).name", "is given twice; leave one out") }
            if let version = item.version, let problem = DeclaredNames.problem(withWord: version) {
                self.add("\(field).version", problem)
            }
            if let schema = item.schema, schema != "pg_catalog",
                let problem = DeclaredNames.problem(withSchema: schema)
            {
                self.add("\(field).schema", problem)
            }
        }
    }
}
