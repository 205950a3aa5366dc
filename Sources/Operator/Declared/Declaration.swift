internal import Foundation
internal import InstanceAPI
internal import KubernetesClient
internal import PostgresClusterAPI

// What a spec declares, put into the words of the instance's API.
extension DeclareRequest {
    /// - Parameters:
    ///   - spec: valid.
    ///   - term: of the primary that is asked.
    ///   - verifiers: of the passwords that are known, by role; the others stay as they are.
    init(_ spec: ResolvedSpec, term: Int64, verifiers: [String: String]) {
        self.init(
            term: term,
            roles: spec.roles.map { DeclaredRole($0, verifier: verifiers[$0.name]) },
            databases: spec.databases.map { DeclaredDatabase($0, of: spec) }
        )
    }
}

extension DeclaredRole {
    fileprivate init(_ role: PostgresClusterSpec.RoleSpec, verifier: String?) {
        self.init(
            name: role.name,
            isPresent: role.isPresent,
            login: role.login ?? false,
            createdb: role.createdb ?? false,
            createrole: role.createrole ?? false,
            inherit: role.inherit ?? true,
            connectionLimit: role.connectionLimit ?? -1,
            validUntil: role.validUntil.flatMap { Timestamp(rawValue: $0).date }
                .map { Int64($0.timeIntervalSince1970.rounded(.down)) },
            inRoles: role.inRoles ?? [],
            password: role.passwordSource == .disabled ? .none : verifier.map { .verifier($0) } ?? .unchanged
        )
    }
}

extension DeclaredDatabase {
    fileprivate init(_ database: PostgresClusterSpec.DatabaseSpec, of spec: ResolvedSpec) {
        let access = database.accessRoles == true ? AccessRoles(database: database.name) : nil
        // The application's role keeps its own database.
        let standard = database.name == spec.database ? spec.owner : access?.owner ?? spec.owner
        let owner = database.owner ?? standard
        let creators = access.map { access in
            let members = spec.roles.filter { $0.isPresent && $0.inRoles?.contains(access.owner) == true }
            return Set([owner, access.owner] + members.map(\.name)).sorted()
        }
        self.init(
            name: database.name,
            isPresent: database.isPresent,
            isDropped: database.reclaimPolicy == .delete,
            owner: owner,
            encoding: database.encoding,
            locale: database.locale,
            connectionLimit: database.connectionLimit ?? -1,
            creators: creators,
            schemas: (database.schemas ?? [])
                .map { Schema(name: $0.name, isPresent: $0.ensure != .absent, owner: $0.owner) },
            extensions: (database.extensions ?? [])
                .map {
                    Extension(name: $0.name, isPresent: $0.ensure != .absent, version: $0.version, schema: $0.schema)
                }
        )
    }
}

extension ResolvedSpec {
    /// The database that a role is told to connect to: the first one that is its own or that it is let into by a role,
    /// or else the application's.
    func database(of role: PostgresClusterSpec.RoleSpec) -> String {
        let own = self.databases.first { database in
            guard database.isPresent else { return false }
            if database.owner == role.name { return true }
            guard database.accessRoles == true else { return false }
            return !Set(AccessRoles(database: database.name).all).isDisjoint(with: role.inRoles ?? [])
        }
        return own?.name ?? self.database
    }
}
