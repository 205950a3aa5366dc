internal import HTTPTypes
internal import HummingbirdCore
internal import Logging
internal import NIOCore

/// Turns HTTP requests into ``APIRequest``s and writes the replies.
struct HTTPEdge: Sendable {
    /// As the real server: no body may be larger.
    static let maximumBodyBytes = 3 * 1_024 * 1_024

    let api: APIServer
    let logger: Logger

    @concurrent
    func respond(
        _ request: Request,
        _ writer: consuming ResponseWriter,
        _ channel: any Channel
    ) async throws {
        var headers: [String: String] = [:]
        for field in request.headers {
            let name = field.name.canonicalName
            headers[name] = headers[name].map { "\($0),\(field.value)" } ?? field.value
        }
        var parsed = APIRequest(
            method: request.method.rawValue,
            pathAndQuery: request.head.path ?? "/",
            headers: headers
        )
        let reply: APIReply
        if ["POST", "PUT", "PATCH", "DELETE"].contains(parsed.method) {
            do {
                let body = try await request.body.collect(upTo: Self.maximumBodyBytes)
                parsed.body = Array(body.readableBytesView)
                reply = await self.api.handle(parsed)
            } catch is NIOTooManyBytesError {
                reply = .failure(
                    StatusError(
                        code: 413,
                        reason: "RequestEntityTooLarge",
                        message: "Request entity too large: limit is \(Self.maximumBodyBytes)"
                    )
                )
            }
        } else {
            reply = await self.api.handle(parsed)
        }
        try await self.write(reply, to: writer, channel, isHead: parsed.method == "HEAD")
    }

    @concurrent
    private func write(
        _ reply: APIReply,
        to writer: consuming ResponseWriter,
        _ channel: any Channel,
        isHead: Bool
    ) async throws {
        switch reply {
        case .body(let status, let contentType, let headers, let bytes):
            var head = HTTPResponse(status: HTTPResponse.Status(code: status))
            head.headerFields[.contentType] = contentType
            head.headerFields[.contentLength] = String(bytes.readableBytes)
            for header in headers {
                guard let name = HTTPField.Name(header.name) else { continue }
                head.headerFields.append(HTTPField(name: name, value: header.value))
            }
            let body = isHead ? ResponseBody() : ResponseBody(byteBuffer: bytes)
            try await writer.write(response: head, body: body)
        case .stream(let contentType, let timeout, let pieces, let stop):
            channel.closeFuture.whenComplete { _ in stop() }
            // Hummingbird lets clients close their half; one that does so in the midst of a watch has gone.
            let handler = ClientLeftHandler(stop)
            try await channel.pipeline.addHandler(handler, position: .first).get()
            defer { stop() }
            var head = HTTPResponse(status: .ok)
            head.headerFields[.contentType] = contentType
            var body = try await writer.writeHead(head)
            try await withThrowingTaskGroup(of: Void.self) { group in
                if let timeout {
                    group.addTask {
                        try await Task.sleep(for: timeout)
                        stop()
                    }
                }
                for await piece in pieces {
                    try await body.write(piece)
                }
                group.cancelAll()
            }
            try await body.finish(nil)
            try? await channel.pipeline.removeHandler(handler).get()
        }
    }
}

/// Calls a function when the client closes its half of the connection.
private final class ClientLeftHandler: ChannelInboundHandler, RemovableChannelHandler, Sendable {
    typealias InboundIn = Any

    private let left: @Sendable () -> Void

    init(_ left: @escaping @Sendable () -> Void) {
        self.left = left
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, case .inputClosed = event { self.left() }
        context.fireUserInboundEventTriggered(event)
    }
}
