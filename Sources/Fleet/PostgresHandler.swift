internal import NIOCore
internal import NIOSSL
internal import PostgresClusterAPI

/// PostgreSQL on one connection, as far as the operator asks it: TLS, both sides with certificates, then one question at
/// a time.
final class PostgresHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let world: FleetWorld
    private let address: String
    private var received = ByteBuffer()
    private var isWelcome = false
    private var statement = ""

    init(world: FleetWorld, address: String) {
        self.world = world
        self.address = address
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var arrived = self.unwrapInboundIn(data)
        self.received.writeBuffer(&arrived)
        var answer = context.channel.allocator.buffer(capacity: 512)
        while let message = PostgresMessages.next(&self.received, isFirst: !self.isWelcome) {
            guard self.take(message.type, message.body, &answer, context) else {
                context.close(promise: nil)
                return
            }
        }
        self.received.discardReadBytes()
        if answer.readableBytes > 0 { context.writeAndFlush(self.wrapOutboundOut(answer), promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    /// Answers whether the connection goes on.
    private func take(
        _ type: UInt8,
        _ body: ByteBuffer,
        _ answer: inout ByteBuffer,
        _ context: ChannelHandlerContext
    ) -> Bool {
        guard self.isWelcome else { return self.begin(body, &answer, context) }
        var body = body
        switch type {
        case UInt8(ascii: "P"):
            _ = body.readNullTerminatedString()
            self.statement = body.readNullTerminatedString() ?? ""
            PostgresMessages.write("1", to: &answer)
        case UInt8(ascii: "B"): PostgresMessages.write("2", to: &answer)
        case UInt8(ascii: "D"):
            if let found = self.result { PostgresMessages.description(found.map(\.name), &answer) }
        case UInt8(ascii: "E"):
            if let found = self.result {
                PostgresMessages.row(found.map(\.value), &answer)
            } else {
                PostgresMessages.refusal(&answer)
            }
        case UInt8(ascii: "S"): PostgresMessages.ready(&answer)
        case UInt8(ascii: "Q"):
            self.statement = body.readNullTerminatedString() ?? ""
            if let found = self.result {
                PostgresMessages.description(found.map(\.name), &answer)
                PostgresMessages.row(found.map(\.value), &answer)
            } else {
                PostgresMessages.refusal(&answer)
            }
            PostgresMessages.ready(&answer)
        case UInt8(ascii: "H"): break
        default: return false
        }
        return true
    }

    private func begin(_ body: ByteBuffer, _ answer: inout ByteBuffer, _ context: ChannelHandlerContext) -> Bool {
        guard let code = body.getInteger(at: body.readerIndex, as: Int32.self) else { return false }
        switch code {
        case PostgresMessages.tlsRequest:
            guard let tls = try? self.world.context(at: self.address) else { return false }
            // In the clear, before what encrypts everything is in the way.
            context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: "S")), promise: nil)
            let handler = NIOSSLServerHandler(context: tls)
            do {
                try context.pipeline.syncOperations.addHandler(handler, position: .first)
            } catch {
                return false
            }
        case PostgresMessages.encryptionRequest:
            context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: "N")), promise: nil)
        case PostgresMessages.cancelRequest: return false
        default:
            self.isWelcome = true
            PostgresMessages.welcome(&answer)
        }
        return true
    }

    /// What PostgreSQL would say to the operator's two questions.
    private var result: [(name: String, value: String)]? {
        guard let place = self.world.place(at: self.address) else { return nil }
        if self.statement.contains("pg_last_wal_replay_lsn") {
            let position = self.world.position(of: place) ?? LSN(rawValue: 0)
            return [("recovering", self.world.isReplica(place) ? "t" : "f"), ("replayed", position.description)]
        }
        if self.statement.contains("pg_stat_archiver") {
            return [
                ("archiving", "f"), ("failing", "f"), ("backlog", "0"), ("prepared", "0"), ("longest", "0"),
                ("senders", ""),
            ]
        }
        return nil
    }
}
