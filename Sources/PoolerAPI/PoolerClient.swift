internal import Foundation
public import HTTPClient
public import InstanceAPI
public import PostgresClusterAPI

/// Where a pooler is.
public struct PoolerEndpoint: Hashable, Sendable {
    /// The name its certificate is verified for, which is that of the Service of the poolers.
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

/// Speaks to the HTTPS API of the poolers of one cluster; errors are those of the instance API.
///
/// Each call has one deadline for everything and is tried once.
public struct PoolerClient: Sendable {
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
        of endpoint: PoolerEndpoint,
        timeout: Duration = .seconds(5)
    ) async throws(InstanceClientError) -> PoolerStatus {
        try await self.send(endpoint, .get, PoolerAPIPath.status, body: nil, timeout: timeout)
    }

    /// Has clients held.
    ///
    /// The answer is waited for a second longer than transactions under way get.
    /// - Throws: ``InstanceClientError``.
    public func pause(
        _ endpoint: PoolerEndpoint,
        _ request: PauseRequest
    ) async throws(InstanceClientError) -> PauseResponse {
        let timeout = Duration.milliseconds(min(max(0, request.drainMilliseconds), 60_000)) + .seconds(1)
        return try await self.send(
            endpoint,
            .post,
            PoolerAPIPath.pause,
            body: try self.encode(request),
            timeout: timeout
        )
    }

    /// Has clients go on.
    /// - Throws: ``InstanceClientError``.
    public func resume(
        _ endpoint: PoolerEndpoint,
        _ request: ResumeRequest,
        timeout: Duration
    ) async throws(InstanceClientError) -> PoolerStatus {
        try await self.send(
            endpoint,
            .post,
            PoolerAPIPath.resume,
            body: try self.encode(request),
            timeout: timeout
        )
    }

    private func encode(_ body: some Encodable) throws(InstanceClientError) -> [UInt8] {
        do {
            return Array(try JSONEncoder().encode(body))
        } catch {
            throw InstanceClientError(.malformed, "the request cannot be encoded")
        }
    }

    private func send<Answer: Decodable>(
        _ endpoint: PoolerEndpoint,
        _ method: HTTPMethod,
        _ path: String,
        body: [UInt8]?,
        timeout: Duration
    ) async throws(InstanceClientError) -> Answer {
        let isAddress: (UInt8) -> Bool = {
            (0x30...0x39).contains($0) || (0x41...0x46).contains($0) || (0x61...0x66).contains($0) || $0 == 0x2E
                || $0 == 0x3A
        }
        guard (2...45).contains(endpoint.address.utf8.count), endpoint.address.utf8.allSatisfy(isAddress),
            (1...65535).contains(endpoint.port)
        else { throw InstanceClientError(.invalidEndpoint, "the pooler's address or port cannot be used") }
        var headers = [(name: "Accept", value: "application/json")]
        if body != nil { headers.append((name: "Content-Type", value: "application/json")) }
        let response: HTTPResponse
        do {
            response = try await self.http.send(
                HTTPRequest(
                    method: method,
                    url: "https://\(endpoint.name):\(endpoint.port)\(path)",
                    headers: headers,
                    body: body,
                    connectTo: (address: endpoint.address, port: endpoint.port),
                    timeout: timeout,
                    connectTimeout: timeout,
                    tls: self.tls,
                    maximumBodySize: PoolerAPIPath.maximumBodySize
                )
            )
        } catch {
            throw InstanceClientError(error)
        }
        guard response.status == 200 else {
            if let refusal = try? JSONDecoder().decode(InstanceAPIError.self, from: Data(response.body)) {
                throw InstanceClientError(.refused, refusal.message, refusal: refusal)
            }
            throw InstanceClientError(.malformed, "the pooler answered with HTTP status \(response.status)")
        }
        do {
            return try JSONDecoder().decode(Answer.self, from: Data(response.body))
        } catch {
            throw InstanceClientError(.malformed, "the pooler's answer is not what version 1 of its API says")
        }
    }
}
