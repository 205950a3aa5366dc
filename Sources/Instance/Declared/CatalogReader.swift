internal import InstanceAPI
internal import JSON
internal import PostgresClient
internal import PostgresClusterAPI

/// Reads what the catalogs say about what is declared.
struct CatalogReader {
    let connection: PostgresConnection

    /// Asked in one go, so that what is found belongs together as far as it must.
    func catalog(of request: DeclareRequest) async throws -> Catalog {
        let access = request.databases.compactMap { $0.accessRoles?.all }.flatMap(\.self)
        let absent = request.roles.filter { !$0.isPresent }.map(\.name)
        var catalog = Catalog()
        let version = try await self.connection.query(
            "select current_setting('server_version_num')::int / 10000 as version",
            timeout: Self.patience
        )
        catalog.version = version.first?.value("version", as: Int.self) ?? 0
        catalog.roles = try await self.roles(request.roles.map(\.name) + access)
        try await self.readMemberships(into: &catalog)
        for (role, what) in try await self.dependents(of: absent) {
            catalog.roles[role]?.dependents.append(what)
        }
        catalog.databases = try await self.databases(request.databases.map(\.name))
        return catalog
    }

    private func roles(_ names: [String]) async throws -> [String: Catalog.Role] {
        let rows = try await self.connection.query(
            """
            select rolname, rolsuper, rolcanlogin, rolcreatedb, rolcreaterole, rolinherit, rolreplication, rolbypassrls,
                   rolconnlimit, rolpassword,
                   case when isfinite(rolvaliduntil) then extract(epoch from rolvaliduntil)::bigint end as validuntil
            from pg_authid where rolname in (select json_array_elements_text($1::json))
            """,
            [Self.list(names)],
            timeout: Self.patience
        )
        var roles: [String: Catalog.Role] = [:]
        for row in rows {
            guard let name = row["rolname"] else { continue }
            var role = Catalog.Role()
            role.isSuperuser = row.bool("rolsuper") ?? true
            role.login = row.bool("rolcanlogin") ?? false
            role.createdb = row.bool("rolcreatedb") ?? false
            role.createrole = row.bool("rolcreaterole") ?? false
            role.inherit = row.bool("rolinherit") ?? false
            role.replication = row.bool("rolreplication") ?? false
            role.bypassrls = row.bool("rolbypassrls") ?? false
            role.connectionLimit = row.value("rolconnlimit", as: Int.self) ?? -1
            role.validUntil = row.value("validuntil", as: Int64.self)
            role.verifier = row["rolpassword"]
            roles[name] = role
        }
        return roles
    }

    private func readMemberships(into catalog: inout Catalog) async throws {
        // From 16 on, whoever makes a role gets the right to give it to others, which is no membership by itself.
        let condition = catalog.version >= 16 ? "and (m.inherit_option or m.set_option)" : ""
        let rows = try await self.connection.query(
            """
            select member.rolname as member, role.rolname as role, coalesce(grantor.rolname, '') as grantor
            from pg_auth_members m join pg_roles role on role.oid = m.roleid
                 join pg_roles member on member.oid = m.member left join pg_roles grantor on grantor.oid = m.grantor
            where member.rolname in (select json_array_elements_text($1::json)) \(condition)
            """,
            [Self.list(Array(catalog.roles.keys))],
            timeout: Self.patience
        )
        for row in rows {
            guard let member = row["member"], let role = row["role"] else { continue }
            catalog.roles[member]?.memberships.append(.init(role: role, grantor: row["grantor"] ?? ""))
        }
    }

