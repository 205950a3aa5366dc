internal import Fence
internal import Foundation
internal import Hummingbird
internal import InstanceAPI
internal import Logging
internal import NIOCore
internal import PodProgram
internal import PostgresClusterAPI

/// The HTTPS API of an instance: for the operator and for the cluster's own instances, known by their certificates.
struct InstanceServer: Sendable {
    /// `GET` with `term` and `checkpoint`: ``HistoryReport``, for peers that want to follow.
    static let historyPath = "/v1/history"

    let supervisor: Supervisor
    let configuration: InstanceConfiguration
    let logger: Logger

    /// Serves until the task is cancelled; connections that come after the certificates have changed get the new ones.
    func run() async throws {
        let changes = await self.supervisor.certificateChanges()
        // A peer does not look at a connection that it keeps for later, so its goodbye would be waited for in vain, and
        // the end of the pod with it.
        let certificates = try ServerCertificates(
            directory: self.configuration.layout.certificates,
            shutdownTimeout: 100
        )
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

    // MARK: Routes

    private func router() -> Router<APIRequestContext> {
        let router = Router(context: APIRequestContext.self)
        router.add(middleware: RefusalMiddleware(logger: self.logger))
        let cluster = self.configuration.cluster
        router.add(middleware: AdmissionMiddleware { ClientName.mayAsk($0, cluster: cluster) })
        let supervisor = self.supervisor
        router.get(RouterPath(InstanceAPIPath.status)) { _, _ in
            try Self.json(await supervisor.status())
        }
        router.get(RouterPath(InstanceAPIPath.statusStream)) { request, _ in
            let isBrief = request.uri.query == InstanceAPIPath.briefPositions
            return Self.stream(await supervisor.statuses(), supervisor, isBrief: isBrief)
        }
        router.get(RouterPath(Self.historyPath)) { request, _ in
            guard let term = request.uri.queryParameters.get("term", as: Int.self) else {
                throw InstanceAPIError(.badRequest, "term is missing")
            }
            let checkpoint = request.uri.queryParameters.get("checkpoint") == "true"
            return try Self.json(
                await supervisor.history(
                    term: term,
                    afterCheckpoint: checkpoint,
                    patience: checkpoint ? .seconds(45) : .seconds(5)
                )
            )
        }
        router.get(RouterPath(InstanceAPIPath.hotBlocks)) { _, _ in
            try Self.json(await supervisor.hotBlocks())
        }
        router.post(RouterPath(InstanceAPIPath.promise)) { request, context in
            let body: PromiseRequest = try await Self.read(request, context)
            try Self.checkPeer(context, is: body.primary, cluster: cluster)
            return try Self.json(await supervisor.promise(body))
        }
        router.post(RouterPath(InstanceAPIPath.release)) { request, context in
            let body: ReleaseRequest = try await Self.read(request, context)
            try Self.checkPeer(context, is: body.primary, cluster: cluster)
            return try Self.json(await supervisor.release(body))
        }
        // What follows is the operator's.
        router.post(RouterPath(InstanceAPIPath.withhold)) { request, context in
            try Self.checkOperator(context)
            return try Self.json(await supervisor.withhold(Self.read(request, context)))
        }
        router.post(RouterPath(InstanceAPIPath.standstill)) { request, context in
            try Self.checkOperator(context)
            return try Self.json(await supervisor.standstill(Self.read(request, context)))
        }
        router.post(RouterPath(InstanceAPIPath.prepare)) { request, context in
            try Self.checkOperator(context)
            return try Self.json(await supervisor.prepare(Self.read(request, context)))
        }
        router.post(RouterPath(InstanceAPIPath.warm)) { request, context in
            try Self.checkOperator(context)
            return try Self.json(await supervisor.warm(Self.read(request, context)))
        }
        router.post(RouterPath(InstanceAPIPath.checkpoint)) { request, context in
            try Self.checkOperator(context)
            return try Self.json(await supervisor.checkpoint(Self.read(request, context)))
        }
        router.post(RouterPath(InstanceAPIPath.declare)) { request, context in
            try Self.checkOperator(context)
            let limit = InstanceAPIPath.maximumDeclarationSize
            let body: DeclareRequest = try await Self.read(request, context, upTo: limit)
            // Not structured: what has begun is not left half done because the client has gone away.
            return try Self.json(await Task { try await supervisor.declare(body) }.value)
        }
        router.post(RouterPath(InstanceAPIPath.demote)) { request, context in
            try Self.checkOperator(context)
            // Not structured: a client that goes away must not leave a demotion half done.
            let body: DemoteRequest = try await Self.read(request, context)
            return try Self.json(await Task { try await supervisor.demote(body) }.value)
        }
        router.post(RouterPath(InstanceAPIPath.promote)) { request, context in
            try Self.checkOperator(context)
            let body: PromoteRequest = try await Self.read(request, context)
            return try Self.json(await Task { try await supervisor.promote(body) }.value)
        }
        router.post(RouterPath(InstanceAPIPath.restart)) { request, context in
            try Self.checkOperator(context)
            // As with a demotion: what has begun is brought to its end.
            let body: RestartRequest = try await Self.read(request, context)
            return try Self.json(await Task { try await supervisor.restart(body) }.value)
        }
        return router
    }

    private static func checkOperator(_ context: APIRequestContext) throws {
        guard context.client == DatabaseRoles.operator else {
            throw InstanceAPIError(.forbidden, "only the operator may ask for this")
        }
    }

    /// A promise is given to the one that asks, and to nobody in the name of another.
    private static func checkPeer(_ context: APIRequestContext, is name: String, cluster: String) throws {
        guard context.client == name, Names(cluster: cluster).number(ofInstance: name) != nil else {
            throw InstanceAPIError(.forbidden, "the client's certificate is not that of the primary it names")
        }
    }

    private static func read<Body: Decodable>(
        _ request: Request,
        _ context: APIRequestContext,
        upTo limit: Int = InstanceAPIPath.maximumBodySize
    ) async throws -> Body {
        let buffer: ByteBuffer
        do {
            buffer = try await request.body.collect(upTo: limit)
        } catch {
            throw InstanceAPIError(.tooLarge, "a body may have \(limit) bytes")
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
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: try self.encode(value)))
        )
    }

    private static func encode(_ value: some Encodable) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return try encoder.encode(value)
    }

    /// One line for each change, one when nothing has changed for a while, and signs of life in between.
    private static func stream(
        _ statuses: AsyncStream<InstanceStatus>,
        _ supervisor: Supervisor,
        isBrief: Bool
    ) -> Response {
        let interval = isBrief ? InstanceAPIPath.briefStreamInterval : InstanceAPIPath.streamInterval
        return Response(
            status: .ok,
            headers: [.contentType: "application/x-ndjson"],
            body: ResponseBody { writer in
                var writer = writer
                let lines = StatusLines(isBrief: isBrief)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        for await status in statuses { lines.send(status) }
                        lines.finish()
                    }
                    group.addTask {
                        while !Task.isCancelled {
                            try await Task.sleep(for: interval - .milliseconds(500))
                            lines.send(await supervisor.status(), isComplete: true)
                        }
                    }
                    group.addTask {
                        while !Task.isCancelled {
                            try await Task.sleep(for: InstanceAPIPath.streamKeepalive)
                            lines.keepAlive()
                        }
                    }
                    for await _ in lines.due {
                        var line =
                            switch lines.next() {
                            case .status(let status): try self.encode(status)
                            case .position(let position): Data(position.description.utf8)
                            case .empty: Data()
                            }
                        line.append(0x0A)
                        try await writer.write(ByteBuffer(bytes: line))
                    }
                    group.cancelAll()
                }
                try await writer.finish(nil)
            }
        )
    }
}

extension ClientName {
    /// The operator and the cluster's own instances.
    static func mayAsk(_ name: String, cluster: String) -> Bool {
        name == DatabaseRoles.operator || Names(cluster: cluster).number(ofInstance: name) != nil
    }
}
