internal import EventLoop
package import Fence
internal import Foundation
package import HTTPClient
package import InstanceAPI
internal import PostgresClusterAPI
internal import Synchronization

/// Asks other instances over HTTPS, with this instance's own certificate.
package final class PeerClient: PeerDirectory {
    private let http: HTTPClient
    private let volume: Volume
    private let port: Int
    /// Read once: a disk that is stuck must not cost the promises.
    private let tls = Lock<TLSSettings?>(nil)

    package init(http: HTTPClient, volume: Volume, port: Int) {
        self.http = http
        self.volume = volume
        self.port = port
    }

    package func useNewCertificates() {
        self.tls.withLock { $0 = nil }
    }

    private func settings() async throws -> TLSSettings {
        if let known = self.tls.withLock({ $0 }) { return known }
        let directory = self.volume.layout.certificates
        let read = TLSSettings(
            caPEM: try await self.volume.readText(directory + "/ca.crt"),
            certificatePEM: try await self.volume.readText(directory + "/tls.crt"),
            keyPEM: try await self.volume.readText(directory + "/tls.key")
        )
        self.tls.withLock { $0 = read }
        return read
    }

    package func promise(
        instance name: String,
        address: String,
        _ request: PromiseRequest,
        timeout: Duration
    ) async throws -> PromiseResponse {
        try await InstanceClient(http: self.http, tls: self.settings())
            .promise(InstanceEndpoint(name: name, address: address, port: self.port), request, timeout: timeout)
    }

    package func release(
        instance name: String,
        address: String,
        _ request: ReleaseRequest,
        timeout: Duration
    ) async throws -> ReleaseResponse {
        try await InstanceClient(http: self.http, tls: self.settings())
            .release(InstanceEndpoint(name: name, address: address, port: self.port), request, timeout: timeout)
    }

    package func newestTerm(ofInstance name: String, address: String, timeout: Duration) async throws -> Int {
        let status = try await InstanceClient(http: self.http, tls: self.settings())
            .status(of: InstanceEndpoint(name: name, address: address, port: self.port), timeout: timeout)
        return Int(clamping: status.term)
    }

    package func history(
        ofInstance name: String,
        address: String,
        term: Int,
        afterCheckpoint: Bool
    ) async throws -> HistoryReport {
        try await self.get(
            "\(InstanceServer.historyPath)?term=\(term)&checkpoint=\(afterCheckpoint)",
            ofInstance: name,
            address: address,
            timeout: afterCheckpoint ? .seconds(60) : .seconds(10)
        )
    }

    package func hotBlocks(ofInstance name: String, address: String, timeout: Duration) async throws -> HotBlocks {
        try await self.get(
            InstanceAPIPath.hotBlocks,
            ofInstance: name,
            address: address,
            timeout: timeout,
            maximumBodySize: HotBlocks.maximumBodySize
        )
    }

    private func get<Answer: Decodable>(
        _ path: String,
        ofInstance name: String,
        address: String,
        timeout: Duration,
        maximumBodySize: Int = InstanceAPIPath.maximumBodySize
    ) async throws -> Answer {
        let response = try await self.http.send(
            HTTPRequest(
                url: "https://\(name):\(self.port)\(path)",
                connectTo: (address, self.port),
                timeout: timeout,
                connectTimeout: .seconds(3),
                tls: try await self.settings(),
                maximumBodySize: maximumBodySize
            )
        )
        guard response.status == 200 else {
            if let refusal = try? JSONDecoder().decode(InstanceAPIError.self, from: Data(response.body)) {
                throw refusal
            }
            throw InstanceAPIError(.internal, "\(name) answered with status \(response.status)")
        }
        return try JSONDecoder().decode(Answer.self, from: Data(response.body))
    }
}
