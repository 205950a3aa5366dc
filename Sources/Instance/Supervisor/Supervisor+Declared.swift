internal import Fence
package import InstanceAPI
internal import Logging
internal import PostgresClient
internal import PostgresClusterAPI

/// Making roles and databases as they are declared: the operator only looks, and the primary's instance acts, through
/// its own socket.
extension Supervisor {
    /// Compares what is declared with the catalogs, and changes what differs, one thing after the other: what PostgreSQL
    /// refuses holds up nothing else.
    package func declare(_ request: DeclareRequest) async throws -> DeclareResponse {
        try self.checkDeclaration(request)
        // Two at once would find the same thing missing, and make it twice.
        guard !self.isDeclaring else { throw InstanceAPIError(.busy, "an earlier declaration is under way") }
        self.isDeclaring = true
        defer { self.isDeclaring = false }
        do {
            var outcome = DeclarationOutcome()
            try await self.withDeclaringSession { session in
                try await self.declareRoles(request, session, &outcome)
                try await self.declareDatabases(request, session, &outcome)
            }
            try await self.declareContents(request, &outcome)
            // Last, when what they had in databases is gone.
            try await self.withDeclaringSession { session in
                let catalog = try await CatalogReader(connection: session).catalog(of: request)
                for role in request.roles where !role.isPresent {
                    try await self.make(role.name, of: \.roles, session, request, &outcome) {
                        try role.removal(from: catalog)
                    }
                }
            }
            return outcome.response(to: request)
        } catch let error as PostgresError {
            throw InstanceAPIError(.postgresFailed, "\(error)")
        }
    }

    private func checkDeclaration(_ request: DeclareRequest) throws {
        let term = Int(clamping: request.term)
        try self.refuseStale(term: term)
        guard term == self.disk.ownTerm, let postmaster = self.postmaster, postmaster.isPrimary else {
            throw InstanceAPIError(.notPrimary, "this instance is not primary of term \(term)")
        }
        guard postmaster.accepts, !postmaster.isStopping, self.state == .running else {
            throw InstanceAPIError(.notRunning, "PostgreSQL is not ready")
        }
        guard request.roles.count <= SchemaLimits.roles, request.databases.count <= SchemaLimits.databases else {
            throw InstanceAPIError(.badRequest, "there are more roles or databases than a spec may declare")
        }
    }

    /// A session in which nothing that users have made is found in place of what PostgreSQL has, and that leaves no
    /// verifier in the log.
    private func withDeclaringSession<Result>(
        database: String = "postgres",
        _ body: (PostgresConnection) async throws -> Result
    ) async throws -> Result {
        try await self.withLocal(database: database) { connection in
            try await connection.execute(
                script: """
                    set search_path to pg_catalog, pg_temp;
                    set lock_timeout to '5s';
                    set default_transaction_read_only to off;
                    set log_statement to 'none';
                    set log_min_duration_statement to -1;
                    set log_min_error_statement to 'panic';
                    set pg_stat_statements.track to 'none';
                    """,
                timeout: .seconds(5)
            )
            return try await body(connection)
        }
    }

    private func declareRoles(
        _ request: DeclareRequest,
        _ session: PostgresConnection,
        _ outcome: inout DeclarationOutcome
    ) async throws {
        var catalog = try await CatalogReader(connection: session).catalog(of: request)
        for database in request.databases {
            try await self.make(database.name, of: \.databases, session, request, &outcome) {
                try database.accessRoleChanges(from: catalog)
            }
        }
        for role in request.roles {
            try await self.make(role.name, of: \.roles, session, request, &outcome) {
                try role.changes(from: catalog)
            }
        }
        catalog = try await CatalogReader(connection: session).catalog(of: request)
        for role in request.roles where outcome.roles[role.name]?.problem == nil {
            try await self.make(role.name, of: \.roles, session, request, &outcome) {
                try role.membershipChanges(from: catalog)
            }
        }
    }

