internal import Foundation
public import HTTPClient
public import PostgresClusterAPI

/// Where an instance is: connections go to the address, and whoever answers must have a certificate for the name.
public struct InstanceEndpoint: Hashable, Sendable {
    /// Name of the instance.
    public var name: String
    /// IP address of its pod.
    public var address: String
    /// Port of its API.
    public var port: Int

    /// Makes an endpoint.
    public init(name: String, address: String, port: Int = InstancePorts.api) {
        self.name = name
        self.address = address
        self.port = port
    }
}

/// Speaks to the HTTPS API of the instances of one cluster.
///
/// Each call has one deadline for everything, connection included, and is tried once: what to do after a failure is the
/// caller's to decide, by looking again.
public struct InstanceClient: Sendable {
    private let http: HTTPClient
    private let tls: TLSSettings

    /// Makes a client that trusts the cluster's authorities and shows a certificate of theirs.
    public init(http: HTTPClient, tls: TLSSettings) {
        self.http = http
        self.tls = tls
    }

    /// Asks for the status.
    /// - Throws: ``InstanceClientError``.
    public func status(
        of endpoint: InstanceEndpoint,
        timeout: Duration = .seconds(5)
    ) async throws(InstanceClientError) -> InstanceStatus {
        try await self.call(endpoint, .get, InstanceAPIPath.status, timeout: timeout)
    }

    /// Makes a candidate ready for becoming primary.
    /// - Throws: ``InstanceClientError``.
    public func prepare(
        _ endpoint: InstanceEndpoint,
        _ request: PrepareRequest,
        timeout: Duration
    ) async throws(InstanceClientError) -> PrepareResponse {
        try await self.call(endpoint, .post, InstanceAPIPath.prepare, body: request, timeout: timeout)
    }

    /// Has a candidate load what is hot on the primary.
    /// - Throws: ``InstanceClientError``.
    public func warm(
        _ endpoint: InstanceEndpoint,
        _ request: WarmRequest,
        timeout: Duration
    ) async throws(InstanceClientError) -> WarmResponse {
        try await self.call(endpoint, .post, InstanceAPIPath.warm, body: request, timeout: timeout)
    }

    /// Has checkpoints made.
    /// - Throws: ``InstanceClientError``.
    public func checkpoint(
        _ endpoint: InstanceEndpoint,
        _ request: CheckpointRequest,
        timeout: Duration
    ) async throws(InstanceClientError) -> CheckpointResponse {
        try await self.call(endpoint, .post, InstanceAPIPath.checkpoint, body: request, timeout: timeout)
    }

    /// Ends the term of a primary.
    ///
    /// The answer is waited for two seconds longer than the stop may take.
    /// - Throws: ``InstanceClientError``.
    public func demote(
        _ endpoint: InstanceEndpoint,
        _ request: DemoteRequest
    ) async throws(InstanceClientError) -> DemoteResponse {
        let timeout = Duration.milliseconds(max(0, request.deadlineMilliseconds)) + .seconds(2)
        return try await self.call(endpoint, .post, InstanceAPIPath.demote, body: request, timeout: timeout)
    }

    /// Tells an instance that it has been decided to be primary.
    /// - Throws: ``InstanceClientError``.
    public func promote(
        _ endpoint: InstanceEndpoint,
        _ request: PromoteRequest,
        timeout: Duration
    ) async throws(InstanceClientError) -> PromoteResponse {
        try await self.call(endpoint, .post, InstanceAPIPath.promote, body: request, timeout: timeout)
    }

    /// Has the primary make its roles and databases as declared.
    /// - Throws: ``InstanceClientError``.
    public func declare(
        _ endpoint: InstanceEndpoint,
        _ request: DeclareRequest,
        timeout: Duration
    ) async throws(InstanceClientError) -> DeclareResponse {
        try await self.call(endpoint, .post, InstanceAPIPath.declare, body: request, timeout: timeout)
    }

    /// Has PostgreSQL started again in place where settings wait for that.
    /// - Throws: ``InstanceClientError``.
    public func restart(
        _ endpoint: InstanceEndpoint,
        _ request: RestartRequest,
        timeout: Duration
    ) async throws(InstanceClientError) -> RestartResponse {
        try await self.call(endpoint, .post, InstanceAPIPath.restart, body: request, timeout: timeout)
    }

    /// Asks another instance for a promise; for the primary.
    /// - Throws: ``InstanceClientError``.
    public func promise(
        _ endpoint: InstanceEndpoint,
        _ request: PromiseRequest,
        timeout: Duration
    ) async throws(InstanceClientError) -> PromiseResponse {
        try await self.call(endpoint, .post, InstanceAPIPath.promise, body: request, timeout: timeout)
    }

    /// Gives promises back; for a primary that has stopped.
    /// - Throws: ``InstanceClientError``.
    public func release(
        _ endpoint: InstanceEndpoint,
        _ request: ReleaseRequest,
        timeout: Duration
    ) async throws(InstanceClientError) -> ReleaseResponse {
        try await self.call(endpoint, .post, InstanceAPIPath.release, body: request, timeout: timeout)
    }

