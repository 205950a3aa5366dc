internal import Foundation
internal import Hummingbird
internal import InstanceAPI
internal import Logging
internal import NIOCore
internal import PodProgram
internal import PoolerAPI
internal import PostgresClusterAPI

/// The HTTPS API of a pooler: for the operator, known by its certificate.
struct PoolerServer: Sendable {
    let pooler: Pooler
    let configuration: PoolerConfiguration
    let logger: Logger

    /// Serves until the task is cancelled; connections that come after the certificates have changed get the new ones.
    func run() async throws {
        let changes = await self.pooler.certificateChanges()
        let certificates = try ServerCertificates(directory: self.configuration.certificates)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.serve(certificates) }
            group.addTask {
                for await _ in changes { certificates.reload(logger: self.logger) }
                try await Task.sleep(for: .seconds(1 << 20))
            }
            // The end of the one is the end of the other.
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func serve(_ certificates: ServerCertificates) async throws {
        let application = Application(
            router: self.router(),
            server: certificates.builder,
            configuration: .init(
                address: .hostname(self.configuration.podIP, port: self.configuration.apiPort),
                serverName: nil,
                backlog: 64,
                reuseAddress: true
            ),
            logger: self.logger
        )
        try await ServerRun.untilCancelled(application, logger: self.logger)
    }

    private func router() -> Router<APIRequestContext> {
        let router = Router(context: APIRequestContext.self)
        router.add(middleware: RefusalMiddleware(logger: self.logger))
        router.add(middleware: AdmissionMiddleware { $0 == DatabaseRoles.operator })
        let pooler = self.pooler
        router.get(RouterPath(PoolerAPIPath.status)) { _, _ in
            try Self.json(await pooler.status())
        }
        router.post(RouterPath(PoolerAPIPath.pause)) { request, _ in
            try Self.json(await pooler.pause(Self.read(request)))
        }
        router.post(RouterPath(PoolerAPIPath.resume)) { request, _ in
            try Self.json(await pooler.resume(Self.read(request)))
        }
        return router
    }

    private static func read<Body: Decodable>(_ request: Request) async throws -> Body {
        let buffer: ByteBuffer
        do {
            buffer = try await request.body.collect(upTo: PoolerAPIPath.maximumBodySize)
        } catch {
            throw InstanceAPIError(.tooLarge, "a body may have \(PoolerAPIPath.maximumBodySize) bytes")
        }
        do {
            return try JSONDecoder().decode(Body.self, from: Data(buffer.readableBytesView))
        } catch {
            throw InstanceAPIError(.badRequest, "the body is not what this path wants")
        }
    }

    private static func json(_ value: some Encodable) throws -> Response {
        Response(
            status: .ok,
            headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: try JSONEncoder().encode(value)))
        )
    }
}