    /// What keeps roles from being dropped.
    private func dependents(of names: [String]) async throws -> [(role: String, what: String)] {
        guard !names.isEmpty else { return [] }
        let rows = try await self.connection.query(
            """
            select r.rolname as role, d.deptype = 'o' as owns, count(*) as count,
                   case when d.classid = 'pg_database'::regclass then 'database ' || coalesce(self.datname, '?')
                        when d.dbid = 0 then 'the server'
                        else 'database ' || coalesce(db.datname, '?') end as place,
                   d.classid = 'pg_database'::regclass as itself
            from pg_shdepend d join pg_roles r on r.oid = d.refobjid
                 left join pg_database db on db.oid = d.dbid
                 left join pg_database self on d.classid = 'pg_database'::regclass and self.oid = d.objid
            where d.refclassid = 'pg_authid'::regclass
                  and r.rolname in (select json_array_elements_text($1::json))
            group by 1, 2, 4, 5 order by 1, 5 desc, 4, 2 desc limit 64
            """,
            [Self.list(names)],
            timeout: Self.patience
        )
        return rows.compactMap { row in
            guard let role = row["role"], let place = row["place"], let count = row["count"] else { return nil }
            let objects = count == "1" ? "1 object" : "\(count) objects"
            switch (row.bool("owns") ?? true, row.bool("itself") ?? false) {
            case (true, true): return (role, "owns \(place)")
            case (true, false): return (role, "owns \(objects) in \(place)")
            case (false, true): return (role, "has privileges on \(place)")
            case (false, false): return (role, "has privileges on \(objects) in \(place)")
            }
        }
    }

    private func databases(_ names: [String]) async throws -> [String: Catalog.Database] {
        let rows = try await self.connection.query(
            """
            select datname, rolname, pg_encoding_to_char(encoding) as encoding, datcollate, datctype, datconnlimit
            from pg_database join pg_roles on pg_roles.oid = datdba
            where datname in (select json_array_elements_text($1::json))
            """,
            [Self.list(names)],
            timeout: Self.patience
        )
        var databases: [String: Catalog.Database] = [:]
        for row in rows {
            guard let name = row["datname"], let owner = row["rolname"] else { continue }
            databases[name] = Catalog.Database(
                owner: owner,
                encoding: row["encoding"] ?? "",
                collate: row["datcollate"] ?? "",
                ctype: row["datctype"] ?? "",
                connectionLimit: row.value("datconnlimit", as: Int.self) ?? -1
            )
        }
        return databases
    }

    /// Reads what is in the database that the connection leads to.
    func content(of database: DeclaredDatabase) async throws -> DatabaseCatalog {
        var content = DatabaseCatalog(schemas: [:])
        let schemas = try await self.connection.query(
            """
            select nspname, rolname,
                   coalesce((select has_schema_privilege(reader.oid, pg_namespace.oid, 'usage')
                             from pg_roles reader where reader.rolname = $2), false) as readable
            from pg_namespace join pg_roles on pg_roles.oid = nspowner
            where nspname in (select json_array_elements_text($1::json))
            """,
            [Self.list(database.schemas.map(\.name)), database.accessRoles?.reader ?? ""],
            timeout: Self.patience
        )
        for row in schemas {
            guard let name = row["nspname"] else { continue }
            content.schemas[name] = row["rolname"] ?? ""
            if row.bool("readable") == true { content.readableSchemas.insert(name) }
        }
        let extensions = try await self.connection.query(
            """
            select extname, extversion, nspname from pg_extension join pg_namespace on pg_namespace.oid = extnamespace
            where extname in (select json_array_elements_text($1::json))
            """,
            [Self.list(database.extensions.map(\.name))],
            timeout: Self.patience
        )
        for row in extensions {
            guard let name = row["extname"] else { continue }
            content.extensions[name] = .init(version: row["extversion"] ?? "", schema: row["nspname"] ?? "")
        }
        guard let access = database.accessRoles else { return content }
        let privileges = try await self.connection.query(
            """
            select creator.rolname as creator, d.defaclobjtype as kind, grantee.rolname as grantee, a.privilege_type
            from pg_default_acl d join pg_roles creator on creator.oid = d.defaclrole,
                 lateral aclexplode(d.defaclacl) a join pg_roles grantee on grantee.oid = a.grantee
            where d.defaclnamespace = 0 and grantee.rolname in (select json_array_elements_text($1::json))
            """,
            [Self.list(access.all)],
            timeout: Self.patience
        )
        for row in privileges {
            guard let creator = row["creator"], let grantee = row["grantee"], let privilege = row["privilege_type"],
                let kind = row["kind"].flatMap({ DefaultPrivilege.Kind(rawValue: $0) })
            else { continue }
            content.defaultPrivileges.insert(
                DefaultPrivilege(creator: creator, kind: kind, grantee: grantee, privilege: privilege)
            )
        }
        return content
    }

    private static let patience: Duration = .seconds(15)

    private static func list(_ names: [String]) -> String {
        String(decoding: JSONValue.array(names.map { .string($0) }).serializedBytes(), as: UTF8.self)
    }
}
