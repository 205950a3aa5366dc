package import Hummingbird
internal import Foundation
internal import InstanceAPI
package import Logging
internal import NIOCore

/// Turns errors into bodies that a client can decide on.
package struct RefusalMiddleware: RouterMiddleware {
    private let logger: Logger

    package init(logger: Logger) {
        self.logger = logger
    }

    @concurrent
    package func handle(
        _ request: Request,
        context: APIRequestContext,
        next: @concurrent (Request, APIRequestContext) async throws -> Response
    ) async throws -> Response {
        let refusal: InstanceAPIError
        do {
            return try await next(request, context)
        } catch let error as InstanceAPIError {
            refusal = error
        } catch let error as HTTPError {
            refusal =
                error.status == .methodNotAllowed
                ? InstanceAPIError(.methodNotAllowed, "the path knows no such method")
                : InstanceAPIError(.notFound, "there is nothing at this path")
        } catch {
            self.logger.error("A request failed", metadata: ["path": "\(request.uri.path)", "error": "\(error)"])
            refusal = InstanceAPIError(.internal, "\(error)")
        }
        let body = (try? JSONEncoder().encode(refusal)) ?? Data()
        return Response(
            status: .init(code: refusal.reason.httpStatus),
            headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: body))
        )
    }
}
