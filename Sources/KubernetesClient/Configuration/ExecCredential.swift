/// What an exec plugin prints.
struct ExecCredential: Codable, Sendable {
    struct Status: Codable, Sendable {
        var token: String?
        var clientCertificateData: String?
        var clientKeyData: String?
        var expirationTimestamp: Timestamp?
    }

    struct Spec: Codable, Sendable {
        struct Cluster: Codable, Sendable {
            var server: String
            var certificateAuthorityData: Base64Data?
            var insecureSkipTLSVerify: Bool?
            var tlsServerName: String?

            private enum CodingKeys: String, CodingKey {
                case server
                case certificateAuthorityData = "certificate-authority-data"
                case insecureSkipTLSVerify = "insecure-skip-tls-verify"
                case tlsServerName = "tls-server-name"
            }
        }

        var cluster: Cluster?
        var interactive: Bool
    }

    var apiVersion: String
    var kind: String
    var spec: Spec?
    var status: Status?
}
