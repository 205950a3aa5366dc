/// Asks a candidate to load what is hot on the primary into its operating system's page cache.
///
/// Best effort, bounded in time and I/O; may be repeated. PostgreSQL's own buffers of a standby hold what it replays, not
/// what the primary's readers use, and after a change of primary every one of their reads would go to the disk first.
public struct WarmRequest: Codable, Hashable, Sendable {
    /// The term of the primary now.
    public var term: Int64
    /// The primary's name.
    public var primary: String

    /// Makes a request.
    public init(term: Int64, primary: String) {
        self.term = term
        self.primary = primary
    }
}

/// What was loaded.
public struct WarmResponse: Codable, Hashable, Sendable {
    /// Bytes that were read, whether they were in the cache already or not.
    public var bytes: Int64
    /// How long it took.
    public var milliseconds: Int64
    /// Whether everything that the primary named was read in the time there was.
    public var isComplete: Bool

    /// Makes an answer.
    public init(bytes: Int64, milliseconds: Int64, isComplete: Bool) {
        self.bytes = bytes
        self.milliseconds = milliseconds
        self.isComplete = isComplete
    }
}

/// The blocks of relations that a primary has in its buffers and that were used more than once lately, the hottest first.
///
/// A physical standby has the same blocks in the same files.
public struct HotBlocks: Codable, Hashable, Sendable {
    /// Up to ``blocks`` neighbouring blocks of one file.
    public struct Chunk: Hashable, Sendable {
        /// So many blocks belong to one chunk, one for each bit of ``mask``.
        public static let blocks = 32

        /// The tablespace's OID.
        public var tablespace: UInt32
        /// The database's OID; 0 for what all share.
        public var database: UInt32
        /// The number of the relation's file.
        public var file: UInt32
        /// 0 for the relation itself, 1 for its free space map, 2 for its visibility map.
        public var fork: UInt8
        /// The number of the chunk in the file.
        public var number: UInt32
        /// Bit `n` stands for block `32 * number + n`.
        public var mask: UInt32

        /// Makes a chunk.
        public init(tablespace: UInt32, database: UInt32, file: UInt32, fork: UInt8, number: UInt32, mask: UInt32) {
            self.tablespace = tablespace
            self.database = database
            self.file = file
            self.fork = fork
            self.number = number
            self.mask = mask
        }
    }

    /// No more chunks are named; 4 GiB of blocks at most.
    public static let maximumChunks = 16_384
    /// No answer is longer; bytes.
    public static let maximumBodySize = 2 << 20

    /// The hottest first.
    public var chunks: [Chunk]

    /// Makes the list.
    public init(chunks: [Chunk]) { self.chunks = chunks }
}

/// In JSON a chunk is a list of six numbers: there are many.
extension HotBlocks.Chunk: Codable {
    /// Reads the six numbers.
    /// - Throws: `DecodingError` when there are fewer, or one is out of its range.
    public init(from decoder: any Decoder) throws {
        var values = try decoder.unkeyedContainer()
        self.tablespace = try values.decode(UInt32.self)
        self.database = try values.decode(UInt32.self)
        self.file = try values.decode(UInt32.self)
        self.fork = try values.decode(UInt8.self)
        self.number = try values.decode(UInt32.self)
        self.mask = try values.decode(UInt32.self)
    }

    /// Writes the six numbers.
    public func encode(to encoder: any Encoder) throws {
        var values = encoder.unkeyedContainer()
        try values.encode(self.tablespace)
        try values.encode(self.database)
        try values.encode(self.file)
        try values.encode(self.fork)
        try values.encode(self.number)
        try values.encode(self.mask)
    }
}

extension HotBlocks.Chunk {
    /// A chunk's blocks as ranges of bytes of the relation, those with short gaps between them read in one.
    /// - Parameter blockSize: PostgreSQL's, in bytes.
    /// - Returns: offsets in the relation, in bytes, ascending.
    public func ranges(blockSize: Int = 8192) -> [Range<Int64>] {
        // A gap of up to four blocks costs less than another read.
        let largestGap = 4
        var ranges: [Range<Int>] = []
        for block in 0..<Self.blocks where self.mask & (1 << UInt32(block)) != 0 {
            if let last = ranges.last, block - last.upperBound <= largestGap {
                ranges[ranges.count - 1] = last.lowerBound..<block + 1
            } else {
                ranges.append(block..<block + 1)
            }
        }
        let first = Int64(self.number) * Int64(Self.blocks)
        let size = Int64(blockSize)
        return ranges.map { (first + Int64($0.lowerBound)) * size..<(first + Int64($0.upperBound)) * size }
    }
}
