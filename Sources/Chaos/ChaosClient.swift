internal import CLinux
public import EventLoop
internal import Foundation
internal import Glibc
public import PostgresClient

/// A client that writes all the time, one row per commit, and notes what was acknowledged, when and by whom.
///
/// An attempt that fails, or whose answer does not come, counts as neither acknowledged nor refused. The next one has a
/// larger number.
public struct ChaosClient: Sendable {
    private let name: String
    private let configuration: PostgresConfiguration
    private let eventLoop: EventLoop
    private let output: FileHandle
    private let pause: Duration

    /// The table that all clients share.
    ///
    /// No unique key: a row that is there twice must be seen, not refused.
    static let createTable = "CREATE TABLE IF NOT EXISTS chaos (client text NOT NULL, sequence bigint NOT NULL)"

    /// What a standby answers (`read_only_sql_transaction`).
    private static let readOnly = "25006"

    /// Makes a client.
    /// - Parameters:
    ///   - name: tells its rows from those of others; without white space.
    ///   - configuration: where it writes.
    ///   - eventLoop: drives its connection.
    ///   - output: a file that acknowledged writes are appended to, by line.
    ///   - pause: between two writes.
    /// - Throws: when the file cannot be opened.
    public init(
        name: String,
        configuration: PostgresConfiguration,
        eventLoop: EventLoop,
        output: String,
        pause: Duration
    ) throws {
        self.name = name
        self.configuration = configuration
        self.eventLoop = eventLoop
        self.pause = pause
        if !FileManager.default.fileExists(atPath: output) {
            _ = FileManager.default.createFile(atPath: output, contents: nil)
        }
        guard let handle = FileHandle(forWritingAtPath: output) else {
            throw ChaosError("cannot write \(output)")
        }
        try handle.seekToEnd()
        self.output = handle
    }

    /// Writes until cancelled, beginning with `first`.
    public func run(first: Int64 = 1) async {
        var sequence = first
        var pause = Duration.milliseconds(20)
        while !Task.isCancelled {
            do {
                let connection = try await PostgresConnection.connect(self.configuration, eventLoop: self.eventLoop)
                defer { connection.close() }
                while !Task.isCancelled {
                    defer { sequence += 1 }
                    do {
                        let record = try await self.write(sequence, connection)
                        try self.output.write(contentsOf: Data((record.line + "\n").utf8))
                        pause = .milliseconds(20)
                    } catch let error as PostgresError where error.sqlState == Self.readOnly {
                        // A standby; what counts is to notice soon when it is none any more.
                        try await Task.sleep(for: .milliseconds(200))
                    }
                    try await Task.sleep(for: self.pause)
                }
            } catch {
                try? await Task.sleep(for: pause)
                pause = min(pause * 2, .milliseconds(200))
            }
        }
    }

    private func write(_ sequence: Int64, _ connection: PostgresConnection) async throws -> WriteRecord {
        let sent = Self.now
        let rows = try await connection.query(
            """
            INSERT INTO chaos VALUES ($1, $2) RETURNING host(inet_server_addr()) AS server, \
            pg_current_wal_insert_lsn() AS position, pg_walfile_name(pg_current_wal_insert_lsn()) AS segment
            """,
            [self.name, String(sequence)],
            timeout: .seconds(10)
        )
        let acknowledged = Self.now
        guard let row = rows.first, let server = row["server"], let segment = row["segment"],
            let timeline = Int64(segment.prefix(8), radix: 16), let position = Self.position(row["position"])
        else { throw ChaosError("the server answered something else") }
        return WriteRecord(
            client: self.name,
            sequence: sequence,
            sent: sent,
            acknowledged: acknowledged,
            server: server,
            timeline: timeline,
            position: position
        )
    }

    /// Milliseconds of a clock that all processes of this machine share and that never jumps.
    static var now: Int64 { Int64(drover_boot_time_nanoseconds() / 1_000_000) }

    private static func position(_ text: String?) -> UInt64? {
        guard let parts = text?.split(separator: "/"), parts.count == 2, let high = UInt64(parts[0], radix: 16),
            let low = UInt64(parts[1], radix: 16)
        else { return nil }
        return high << 32 | low
    }
}

/// Something around the test itself went wrong; the text says what.
public struct ChaosError: Error, CustomStringConvertible, Sendable {
    /// What is wrong.
    public let description: String

    /// Makes an error.
    public init(_ description: String) {
        self.description = description
    }
}
