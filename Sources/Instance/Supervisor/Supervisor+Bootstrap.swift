internal import EventLoop
internal import Fence
internal import InstanceAPI
internal import Logging
internal import PostgresClient
internal import PostgresClusterAPI
internal import PodProgram

/// Making the first database system of a cluster.
extension Supervisor {
    /// Makes a database system and its roles.
    ///
    /// Nobody can connect before all of it is there; a crash in between starts over with an empty directory.
    func initialize(term: Int) async throws {
        let layout = self.volume.layout
        self.state = .bootstrapping
        self.publish()
        let spec = self.cluster?.spec.resolved
        let owner = spec?.owner ?? "app"
        let database = spec?.database ?? "app"
        guard ![DatabaseRoles.superuser, DatabaseRoles.replication, DatabaseRoles.operator].contains(owner) else {
            throw PostmasterError(description: "bootstrap.owner may not be one of Drover's own roles")
        }
        let password = try await self.volume.readText(self.configuration.credentials + "/password")
        if self.postmaster != nil { try await self.stopPostmaster(signal: .immediate) }
        try await self.volume.remove(layout.incoming)
        try await self.volume.remove(layout.data)
        var arguments = [
            "-D", layout.incoming, "-U", DatabaseRoles.superuser,
            "--encoding=\(spec?.encoding ?? SpecDefaults.encoding)", "--locale=\(spec?.locale ?? SpecDefaults.locale)",
            "--auth-local=peer", "--auth-host=scram-sha-256", "--no-instructions",
        ]
        if spec?.hasDataChecksums ?? SpecDefaults.dataChecksums { arguments.append("--data-checksums") }
        let exit = try await self.runToEnd(
            Processes.Program(
                path: self.configuration.programs(version: self.version) + "/initdb",
                arguments: arguments,
                environment: self.environment
            )
        )
        guard exit.isSuccess else {
            throw PostmasterError(
                description:
                    "initdb ended with \(exit); the pod's log says why, and spec.bootstrap.initdb is what it was given"
            )
        }
        try await self.volume.rename(layout.incoming, to: layout.data)
        try await self.readDataDirectory()
        try await self.startPostmaster(asPrimary: true, isOpen: false)
        self.state = .bootstrapping
        do {
            try await self.waitUntilAccepting(.seconds(60))
            try await self.makeRoles(owner: owner, database: database, password: password)
            _ = self.note(term: term)
            self.disk.ownTerm = term
            self.disk.promotions = [.init(term: term, timeline: 1, switchLSN: 0)]
            self.disk.demotion = nil
            self.disk.systemIdentifier = self.systemIdentifier
            // On disk before anybody hears of it: the cluster counts as made from then on, and is never made again.
            var complete = self.disk
            complete.isBootstrapped = true
            try await self.volume.save(complete)
        } catch {
            try await self.stopPostmaster(signal: .immediate)
            throw error
        }
        self.disk.isBootstrapped = true
        // What was noted and saved in between did not say so.
        try await self.saveState()
        try await self.reloadIfChanged()
        self.state = .running
        self.logger.notice("Made the database system", metadata: ["system.identifier": "\(self.systemIdentifier ?? 0)"])
    }

    private func makeRoles(owner: String, database: String, password: String) async throws {
        try await self.withLocal { connection in
            let replica = DatabaseRoles.replication
            try await connection.execute(
                script: """
                    create role \(replica) with login replication;
                    create role \(DatabaseRoles.operator) with login in role pg_monitor;
                    grant execute on function pg_catalog.pg_ls_dir(text, boolean, boolean) to \(replica);
                    grant execute on function pg_catalog.pg_stat_file(text, boolean) to \(replica);
                    grant execute on function pg_catalog.pg_read_binary_file(text) to \(replica);
                    grant execute on function
                        pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) to \(replica);
                    """,
                timeout: .seconds(30)
            )
            let role = try await connection.quoteIdentifier(owner)
            // Only the verifier reaches the server and its log.
            let verifier = try await connection.encryptPassword(
                user: owner,
                password: String(password.prefix { !$0.isNewline })
            )
            let quoted = try await connection.quoteLiteral(verifier)
            _ = try await connection.query("create role \(role) with login password \(quoted)", timeout: .seconds(30))
            let name = try await connection.quoteIdentifier(database)
            if database != "postgres" {
                _ = try await connection.query("create database \(name) owner \(role)", timeout: .seconds(120))
            } else {
                _ = try await connection.query("grant all on database \(name) to \(role)", timeout: .seconds(30))
            }
        }
    }

    /// Runs a program that may take long; a termination of the instance ends it.
    func runToEnd(_ program: Processes.Program) async throws -> ProcessExit {
        guard !self.isTerminating else { throw InstanceAPIError(.terminating, "the instance has been told to stop") }
        let id = try await self.processes.start(program)
        self.longProcess = id
        let exit = await self.processes.exit(of: id)
        self.longProcess = nil
        await self.processes.forget(id)
        return exit
    }
}
