internal import EventLoop
internal import Fence
internal import InstanceAPI
internal import Logging
internal import PoolerAPI
internal import PostgresClient
internal import PostgresClusterAPI

/// What poolers need in the databases: a role to come as, and in each database a function to look passwords up with.
extension Supervisor {
    /// Sees to it on a primary, for as long as the spec has a pooler; also in databases that are made later (most of
    /// those have it from `template1`).
    func serveTheLookupForever() async {
        var served: Set<String> = []
        while !Task.isCancelled, !self.hasFinished {
            var pause = Duration.seconds(1)
            if self.cluster?.spec.pooler == nil || self.postmaster?.isPrimary != true {
                served = []
            } else if let postmaster = self.postmaster, postmaster.accepts, !postmaster.isStopping,
                self.state == .running
            {
                do {
                    served = try await self.serveTheLookup(besides: served)
                    pause = .seconds(30)
                } catch {
                    self.logger.warning("Poolers cannot look passwords up", metadata: ["error": "\(error)"])
                    pause = .seconds(10)
                }
            }
            await self.lookupKicks.wait(atMost: pause, on: self.eventLoop)
        }
    }

    /// One look.
    /// - Returns: the databases that have the function.
    private func serveTheLookup(besides served: Set<String>) async throws -> Set<String> {
        let databases = try await self.withLocal { connection in
            if served.isEmpty {
                try await connection.execute(script: PoolerLookup.roleDefinition, timeout: .seconds(10))
            }
            return try await connection.query(
                "select oid, datname from pg_database where datallowconn and datname <> 'template0'",
                timeout: .seconds(10)
            )
        }
        var found: Set<String> = []
        for row in databases {
            guard let identifier = row["oid"], let name = row["datname"] else { continue }
            if !served.contains(identifier) {
                do {
                    try await self.withLocal(database: name) { connection in
                        // Whoever holds a lock there is not waited for, least of all by a template that is being used.
                        let quoted = try await connection.quoteIdentifier(name)
                        try await connection.execute(
                            script: """
                                set lock_timeout = '2s';
                                grant connect on database \(quoted) to \(DatabaseRoles.pooler);
                                \(PoolerLookup.definition)
                                """,
                            timeout: .seconds(10)
                        )
                    }
                } catch {
                    // One database that cannot be had must not keep the others from being served.
                    self.logger.warning(
                        "Poolers cannot look passwords up in a database",
                        metadata: ["database": "\(name)", "error": "\(error)"]
                    )
                    continue
                }
            }
            found.insert(identifier)
        }
        return found
    }
}
