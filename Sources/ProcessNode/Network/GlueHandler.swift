internal import Glibc
internal import NIOCore

/// Passes everything that one connection says to another one, with back pressure and half-closing.
///
/// Not thread-safe: both channels run on one event loop.
final class GlueHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var partner: GlueHandler?
    private var context: ChannelHandlerContext?
    private var hasPendingRead = false
    private var sawEnd = false

    private init() {}

    /// Makes the handlers of both sides.
    static func pair() -> (GlueHandler, GlueHandler) {
        let first = GlueHandler()
        let second = GlueHandler()
        first.partner = second
        second.partner = first
        return (first, second)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        self.partner = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.partner?.context?.write(self.wrapOutboundOut(self.unwrapInboundIn(data)), promise: nil)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        self.partner?.context?.flush()
    }

    func channelInactive(context: ChannelHandlerContext) {
        // After an orderly end, or in the midst of a reset, the other side closes by itself once all is written.
        if !self.sawEnd { self.partner?.context?.close(promise: nil) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, case .inputClosed = event {
            self.sawEnd = true
            self.partner?.context?.close(mode: .output, promise: nil)
        } else if event is ResetConnection {
            self.resetBoth(context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.resetBoth(context)
    }

    private func resetBoth(_ context: ChannelHandlerContext) {
        // Or the end of one would close the other in the ordinary way first.
        self.sawEnd = true
        let partner = self.partner?.context?.channel
        context.channel.reset()
        partner?.reset()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { self.partner?.continueReading() }
    }

    func read(context: ChannelHandlerContext) {
        if self.partner?.context?.channel.isWritable == true {
            context.read()
        } else {
            self.hasPendingRead = true
        }
    }

    private func continueReading() {
        guard self.hasPendingRead else { return }
        self.hasPendingRead = false
        self.context?.read()
    }
}

extension Channel {
    /// Ends a TCP connection by a reset, so that the peer notices at once and in any state.
    func reset() {
        guard let options = self as? any SocketOptionProvider else {
            self.close(promise: nil)
            return
        }
        options.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenComplete { _ in self.close(promise: nil) }
    }
}
