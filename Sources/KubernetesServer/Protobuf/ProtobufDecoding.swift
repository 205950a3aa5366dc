internal import Foundation
internal import JSON

/// Reads the protobuf bodies that kubectl sends for a few kinds, whatever it is told to accept.
enum ProtobufDecoding {
    /// What is wrong with a body.
    struct Failure: Error {
        let message: String
    }

    private static let magic: [UInt8] = [0x6B, 0x38, 0x73, 0x00]

    /// The object in a body of type `application/vnd.kubernetes.protobuf`: magic bytes and a `runtime.Unknown`.
    static func object(_ bytes: [UInt8]) throws(Failure) -> JSONValue {
        guard bytes.starts(with: self.magic) else { throw Failure(message: "no Kubernetes protobuf") }
        var apiVersion = ""
        var kind = ""
        var raw: ArraySlice<UInt8> = []
        var reader = Reader(bytes: bytes.dropFirst(self.magic.count))
        while let (number, value) = try reader.next() {
            switch (number, value) {
            case (1, .bytes(let typeMeta)):
                var inner = Reader(bytes: typeMeta)
                while let (number, value) = try inner.next() {
                    guard case .bytes(let text) = value else { continue }
                    if number == 1 { apiVersion = try self.text(text) }
                    if number == 2 { kind = try self.text(text) }
                }
            case (2, .bytes(let bytes)): raw = bytes
            default: continue
            }
        }
        guard let schema = ProtobufSchema.kinds[kind] else {
            throw Failure(message: "\(kind) is understood as JSON only")
        }
        var object = try self.message(raw, schema)
        object["apiVersion"] = .string(apiVersion)
        object["kind"] = .string(kind)
        return object
    }

    // MARK: Messages

    private enum Value {
        case number(UInt64)
        case bytes(ArraySlice<UInt8>)
    }

    private static func message(_ bytes: ArraySlice<UInt8>, _ schema: ProtobufSchema) throws(Failure) -> JSONValue {
        var members: [String: JSONValue] = [:]
        var reader = Reader(bytes: bytes)
        while let (number, value) = try reader.next() {
            guard let (name, field) = schema.fields[number] else { continue }
            switch field {
            case .list(let element):
                let elements = members[name]?.arrayValue ?? []
                if let decoded = try self.decode(value, element) { members[name] = .array(elements + [decoded]) }
            case .map(let element):
                guard case .bytes(let entry) = value else { throw Failure(message: "malformed map") }
                var map = members[name]?.objectValue ?? [:]
                var key = ""
                var decoded: JSONValue = ""
                var inner = Reader(bytes: entry)
                while let (number, value) = try inner.next() {
                    if number == 1, case .bytes(let bytes) = value { key = try self.text(bytes) }
                    if number == 2, let given = try self.decode(value, element) { decoded = given }
                }
                map[key] = decoded
                members[name] = .object(map)
            case .string, .bytes, .integer, .bool, .message, .time, .intOrString:
                members[name] = try self.decode(value, field)
            }
        }
        // Go writes empty strings for what is not set.
        return .object(members.filter { $0.value != "" })
    }

    private static func decode(_ value: Value, _ field: ProtobufSchema.Field) throws(Failure) -> JSONValue? {
        switch (field, value) {
        case (.string, .bytes(let bytes)): return .string(try self.text(bytes))
        case (.bytes, .bytes(let bytes)): return .string(Data(bytes).base64EncodedString())
        case (.integer, .number(let number)): return .int(Int64(bitPattern: number))
        case (.bool, .number(let number)): return .bool(number != 0)
        case (.message(let schema), .bytes(let bytes)): return try self.message(bytes, schema)
        case (.time, .bytes(let bytes)):
            var reader = Reader(bytes: bytes)
            while let (number, value) = try reader.next() {
                if number == 1, case .number(let seconds) = value {
                    let date = Date(timeIntervalSince1970: Double(Int64(bitPattern: seconds)))
                    return .string(Timestamp.seconds(date))
                }
            }
            return nil
        case (.intOrString, .bytes(let bytes)):
            var reader = Reader(bytes: bytes)
            var isString = false
            var number: Int64 = 0
            var string = ""
            while let (field, value) = try reader.next() {
                switch (field, value) {
                case (1, .number(let type)): isString = type == 1
                case (2, .number(let value)): number = Int64(bitPattern: value)
                case (3, .bytes(let bytes)): string = try self.text(bytes)
                default: continue
                }
            }
            return isString ? .string(string) : .int(number)
        default: throw Failure(message: "a field has another type than expected")
        }
    }

    private static func text(_ bytes: ArraySlice<UInt8>) throws(Failure) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw Failure(message: "no UTF-8") }
        return text
    }

    // MARK: Wire format

    private struct Reader {
        var bytes: ArraySlice<UInt8>

        mutating func next() throws(Failure) -> (number: UInt64, value: Value)? {
            guard !self.bytes.isEmpty else { return nil }
            let tag = try self.varint()
            switch tag & 7 {
            case 0: return (number: tag >> 3, value: .number(try self.varint()))
            case 1: return (number: tag >> 3, value: .bytes(try self.take(8)))
            case 2:
                let count = try self.varint()
                return (number: tag >> 3, value: .bytes(try self.take(count)))
            case 5: return (number: tag >> 3, value: .bytes(try self.take(4)))
            default: throw Failure(message: "unknown wire type")
            }
        }

        private mutating func varint() throws(Failure) -> UInt64 {
            var value: UInt64 = 0
            for shift in stride(from: UInt64(0), to: 64, by: 7) {
                guard let byte = self.bytes.popFirst() else { throw Failure(message: "cut short") }
                value |= UInt64(byte & 0x7F) << shift
                if byte < 0x80 { return value }
            }
            throw Failure(message: "number without end")
        }

        private mutating func take(_ count: UInt64) throws(Failure) -> ArraySlice<UInt8> {
            guard count <= UInt64(self.bytes.count) else { throw Failure(message: "cut short") }
            let taken = self.bytes.prefix(Int(count))
            self.bytes = self.bytes.dropFirst(Int(count))
            return taken
        }
    }
}
