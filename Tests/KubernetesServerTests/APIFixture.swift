import Crypto
import Foundation
import JSON
import Logging
import NIOCore

@testable import KubernetesServer

/// The API without sockets.
struct APIFixture {
    struct Answer {
        let status: Int
        let body: JSONValue
        var reason: String? { self.body["reason"]?.stringValue }
        var message: String { self.body["message"]?.stringValue ?? "" }
    }

    static let administratorToken = "administrator"

    let store: ObjectStore
    let api: APIServer

    init() throws {
        self.store = try ObjectStore()
        self.api = APIServer(
            store: self.store,
            configuration: APIServer.Configuration(
                administratorToken: Self.administratorToken,
                servicePrefix: "127.96",
                authorityPEM: "authority"
            ),
            tokens: TokenIssuer(key: P256.Signing.PrivateKey(), now: { Date() }),
            logs: NoLogs(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
        self.api.createInitialObjects()
    }

    func callAsFunction(
        _ method: String,
        _ path: String,
        _ body: JSONValue? = nil,
        type: String = "application/json",
        token: String? = APIFixture.administratorToken,
        headers: [String: String] = [:]
    ) async throws -> Answer {
        var all = headers
        all["content-type"] = type
        all["user-agent"] = "tests/1.0"
        if let token { all["authorization"] = "Bearer \(token)" }
        var request = APIRequest(method: method, pathAndQuery: path, headers: all)
        if let body { request.body = body.serializedBytes() }
        switch await self.api.handle(request) {
        case .body(let status, _, _, let bytes):
            let text = String(buffer: bytes)
            return Answer(status: status, body: (try? JSONValue(parsing: text)) ?? .string(text))
        case .stream(_, _, _, let stop):
            stop()
            return Answer(status: 200, body: "stream")
        }
    }

    /// The events of a watch, as text of lines.
    func watch(_ path: String, headers: [String: String] = [:]) async -> (any AsyncSequence<ByteBuffer, Never>)? {
        var all = headers
        all["authorization"] = "Bearer \(Self.administratorToken)"
        guard
            case .stream(_, _, let pieces, _) = await self.api.handle(
                APIRequest(method: "GET", pathAndQuery: path, headers: all)
            )
        else { return nil }
        return pieces
    }

    private struct NoLogs: PodLogSource {
        func open(url: String) async -> APIReply { .text(url) }
    }
}
