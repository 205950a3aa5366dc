internal import JSON
internal import NIOCore

/// What the server answers.
enum APIReply: Sendable {
    /// A whole body.
    case body(status: Int, contentType: String, headers: [(name: String, value: String)], bytes: ByteBuffer)
    /// A body in pieces as they come. `stop` ends the pieces: the client is gone, or the time is up.
    case stream(
        contentType: String,
        timeout: Duration?,
        pieces: any AsyncSequence<ByteBuffer, Never> & Sendable,
        stop: @Sendable () -> Void
    )

    static func json(
        _ value: JSONValue,
        status: Int = 200,
        contentType: String = "application/json",
        headers: [(name: String, value: String)] = []
    ) -> APIReply {
        .body(
            status: status,
            contentType: contentType,
            headers: headers,
            bytes: ByteBuffer(bytes: value.serializedBytes())
        )
    }

    static func text(_ text: String, status: Int = 200) -> APIReply {
        .body(
            status: status,
            contentType: "text/plain; charset=utf-8",
            headers: [],
            bytes: ByteBuffer(string: text)
        )
    }

    static func failure(_ error: StatusError) -> APIReply {
        var headers: [(name: String, value: String)] = []
        if let seconds = error.retryAfterSeconds { headers.append((name: "retry-after", value: String(seconds))) }
        return .json(error.body, status: error.code, headers: headers)
    }
}
