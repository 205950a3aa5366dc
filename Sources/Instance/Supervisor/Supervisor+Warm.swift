internal import EventLoop
internal import Fence
internal import Foundation
package import InstanceAPI
internal import Logging
internal import PostgresClient
internal import PostgresClusterAPI

/// Loading what the primary's clients use before one becomes primary.
extension Supervisor {
    /// For so long blocks are read at most.
    private static let warmingTime: Duration = .seconds(20)

    /// Loads what is hot on the primary into the page cache, as far as that can be done in the time there is.
    package func warm(_ request: WarmRequest) async throws -> WarmResponse {
        try self.refuseUnlessCandidate(term: Int(clamping: request.term))
        guard self.cluster?.status?.primary == request.primary else {
            throw InstanceAPIError(.badRequest, "status names another primary than \(request.primary)")
        }
        let began = BootTime.now
        let hot: HotBlocks
        do {
            hot = try await self.peers.hotBlocks(
                ofInstance: request.primary,
                address: self.address(of: request.primary),
                timeout: .seconds(10)
            )
        } catch {
            // Of a version that does not know, or without the extension: a cold cache is no reason not to move.
            throw InstanceAPIError(.internal, "\(request.primary) does not say what is hot: \(error)")
        }
        let thread = try EventLoop(name: "warmer")
        defer { thread.shutdown() }
        let warmer = CacheWarmer(data: self.volume.layout.data, thread: thread)
        let reading = Task { await warmer.read(hot, until: began + Self.warmingTime) }
        self.warming?.cancel()
        self.warming = reading
        let result = await withTaskCancellationHandler {
            await reading.value
        } onCancel: {
            reading.cancel()
        }
        let took = began.duration(to: .now)
        self.logger.info(
            "Loaded what is hot on the primary",
            metadata: [
                "primary": "\(request.primary)", "bytes": "\(result.bytes)", "complete": "\(result.isComplete)",
                "milliseconds": "\(Int64(took / .milliseconds(1)))",
            ]
        )
        return WarmResponse(
            bytes: result.bytes,
            milliseconds: Int64(took / .milliseconds(1)),
            isComplete: result.isComplete
        )
    }

    /// From here on the disk belongs to the change of primary.
    func stopWarming() {
        self.warming?.cancel()
        self.warming = nil
    }

    /// What readers use here, for a peer that may be primary soon.
    ///
    /// PostgreSQL tells it through an extension of its own distribution, in a schema of ours in the database `postgres`.
    package func hotBlocks() async throws -> HotBlocks {
        guard let postmaster = self.postmaster, postmaster.isPrimary, postmaster.accepts, !postmaster.isStopping else {
            throw InstanceAPIError(.notRunning, "PostgreSQL does not run as a primary")
        }
        do {
            return try await self.withLocal { connection in
                let schema = try await self.schemaOfBuffers(connection)
                let rows = try await connection.query(Self.hotBlocksQuestion(schema: schema), timeout: .seconds(8))
                return HotBlocks(
                    chunks: rows.compactMap { row in
                        guard let tablespace = row.value("tablespace", as: UInt32.self),
                            let database = row.value("database", as: UInt32.self),
                            let file = row.value("file", as: UInt32.self),
                            let fork = row.value("fork", as: UInt8.self),
                            let number = row.value("chunk", as: UInt32.self),
                            let mask = row.value("mask", as: UInt32.self)
                        else { return nil }
                        return .init(
                            tablespace: tablespace,
                            database: database,
                            file: file,
                            fork: fork,
                            number: number,
                            mask: mask
                        )
                    }
                )
            }
        } catch let error as PostgresError {
            throw InstanceAPIError(.postgresFailed, "\(error)")
        }
    }

    /// The schema of `pg_buffercache`, quoted; made where it is missing.
    private func schemaOfBuffers(_ connection: PostgresConnection) async throws -> String {
        let question = "select extnamespace::regnamespace as schema from pg_extension where extname = 'pg_buffercache'"
        if let schema = try await connection.query(question, timeout: .seconds(5)).first?["schema"] { return schema }
        _ = try await connection.query("create schema if not exists drover", timeout: .seconds(5))
        _ = try await connection.query(
            "create extension if not exists pg_buffercache with schema drover",
            timeout: .seconds(5)
        )
        return "drover"
    }

    private static func hotBlocksQuestion(schema: String) -> String {
        """
        select reltablespace as tablespace, reldatabase as database, relfilenode as file, relforknumber as fork,
               relblocknumber / \(HotBlocks.Chunk.blocks) as chunk,
               bit_or(1::bigint << (relblocknumber % \(HotBlocks.Chunk.blocks))::integer) as mask
        from \(schema).pg_buffercache
        where usagecount >= 2 and relfilenode is not null and relforknumber <= 2
        group by 1, 2, 3, 4, 5
        order by sum(usagecount) desc, 1, 2, 3, 4, 5 limit \(HotBlocks.maximumChunks)
        """
    }
}
