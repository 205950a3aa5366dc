import NIOCore
import Testing

@testable import Fleet

@Suite(.timeLimit(.minutes(1)))
struct PostgresMessagesTests {
    @Test
    func `messages come out whole, however they arrive`() throws {
        var bytes = ByteBuffer()
        bytes.writeInteger(Int32(8))
        bytes.writeInteger(PostgresMessages.tlsRequest)
        PostgresMessages.write("Q", to: &bytes) { $0.writeNullTerminatedString("SELECT 1") }
        var received = ByteBuffer()
        var found: [(UInt8, Int)] = []
        while let byte = bytes.readInteger(as: UInt8.self) {
            received.writeInteger(byte)
            while let message = PostgresMessages.next(&received, isFirst: found.isEmpty) {
                found.append((message.type, message.body.readableBytes))
            }
        }
        #expect(found.map(\.0) == [0, UInt8(ascii: "Q")])
        #expect(found.map(\.1) == [4, 9])
    }

    @Test(arguments: [Int32.min, -1, 0, 3, 1 << 21, Int32.max])
    func `a length that cannot be is no message`(_ length: Int32) {
        var bytes = ByteBuffer()
        bytes.writeInteger(UInt8(ascii: "Q"))
        bytes.writeInteger(length)
        bytes.writeRepeatingByte(0, count: 64)
        #expect(PostgresMessages.next(&bytes, isFirst: false) == nil)
    }
}
