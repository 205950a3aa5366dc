internal import NIOCore
internal import NIOSSL

/// Closes the socket as soon as the server closes a connection.
///
/// The TLS handler says goodbye and then waits seconds for the client's goodbye. libcurl does not look at a
/// connection that it keeps for later, so without this every shutdown would wait that long.
final class PromptCloseHandler: ChannelOutboundHandler, RemovableChannelHandler, Sendable {
    typealias OutboundIn = Any

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        context.close(mode: mode, promise: promise)
        // What the socket has not taken yet would be lost.
        guard case .all = mode, context.channel.isActive,
            (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) == 0
        else { return }
        // Told from the TLS handler's place, so that it is not asked.
        let place = try? context.pipeline.syncOperations.context(handlerType: NIOSSLServerHandler.self)
        place?.close(mode: .all, promise: nil)
    }
}
