internal import NIOCore

/// The messages of PostgreSQL's protocol, version 3, that a server needs which answers two questions.
enum PostgresMessages {
    static let tlsRequest: Int32 = 80_877_103
    static let encryptionRequest: Int32 = 80_877_104
    static let cancelRequest: Int32 = 80_877_102

    /// Takes a message off the front of what has arrived; nil when it is not whole yet.
    ///
    /// The first one of a connection has no type.
    static func next(_ buffer: inout ByteBuffer, isFirst: Bool) -> (type: UInt8, body: ByteBuffer)? {
        let typeLength = isFirst ? 0 : 1
        let start = buffer.readerIndex
        guard let length = buffer.getInteger(at: start + typeLength, as: Int32.self), (4...(1 << 20)).contains(length),
            buffer.readableBytes >= typeLength + Int(length)
        else { return nil }
        let type: UInt8 = isFirst ? 0 : buffer.getInteger(at: start) ?? 0
        buffer.moveReaderIndex(forwardBy: typeLength + 4)
        guard let body = buffer.readSlice(length: Int(length) - 4) else { return nil }
        return (type, body)
    }

    static func write(_ type: Character, to buffer: inout ByteBuffer, _ body: (inout ByteBuffer) -> Void = { _ in }) {
        buffer.writeInteger(type.asciiValue ?? 0)
        let start = buffer.writerIndex
        buffer.writeInteger(Int32(0))
        body(&buffer)
        buffer.setInteger(Int32(buffer.writerIndex - start), at: start)
    }

    /// The client is let in: it may ask.
    static func welcome(_ buffer: inout ByteBuffer) {
        self.write("R", to: &buffer) { $0.writeInteger(Int32(0)) }
        let settings = [
            ("server_version", "15.0"), ("server_encoding", "UTF8"), ("client_encoding", "UTF8"),
            ("DateStyle", "ISO, MDY"), ("integer_datetimes", "on"), ("standard_conforming_strings", "on"),
            ("TimeZone", "Etc/UTC"),
        ]
        for (name, value) in settings {
            self.write("S", to: &buffer) { body in
                body.writeNullTerminatedString(name)
                body.writeNullTerminatedString(value)
            }
        }
        self.write("K", to: &buffer) { body in
            body.writeInteger(Int32(42))
            body.writeInteger(Int32(42))
        }
        self.ready(&buffer)
    }

    static func ready(_ buffer: inout ByteBuffer) {
        self.write("Z", to: &buffer) { $0.writeInteger(UInt8(ascii: "I")) }
    }

    /// What a row consists of: text everywhere.
    static func description(_ columns: [String], _ buffer: inout ByteBuffer) {
        self.write("T", to: &buffer) { body in
            body.writeInteger(Int16(columns.count))
            for column in columns {
                body.writeNullTerminatedString(column)
                body.writeInteger(Int32(0))
                body.writeInteger(Int16(0))
                body.writeInteger(Int32(25))
                body.writeInteger(Int16(-1))
                body.writeInteger(Int32(-1))
                body.writeInteger(Int16(0))
            }
        }
    }

    static func row(_ values: [String], _ buffer: inout ByteBuffer) {
        self.write("D", to: &buffer) { body in
            body.writeInteger(Int16(values.count))
            for value in values {
                body.writeInteger(Int32(value.utf8.count))
                body.writeString(value)
            }
        }
        self.write("C", to: &buffer) { $0.writeNullTerminatedString("SELECT 1") }
    }

    static func refusal(_ buffer: inout ByteBuffer) {
        self.write("E", to: &buffer) { body in
            for (field, text) in [
                ("S", "ERROR"), ("V", "ERROR"), ("C", "0A000"), ("M", "a fleet answers no such query"),
            ] {
                body.writeString(field)
                body.writeNullTerminatedString(text)
            }
            body.writeInteger(UInt8(0))
        }
    }
}
