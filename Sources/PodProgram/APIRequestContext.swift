package import Hummingbird
package import NIOCore

/// What a handler knows of its request: also the connection, whose certificate says who asks.
package struct APIRequestContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    package let channel: any Channel
    /// The common name in the client's certificate, once it was admitted.
    package var client = ""

    package init(source: ApplicationRequestContextSource) {
        self.coreContext = .init(source: source)
        self.channel = source.channel
    }

    package var maxUploadSize: Int { 64 * 1024 }
}
