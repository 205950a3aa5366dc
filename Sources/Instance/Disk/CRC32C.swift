/// The Castagnoli checksum, with which PostgreSQL guards `pg_control` and WAL records.
enum CRC32C {
    private static let table: [UInt32] = (0..<256)
        .map { index in
            (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? (value >> 1) ^ 0x82F6_3B78 : value >> 1 }
        }

    static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
        ~bytes.reduce(~0) { value, byte in (value >> 8) ^ self.table[Int(UInt8(truncatingIfNeeded: value) ^ byte)] }
    }
}

/// Reads little-endian numbers out of a file's bytes; every read is checked.
struct ByteReader {
    let bytes: [UInt8]

    func integer<Value: FixedWidthInteger>(_ type: Value.Type, at offset: Int) -> Value? {
        let size = Value.bitWidth / 8
        guard offset >= 0, size <= self.bytes.count, offset <= self.bytes.count - size else { return nil }
        var value: Value = 0
        for index in (0..<size).reversed() {
            value = value << 8 | Value(truncatingIfNeeded: self.bytes[offset + index])
        }
        return value
    }
}
