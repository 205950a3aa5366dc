internal import Crypto
internal import Foundation
internal import Hummingbird
internal import JSON
internal import KubernetesClient
public import Logging
internal import NIOCore
public import ServiceLifecycle

/// A page for people, and what the planner sees: read-only, without certificates or passwords, so on loopback only.
///
/// `kubectl port-forward` leads there, which asks for the right to do so.
public struct WebServer: ServiceLifecycle.Service {
    private let address: HealthAddress
    private let drover: DroverOperator
    private let logger: Logger
    private let onListening: @Sendable (Int) -> Void

    /// Makes a server; nothing happens before ``run()``.
    ///
    /// - Parameters:
    ///   - address: where it listens; an address of the loopback interface, see ``isLoopback(_:)``.
    ///   - drover: the operator whose state it shows.
    ///   - logger: told about failures.
    ///   - onListening: told the port.
    public init(
        address: HealthAddress,
        drover: DroverOperator,
        logger: Logger,
        onListening: @escaping @Sendable (Int) -> Void = { _ in }
    ) {
        self.address = address
        self.drover = drover
        self.logger = logger
        self.onListening = onListening
    }

    /// Whether nobody but this host, or this pod, can reach an address.
    public static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host == "::1" || host == "[::1]" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    /// Serves until it is cancelled or shut down gracefully.
    ///
    /// - Throws: when the address cannot be listened on.
    public func run() async throws {
        let onListening = self.onListening
        let application = Application(
            router: self.router(),
            configuration: ApplicationConfiguration(
                address: .hostname(self.address.host, port: self.address.port),
                serverName: "drover-operator"
            ),
            onServerRunning: { channel in onListening(channel.localAddress?.port ?? 0) },
            logger: self.logger
        )
        try await application.run()
    }

    private func router() -> Router<BasicRequestContext> {
        let router = Router()
        router.add(middleware: LocalHostMiddleware())
        let drover = self.drover
        let digest = Data(SHA256.hash(data: Data(FleetPage.script.utf8))).base64EncodedString()
        let styles = Data(SHA256.hash(data: Data(FleetPage.style.utf8))).base64EncodedString()
        router.get("/") { _, _ in
            Self.answer(
                FleetPage.html,
                type: "text/html; charset=utf-8",
                policy: "default-src 'none'; script-src 'sha256-\(digest)'; style-src 'sha256-\(styles)'; "
                    + "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            )
        }
        router.get("/fleet") { _, _ in
            guard let fleet = drover.fleet() else { return Self.notLeading }
            return Self.answer(try Self.text(fleet), type: "application/json")
        }
        router.get("/fleet/events") { _, _ in Self.events(drover) }
        router.get("/debug/clusters/:namespace/:name") { _, context in
            let key = ObjectKey(
                namespace: try context.parameters.require("namespace"),
                name: try context.parameters.require("name")
            )
            guard drover.isLeading else { return Self.notLeading }
            guard let dump = drover.explain(key) else {
                return Self.answer("there is no such cluster\n", type: "text/plain", status: .notFound)
            }
            return Self.answer(dump.serialized() + "\n", type: "application/json")
        }
        return router
    }

    private static var notLeading: Response {
        self.answer(
            "this process does not lead; ask the other one\n",
            type: "text/plain",
            status: .serviceUnavailable
        )
    }

    private static func answer(
        _ text: String,
        type: String,
        status: HTTPResponse.Status = .ok,
        policy: String = "default-src 'none'"
    ) -> Response {
        var headers: HTTPFields = [.contentType: type, .cacheControl: "no-store"]
        headers[.contentSecurityPolicy] = policy
        headers[.xContentTypeOptions] = "nosniff"
        return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }

    private static func text(_ fleet: FleetView) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(fleet), as: UTF8.self)
    }

    /// The fleet whenever it has changed, once a second at most, and a sign of life every fifteen.
    private static func events(_ drover: DroverOperator) -> Response {
        var headers: HTTPFields = [.contentType: "text/event-stream", .cacheControl: "no-store"]
        headers[.xContentTypeOptions] = "nosniff"
        return Response(
            status: .ok,
            headers: headers,
            body: ResponseBody { writer in
                var writer = writer
                var shown: FleetView?
                var isFirst = true
                var silence = 0
                while !Task.isCancelled, !Task.isShuttingDownGracefully {
                    let fleet = drover.fleet()
                    if isFirst || fleet != shown {
                        let text = try fleet.map { try self.text($0) } ?? "null"
                        try await writer.write(ByteBuffer(string: "data: \(text)\n\n"))
                        (shown, isFirst, silence) = (fleet, false, 0)
                    } else {
                        silence += 1
                        if silence.isMultiple(of: 15) { try await writer.write(ByteBuffer(string: ":\n\n")) }
                    }
                    try await Task.sleep(for: .seconds(1))
                }
                try await writer.finish(nil)
            }
        )
    }
}

/// Answers only those who ask for this host by a name of its own: a page from elsewhere whose name was made to lead here
/// does not.
private struct LocalHostMiddleware: RouterMiddleware {
    @concurrent
    func handle(
        _ request: Request,
        context: BasicRequestContext,
        next: @concurrent (Request, BasicRequestContext) async throws -> Response
    ) async throws -> Response {
        let authority = request.head.authority ?? ""
        let host =
            authority.hasPrefix("[")
            ? String(authority.prefix { $0 != "]" }) + "]" : String(authority.prefix { $0 != ":" })
        guard WebServer.isLoopback(host) else { throw HTTPError(.misdirectedRequest) }
        return try await next(request, context)
    }
}
