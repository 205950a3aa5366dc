internal import Hummingbird
internal import Logging
internal import NIOCore
internal import PodProgram

/// The probes of the kubelet and the metrics: plain HTTP, on a port of its own, with nothing to change behind it.
struct PoolerProbes: Sendable {
    let pooler: Pooler
    let configuration: PoolerConfiguration
    let logger: Logger

    func run() async throws {
        let router = Router()
        let pooler = self.pooler
        router.get("/livez") { _, _ in
            // An answer is all there is to say: PgBouncer is started again by us, not by the kubelet.
            _ = await pooler.isReady
            return Self.answer(true)
        }
        router.get("/readyz") { _, _ in Self.answer(await pooler.isReady) }
        router.get("/metrics") { _, _ in
            Response(
                status: .ok,
                headers: [.contentType: "text/plain; version=0.0.4"],
                body: ResponseBody(byteBuffer: ByteBuffer(string: await pooler.metrics()))
            )
        }
        let application = Application(
            router: router,
            configuration: .init(
                address: .hostname(self.configuration.podIP, port: self.configuration.probesPort),
                serverName: nil,
                reuseAddress: true
            ),
            logger: self.logger
        )
        try await ServerRun.untilCancelled(application, logger: self.logger)
    }

    private static func answer(_ isFine: Bool) -> Response {
        Response(
            status: isFine ? .ok : .serviceUnavailable,
            headers: [.contentType: "text/plain"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: isFine ? "ok\n" : "not yet\n"))
        )
    }
}
