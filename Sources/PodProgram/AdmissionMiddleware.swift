package import Hummingbird
internal import InstanceAPI
internal import NIOCore
internal import NIOSSL

/// Lets in those whose certificate has an admitted name.
///
/// The chain was verified in the handshake.
package struct AdmissionMiddleware: RouterMiddleware {
    private let mayAsk: @Sendable (_ commonName: String) -> Bool

    package init(mayAsk: @escaping @Sendable (_ commonName: String) -> Bool) {
        self.mayAsk = mayAsk
    }

    @concurrent
    package func handle(
        _ request: Request,
        context: APIRequestContext,
        next: @concurrent (Request, APIRequestContext) async throws -> Response
    ) async throws -> Response {
        guard let certificate = try await context.channel.nioSSL_peerCertificate().get(),
            let name = ClientName.commonName(ofDER: try certificate.toDERBytes()),
            self.mayAsk(name)
        else { throw InstanceAPIError(.forbidden, "the client's certificate does not allow this") }
        var context = context
        context.client = name
        return try await next(request, context)
    }
}