    /// Has an instance promise nothing more to primaries of older terms.
    /// - Throws: ``InstanceClientError``.
    public func withhold(
        _ endpoint: InstanceEndpoint,
        _ request: WithholdRequest,
        timeout: Duration
    ) async throws(InstanceClientError) -> WithholdResponse {
        try await self.call(endpoint, .post, InstanceAPIPath.withhold, body: request, timeout: timeout)
    }

    /// Stops a replica's WAL receiver for good, as far as older terms go.
    /// - Throws: ``InstanceClientError``.
    public func standstill(
        _ endpoint: InstanceEndpoint,
        _ request: StandstillRequest,
        timeout: Duration
    ) async throws(InstanceClientError) -> StandstillResponse {
        try await self.call(endpoint, .post, InstanceAPIPath.standstill, body: request, timeout: timeout)
    }

    /// Follows the status of an instance: `body` gets the present one first and then one per change.
    ///
    /// A position in the log by itself may come in place of a status, when nothing else has changed.
    ///
    /// The stream ends when the instance goes away, and fails with ``InstanceClientError`` when it has been silent for
    /// three times ``InstanceAPIPath/streamKeepalive``. What `body` throws is passed on.
    public func withStatusStream<Result>(
        of endpoint: InstanceEndpoint,
        _ body: (InstanceStatusStream) async throws -> Result
    ) async throws -> Result {
        let path = "\(InstanceAPIPath.statusStream)?\(InstanceAPIPath.briefPositions)"
        var request = try self.request(endpoint, .get, path)
        request.timeout = nil
        request.idleTimeout = InstanceAPIPath.streamKeepalive * 3
        request.connection = .dedicated
        do {
            return try await self.http.withStream(request) { head, chunks in
                guard head.status == 200 else {
                    throw Self.refusal(status: head.status, body: try await Self.collect(chunks))
                }
                return try await body(InstanceStatusStream(chunks: chunks))
            }
        } catch let error as HTTPClientError {
            throw InstanceClientError(error)
        }
    }

    private func call<Answer: Decodable>(
        _ endpoint: InstanceEndpoint,
        _ method: HTTPMethod,
        _ path: String,
        timeout: Duration
    ) async throws(InstanceClientError) -> Answer {
        try await self.send(self.request(endpoint, method, path), timeout: timeout)
    }

    private func call<Answer: Decodable>(
        _ endpoint: InstanceEndpoint,
        _ method: HTTPMethod,
        _ path: String,
        body: some Encodable,
        timeout: Duration
    ) async throws(InstanceClientError) -> Answer {
        var request = try self.request(endpoint, method, path)
        do {
            request.body = Array(try JSONEncoder().encode(body))
        } catch {
            throw InstanceClientError(.malformed, "the request cannot be encoded")
        }
        request.headers.append((name: "Content-Type", value: "application/json"))
        return try await self.send(request, timeout: timeout)
    }

    private func send<Answer: Decodable>(
        _ request: HTTPRequest,
        timeout: Duration
    ) async throws(InstanceClientError) -> Answer {
        var request = request
        request.timeout = timeout
        request.connectTimeout = timeout
        let response: HTTPResponse
        do {
            response = try await self.http.send(request)
        } catch {
            throw InstanceClientError(error)
        }
        guard response.status == 200 else {
            throw Self.refusal(status: response.status, body: response.body)
        }
        do {
            return try JSONDecoder().decode(Answer.self, from: Data(response.body))
        } catch {
            throw InstanceClientError(.malformed, "the instance's answer is not what version 1 of its API says")
        }
    }

    private func request(
        _ endpoint: InstanceEndpoint,
        _ method: HTTPMethod,
        _ path: String
    ) throws(InstanceClientError) -> HTTPRequest {
        // The name becomes part of a URL and comes out of an object that somebody may have tampered with.
        let isName: (UInt8) -> Bool = { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D }
        let isAddress: (UInt8) -> Bool = {
            (0x30...0x39).contains($0) || (0x41...0x46).contains($0) || (0x61...0x66).contains($0) || $0 == 0x2E
                || $0 == 0x3A
        }
        guard (1...63).contains(endpoint.name.utf8.count), endpoint.name.utf8.allSatisfy(isName),
            (2...45).contains(endpoint.address.utf8.count), endpoint.address.utf8.allSatisfy(isAddress),
            (1...65535).contains(endpoint.port)
        else {
            throw InstanceClientError(.invalidEndpoint, "the instance's name, address or port cannot be used")
        }
        return HTTPRequest(
            method: method,
            url: "https://\(endpoint.name):\(endpoint.port)\(path)",
            headers: [(name: "Accept", value: "application/json")],
            connectTo: (address: endpoint.address, port: endpoint.port),
            tls: self.tls,
            maximumBodySize: InstanceAPIPath.maximumBodySize
        )
    }

    private static func collect(_ chunks: HTTPBodyChunks) async throws(HTTPClientError) -> [UInt8] {
        var body: [UInt8] = []
        for try await chunk in chunks {
            body += chunk
            if body.count >= InstanceAPIPath.maximumBodySize { break }
        }
        return body
    }

    private static func refusal(status: Int, body: [UInt8]) -> InstanceClientError {
        if let refusal = try? JSONDecoder().decode(InstanceAPIError.self, from: Data(body)) {
            return InstanceClientError(.refused, refusal.message, refusal: refusal)
        }
        return InstanceClientError(.malformed, "the instance answered with HTTP status \(status) and no reason")
    }
}
