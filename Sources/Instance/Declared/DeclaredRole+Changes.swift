internal import Foundation
package import InstanceAPI
internal import KubernetesClient
internal import PostgresClusterAPI

// What a role needs to be as declared.
extension DeclaredRole {
    /// Makes the role, or changes what differs; its memberships are apart, because all roles have to be there for them.
    package func changes(from catalog: Catalog) throws(DeclarationProblem) -> [CatalogChange] {
        guard self.isPresent else { return [] }
        try self.check()
        guard let role = catalog.roles[self.name] else {
            var options = Attribute.allCases.map { $0.clause(of: self) }
            switch self.password {
            case .unchanged, .none: break
            case .verifier(let verifier): options.append("password \(value: verifier)")
            }
            return [CatalogChange("created", "create role \(name: self.name) with \(SQLText.joined(options))")]
        }
        guard !role.isSuperuser else {
            throw DeclarationProblem(
                "is a superuser in PostgreSQL, which Drover leaves alone: drop it, or rename yours"
            )
        }
        var changes: [CatalogChange] = []
        let options = Attribute.allCases.filter { !$0.isAsDeclared(self, role) }
        if !options.isEmpty {
            let sql = SQLText.joined(options.map { $0.clause(of: self) })
            changes.append(CatalogChange("attributes changed", "alter role \(name: self.name) with \(sql)"))
        }
        switch self.password {
        case .unchanged: break
        case .none:
            if role.verifier != nil {
                changes.append(CatalogChange("password removed", "alter role \(name: self.name) password null"))
            }
        case .verifier(let verifier):
            if role.verifier != verifier {
                let sql: SQLText = "alter role \(name: self.name) password \(value: verifier)"
                changes.append(CatalogChange("password set", sql))
            }
        }
        return changes
    }

    /// Puts the role into those that are declared, and takes it out of all others.
    package func membershipChanges(from catalog: Catalog) throws(DeclarationProblem) -> [CatalogChange] {
        guard self.isPresent else { return [] }
        for name in self.inRoles {
            if let problem = DeclaredNames.problem(withMembershipIn: name) {
                throw DeclarationProblem("inRoles: \(name) \(problem)")
            }
        }
        let present = catalog.roles[self.name]?.memberships ?? []
        let declared = Set(self.inRoles)
        let granted = declared.subtracting(present.map(\.role)).sorted()
            .map { CatalogChange("put into \($0)", "grant \(name: $0) to \(name: self.name)") }
        let revoked = present.filter { !declared.contains($0.role) }
            .sorted { ($0.role, $0.grantor) < ($1.role, $1.grantor) }
            .map { membership in
                let sql: SQLText = "revoke \(name: membership.role) from \(name: self.name)"
                return CatalogChange(
                    "taken out of \(membership.role)",
                    catalog.version >= 16 ? "\(sql) granted by \(name: membership.grantor)" : sql
                )
            }
        return granted + revoked
    }

    /// Drops a role that is to be absent, unless something depends on it.
    package func removal(from catalog: Catalog) throws(DeclarationProblem) -> [CatalogChange] {
        guard !self.isPresent, let role = catalog.roles[self.name] else { return [] }
        try self.check()
        guard !role.isSuperuser else {
            throw DeclarationProblem("is a superuser in PostgreSQL, which Drover leaves alone")
        }
        guard role.dependents.isEmpty else {
            throw DeclarationProblem("cannot be dropped: it \(role.dependents.joined(separator: ", "))")
        }
        return [CatalogChange("dropped", "drop role \(name: self.name)")]
    }

    /// The operator has checked the same; but here it becomes SQL.
    private func check() throws(DeclarationProblem) {
        if let problem = DeclaredNames.problem(withRole: self.name) { throw DeclarationProblem(problem) }
        if case .verifier(let verifier) = self.password, !verifier.hasPrefix("SCRAM-SHA-256$") {
            throw DeclarationProblem("its password was not sent as a SCRAM-SHA-256 verifier")
        }
    }

    /// What a role is, each with the words for it.
    private enum Attribute: CaseIterable {
        case login, superuser, createdb, createrole, inherit, replication, bypassrls, connectionLimit, validUntil

        func isAsDeclared(_ declared: DeclaredRole, _ role: Catalog.Role) -> Bool {
            switch self {
            case .login: declared.login == role.login
            case .superuser: !role.isSuperuser
            case .createdb: declared.createdb == role.createdb
            case .createrole: declared.createrole == role.createrole
            case .inherit: declared.inherit == role.inherit
            case .replication: !role.replication
            case .bypassrls: !role.bypassrls
            case .connectionLimit: declared.connectionLimit == role.connectionLimit
            case .validUntil: declared.validUntil == role.validUntil
            }
        }

        func clause(of declared: DeclaredRole) -> SQLText {
            switch self {
            case .login: declared.login ? "login" : "nologin"
            case .superuser: "nosuperuser"
            case .createdb: declared.createdb ? "createdb" : "nocreatedb"
            case .createrole: declared.createrole ? "createrole" : "nocreaterole"
            case .inherit: declared.inherit ? "inherit" : "noinherit"
            case .replication: "noreplication"
            case .bypassrls: "nobypassrls"
            case .connectionLimit: "connection limit \(declared.connectionLimit)"
            case .validUntil: "valid until \(value: Self.time(declared.validUntil))"
            }
        }

        private static func time(_ seconds: Int64?) -> String {
            guard let seconds else { return "infinity" }
            return Timestamp(Date(timeIntervalSince1970: Double(seconds))).rawValue
        }
    }
}
