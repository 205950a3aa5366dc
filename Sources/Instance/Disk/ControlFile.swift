package import PostgresClusterAPI

/// What `global/pg_control` says: the one place where a stopping or promoted PostgreSQL tells its state without being
/// asked over a connection.
///
/// The layout is that of PostgreSQL 13 to 17 on 64-bit little-endian machines; the checksum guards against any other.
package struct ControlFile: Sendable, Hashable {
    /// PostgreSQL's `DBState`.
    package enum State: UInt32, Sendable {
        case startingUp = 0
        case shutDown = 1
        case shutDownInRecovery = 2
        case shuttingDown = 3
        case inCrashRecovery = 4
        case inArchiveRecovery = 5
        case inProduction = 6
    }

    package enum ReadError: Error, Hashable {
        case truncated
        case unknownVersion(UInt32)
        case wrongChecksum
        case unknownState(UInt32)
    }

    package var systemIdentifier: UInt64
    package var state: State
    /// Where the newest checkpoint record starts (not where it ends).
    package var checkpoint: LSN
    package var redo: LSN
    /// The timeline of the newest checkpoint; a promotion shows here only after its first checkpoint.
    package var timeline: UInt32
    package var minimumRecoveryPoint: LSN
    package var minimumRecoveryTimeline: UInt32
    package var walBlockSize: UInt32
    package var walSegmentSize: UInt32
    package var dataChecksums: Bool
    /// The figures that a standby may not go below.
    package var limits: Limits

    package struct Limits: Sendable, Hashable {
        package var maxConnections: Int
        package var maxWorkerProcesses: Int
        package var maxWALSenders: Int
        package var maxPreparedTransactions: Int
        package var maxLocksPerTransaction: Int
    }

    /// Reads the bytes of the file.
    /// - Throws: ``ReadError``. A wrong checksum may come from reading while PostgreSQL writes: read again.
    package init(bytes: [UInt8]) throws(ReadError) {
        let reader = ByteReader(bytes: bytes)
        func number(_ offset: Int) throws(ReadError) -> UInt32 {
            guard let value = reader.integer(UInt32.self, at: offset) else { throw .truncated }
            return value
        }
        func long(_ offset: Int) throws(ReadError) -> UInt64 {
            guard let value = reader.integer(UInt64.self, at: offset) else { throw .truncated }
            return value
        }
        let version = try number(8)
        guard version == 1300 || version == 1700 else { throw .unknownVersion(version) }
        guard try number(288) == CRC32C.checksum(bytes.prefix(288)) else { throw .wrongChecksum }
        let rawState = try number(16)
        guard let state = State(rawValue: rawState) else { throw .unknownState(rawState) }
        self.systemIdentifier = try long(0)
        self.state = state
        self.checkpoint = LSN(rawValue: try long(32))
        self.redo = LSN(rawValue: try long(40))
        self.timeline = try number(48)
        self.minimumRecoveryPoint = LSN(rawValue: try long(136))
        self.minimumRecoveryTimeline = try number(144)
        self.limits = Limits(
            maxConnections: Int(try number(180)),
            maxWorkerProcesses: Int(try number(184)),
            maxWALSenders: Int(try number(188)),
            maxPreparedTransactions: Int(try number(192)),
            maxLocksPerTransaction: Int(try number(196))
        )
        self.walBlockSize = try number(224)
        self.walSegmentSize = try number(228)
        self.dataChecksums = try number(252) != 0
    }

    /// Whether PostgreSQL has written its last record.
    package var isShutDown: Bool { self.state == .shutDown || self.state == .shutDownInRecovery }
}
