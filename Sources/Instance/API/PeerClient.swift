package import Fence
internal import Foundation
package import HTTPClient
internal import InstanceAPI

/// Asks other instances over HTTPS, with this instance's own certificate.
package struct PeerClient: PeerDirectory {
    private let http: HTTPClient
    private let volume: Volume
    private let port: Int

    package init(http: HTTPClient, volume: Volume, port: Int) {
        self.http = http
        self.volume = volume
        self.port = port
    }

    package func history(
        ofInstance name: String,
        address: String,
        term: Int,
        afterCheckpoint: Bool
    ) async throws -> HistoryReport {
        let directory = self.volume.layout.certificates
        // Read anew each time: they may have been rotated.
        let tls = TLSSettings(
            caPEM: try await self.volume.readText(directory + "/ca.crt"),
            certificatePEM: try await self.volume.readText(directory + "/tls.crt"),
            keyPEM: try await self.volume.readText(directory + "/tls.key")
        )
        let response = try await self.http.send(
            HTTPRequest(
                url: "https://\(name):\(self.port)\(InstanceServer.historyPath)"
                    + "?term=\(term)&checkpoint=\(afterCheckpoint)",
                connectTo: (address, self.port),
                timeout: afterCheckpoint ? .seconds(60) : .seconds(10),
                connectTimeout: .seconds(3),
                tls: tls,
                maximumBodySize: InstanceAPIPath.maximumBodySize
            )
        )
        guard response.status == 200 else {
            if let refusal = try? JSONDecoder().decode(InstanceAPIError.self, from: Data(response.body)) {
                throw refusal
            }
            throw InstanceAPIError(.internal, "\(name) answered with status \(response.status)")
        }
        return try JSONDecoder().decode(HistoryReport.self, from: Data(response.body))
    }
}
