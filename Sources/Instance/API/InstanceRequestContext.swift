internal import Hummingbird
internal import NIOCore

/// What a handler knows of its request: also the connection, whose certificate says who asks.
struct InstanceRequestContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        self.coreContext = .init(source: source)
        self.channel = source.channel
    }

    var maxUploadSize: Int { 64 * 1024 }
}
