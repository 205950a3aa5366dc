internal import EventLoop
internal import HTTPClient
internal import NIOCore

/// Fetches logs from the kubelets, whose certificates nobody signs.
struct KubeletLogs: PodLogSource {
    let client: HTTPClient

    func open(url: String) async -> APIReply {
        let request = HTTPRequest(
            url: url,
            timeout: nil,
            connectTimeout: .seconds(5),
            connection: .dedicated,
            tls: TLSSettings(verifyPeer: false)
        )
        let (heads, head) = AsyncStream.makeStream(of: HTTPResponseHead.self)
        let (pieces, piece) = AsyncStream.makeStream(of: ByteBuffer.self)
        // Not structured: the transfer outlives this call and ends with the reply's `stop`.
        let transfer = Task {
            try? await self.client.withStream(request) { responseHead, chunks in
                head.yield(responseHead)
                head.finish()
                for try await chunk in chunks {
                    piece.yield(ByteBuffer(bytes: chunk))
                }
            }
            head.finish()
            piece.finish()
        }
        let stop: @Sendable () -> Void = {
            transfer.cancel()
            piece.finish()
        }
        for await responseHead in heads {
            guard responseHead.status == 200 else {
                var text = ByteBuffer()
                for await piece in pieces where text.readableBytes < 4_096 {
                    text.writeImmutableBuffer(piece)
                }
                let message = String(buffer: text)
                return .failure(
                    StatusError(
                        code: responseHead.status,
                        reason: responseHead.status == 404 ? "NotFound" : "BadRequest",
                        message: message.isEmpty ? "the node answered \(responseHead.status)" : message
                    )
                )
            }
            return .stream(contentType: "text/plain", timeout: nil, pieces: pieces, stop: stop)
        }
        stop()
        return .failure(.internalError("the node cannot be reached at \(url)"))
    }
}
