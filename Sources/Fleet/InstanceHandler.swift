internal import Foundation
internal import InstanceAPI
internal import NIOCore
internal import NIOHTTP1
internal import PostgresClusterAPI

/// Speaks an instance's HTTPS API on one connection.
final class InstanceHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let world: FleetWorld
    private let place: FleetPlace
    private var head: HTTPRequestHead?
    private var body = ByteBuffer()
    private var stream: UInt64?
    private var timer: RepeatedTask?
    private var turns = 0

    init(world: FleetWorld, place: FleetPlace) {
        self.world = world
        self.place = place
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch self.unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            self.body.clear()
        case .body(var part):
            guard self.body.readableBytes + part.readableBytes <= InstanceAPIPath.maximumBodySize else {
                context.close(promise: nil)
                return
            }
            self.body.writeBuffer(&part)
        case .end:
            guard let head = self.head else { return }
            self.head = nil
            if head.uri.hasPrefix(InstanceAPIPath.statusStream) {
                self.beginStream(context, isBrief: head.uri.hasSuffix("?\(InstanceAPIPath.briefPositions)"))
            } else {
                self.answer(head, self.body, context.channel)
            }
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.timer?.cancel()
        if let stream = self.stream { self.world.removeStream(stream, of: self.place) }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    // MARK: Streams

    private func beginStream(_ context: ChannelHandlerContext, isBrief: Bool) {
        guard let line = self.world.line(of: self.place) else {
            context.close(promise: nil)
            return
        }
        let channel = context.channel
        let headers: HTTPHeaders = ["Content-Type": "application/x-ndjson", "Transfer-Encoding": "chunked"]
        let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: headers)
        channel.write(HTTPServerResponsePart.head(head), promise: nil)
        channel.writeAndFlush(HTTPServerResponsePart.body(.byteBuffer(line)), promise: nil)
        self.stream = self.world.addStream(channel, to: self.place)
        let (world, place) = (self.world, self.place)
        // As often as an instance speaks: a sign of life, and every so many of them a status.
        let interval = TimeAmount.nanoseconds(Int64(InstanceAPIPath.streamKeepalive.components.seconds) * 1_000_000_000)
        let whole = isBrief ? InstanceAPIPath.briefStreamInterval : InstanceAPIPath.streamInterval
        let statusEvery = max(
            1,
            Int(whole.components.seconds / InstanceAPIPath.streamKeepalive.components.seconds)
        )
        let turns = Turns()
        self.timer = context.eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
            turns.count += 1
            let line =
                turns.count.isMultiple(of: statusEvery)
                ? world.line(of: place) : world.signOfLife(of: place, isBrief: isBrief)
            guard let line else { return }
            channel.writeAndFlush(HTTPServerResponsePart.body(.byteBuffer(line)), promise: nil)
        }
    }

    /// Touched by the timer alone, on the loop's thread.
    private final class Turns: @unchecked Sendable {
        var count = 0
    }

    // MARK: Requests

    private func answer(_ head: HTTPRequestHead, _ body: ByteBuffer, _ channel: any Channel) {
        let answers = InstanceAnswers(world: self.world, place: self.place)
        // Not structured: a connection's handler cannot wait, and a promotion asks the API server.
        Task { await answers.answer(head, body, channel) }
    }
}

/// Answers what the operator asks of one instance.
struct InstanceAnswers: Sendable {
    let world: FleetWorld
    let place: FleetPlace

    @concurrent
    func answer(_ head: HTTPRequestHead, _ body: ByteBuffer, _ channel: any Channel) async {
        var status = HTTPResponseStatus.ok
        var bytes = Data()
        do {
            bytes = try await self.perform(head, body)
        } catch {
            let refusal = error as? InstanceAPIError ?? InstanceAPIError(.internal, "\(error)")
            bytes = (try? JSONEncoder().encode(refusal)) ?? Data()
            status = HTTPResponseStatus(statusCode: refusal.reason.httpStatus)
        }
        let headers: HTTPHeaders = ["Content-Type": "application/json", "Content-Length": String(bytes.count)]
        let answer = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
        channel.write(HTTPServerResponsePart.head(answer), promise: nil)
        channel.write(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: bytes))), promise: nil)
        channel.writeAndFlush(HTTPServerResponsePart.end(nil), promise: nil)
    }

    private func perform(_ head: HTTPRequestHead, _ body: ByteBuffer) async throws -> Data {
        switch (head.method, head.uri) {
        case (.GET, InstanceAPIPath.status):
            guard let status = self.world.report(of: self.place) else {
                throw InstanceAPIError(.notRunning, "there is no such instance")
            }
            return try Self.encode(status)
        case (.POST, InstanceAPIPath.checkpoint):
            let request = try Self.read(CheckpointRequest.self, body)
            return try Self.encode(
                CheckpointResponse(
                    count: request.count,
                    lastMilliseconds: 1,
                    currentLSN: self.world.position(of: self.place) ?? LSN(rawValue: 0)
                )
            )
        case (.POST, InstanceAPIPath.prepare):
            let request = try Self.read(PrepareRequest.self, body)
            return try Self.encode(
                PrepareResponse(
                    term: request.term,
                    slots: request.slots,
                    replayedLSN: self.world.position(of: self.place)
                )
            )
        case (.POST, InstanceAPIPath.warm):
            return try Self.encode(WarmResponse(bytes: 0, milliseconds: 0, isComplete: true))
        case (.POST, InstanceAPIPath.demote):
            return try Self.encode(await self.world.demote(self.place, Self.read(DemoteRequest.self, body)))
        case (.POST, InstanceAPIPath.promote):
            return try Self.encode(await self.world.promote(self.place, Self.read(PromoteRequest.self, body)))
        case (.POST, InstanceAPIPath.withhold):
            return try Self.encode(self.world.withhold(self.place, Self.read(WithholdRequest.self, body)))
        case (.POST, InstanceAPIPath.standstill):
            return try Self.encode(self.world.standstill(self.place, Self.read(StandstillRequest.self, body)))
        default:
            throw InstanceAPIError(.notFound, "there is nothing at this path")
        }
    }

    private static func read<Body: Decodable>(_ type: Body.Type, _ body: ByteBuffer) throws -> Body {
        do {
            return try JSONDecoder().decode(type, from: Data(body.readableBytesView))
        } catch {
            throw InstanceAPIError(.badRequest, "the body is not what this path wants")
        }
    }

    private static func encode(_ value: some Encodable) throws -> Data { try JSONEncoder().encode(value) }
}