    private func declareDatabases(
        _ request: DeclareRequest,
        _ session: PostgresConnection,
        _ outcome: inout DeclarationOutcome
    ) async throws {
        let catalog = try await CatalogReader(connection: session).catalog(of: request)
        for database in request.databases where outcome.databases[database.name]?.problem == nil {
            try await self.make(database.name, of: \.databases, session, request, &outcome) {
                try database.changes(from: catalog) + database.removal(from: catalog)
            }
        }
    }

    private func declareContents(_ request: DeclareRequest, _ outcome: inout DeclarationOutcome) async throws {
        let absent = Set(request.roles.filter { !$0.isPresent }.map(\.name))
        for database in request.databases where database.isPresent {
            // Its owner could not be set, or it could not be made: what is in it may still be as declared.
            let isEmpty = database.schemas.isEmpty && database.extensions.isEmpty && database.creators == nil
            if isEmpty || outcome.databases[database.name]?.problem != nil { continue }
            do {
                try await self.withDeclaringSession(database: database.name) { session in
                    let content = try await CatalogReader(connection: session).content(of: database)
                    for change in database.contentChanges(from: content, withdrawing: absent) {
                        try await self.make(database.name, of: \.databases, session, request, &outcome) {
                            [try change.get()]
                        }
                    }
                }
            } catch let error as PostgresError {
                // A database that lets nobody in must not keep the others from being seen to.
                outcome.databases[database.name, default: .init()].fail(error.message)
            }
        }
    }

    /// Carries out what `plan` says of one role or database.
    private func make(
        _ name: String,
        of kind: WritableKeyPath<DeclarationOutcome, [String: DeclarationOutcome.Entry]>,
        _ session: PostgresConnection,
        _ request: DeclareRequest,
        _ outcome: inout DeclarationOutcome,
        _ plan: () throws -> [CatalogChange]
    ) async throws {
        do {
            for change in try plan() {
                // Each may have taken long, and a demotion does not wait for this.
                try self.checkDeclaration(request)
                try await session.execute(script: change.sql.quoted(by: session), timeout: .seconds(60))
                outcome[keyPath: kind][name, default: .init()].changes.append(change.says)
                self.logger.info(
                    "Made as declared",
                    metadata: ["declared.name": "\(name)", "declared.change": "\(change.says)"]
                )
            }
        } catch let problem as DeclarationProblem {
            outcome[keyPath: kind][name, default: .init()].fail(problem.message)
        } catch let error as PostgresError where error.code == .server || error.code == .timeout {
            outcome[keyPath: kind][name, default: .init()].fail(error.message)
        }
    }
}

/// What has become of a declaration so far.
struct DeclarationOutcome {
    struct Entry {
        var changes: [String] = []
        var problem: String?

        /// The first problem is mostly what the others come from.
        mutating func fail(_ message: String) {
            if self.problem == nil { self.problem = message }
        }
    }

    var roles: [String: Entry] = [:]
    var databases: [String: Entry] = [:]

    /// In the order of the request, within the bounds of an answer.
    func response(to request: DeclareRequest) -> DeclareResponse {
        DeclareResponse(
            term: request.term,
            roles: Self.list(self.roles, request.roles.map(\.name)),
            databases: Self.list(self.databases, request.databases.map(\.name))
        )
    }

    private static func list(_ entries: [String: Entry], _ names: [String]) -> [DeclareResponse.Outcome] {
        names.compactMap { name in
            entries[name]
                .map { entry in
                    var changes: [String] = []
                    for change in entry.changes where !changes.contains(change) && changes.count < 4 {
                        changes.append(change)
                    }
                    return DeclareResponse.Outcome(
                        name: name,
                        changes: changes,
                        problem: entry.problem.map { SchemaLimits.cut($0, to: SchemaLimits.declarationMessage) }
                    )
                }
        }
    }
}
