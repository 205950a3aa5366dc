import PostgresClusterAPI
import Testing

@testable import Pooler

@Suite(.timeLimit(.minutes(3)))
struct BouncerSettingsTests {
    private func settings(_ parameters: [String: String] = [:], mode: PoolerMode = .transaction) -> [String: String] {
        let text = BouncerSettings(
            target: PoolerTarget(primary: "db-1", address: "10.0.0.1"),
            listenAddress: "10.0.0.9",
            socketDirectory: "/dev/shm/p",
            certificates: "/etc/drover/tls",
            mode: mode,
            parameters: parameters
        )
        .text()
        var values: [String: String] = [:]
        for line in text.split(separator: "\n") where line.contains(" = ") {
            let parts = line.split(separator: "=", maxSplits: 1).map { $0.trimmingPrefix(" ") }
            let name = String(parts[0]).trimmed
            #expect(values[name] == nil, "\(name) is there twice")
            values[name] = parts.count > 1 ? String(parts[1]).trimmed : ""
        }
        return values
    }

    @Test func leadsToThePrimaryWithTLSOnBothSides() {
        let settings = self.settings()
        #expect(settings["*"] == "host=10.0.0.1 port=5432")
        #expect(settings["client_tls_sslmode"] == "require")
        #expect(settings["server_tls_sslmode"] == "verify-ca")
        #expect(settings["auth_type"] == "scram-sha-256")
        #expect(settings["admin_users"] == "")
        #expect(settings["pool_mode"] == "transaction")
        #expect(self.settings(mode: .session)["pool_mode"] == "session")
    }

    @Test func takesWhatMayBeSetAndNothingElse() {
        let settings = self.settings([
            "default_pool_size": "7", "auth_type": "any", "max_client_conn": "5\nauth_type = any", "listen_port": "1",
        ])
        #expect(settings["default_pool_size"] == "7")
        #expect(settings["auth_type"] == "scram-sha-256")
        #expect(settings["max_client_conn"] == "1000")
        #expect(settings["listen_port"] == "5432")
    }

    @Test(arguments: ["10.0.0.1 user=postgres", "host\nx", "", "localhost", "10.0.0.1;"])
    func anAddressIsAnAddress(_ text: String) {
        #expect(!ClusterView.isAddress(text))
    }

    @Test func labelsOfMetricsAreEscaped() {
        #expect(MetricLines.escaped("a\"b\\c\nd") == "a\\\"b\\\\c\\nd")
    }
}

extension String {
    fileprivate var trimmed: String {
        String(self.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}
