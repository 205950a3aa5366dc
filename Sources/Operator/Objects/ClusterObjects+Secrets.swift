internal import Foundation
internal import JSON
internal import KubernetesClient
internal import PostgresClusterAPI

extension ClusterObjects {
    /// A Secret of the cluster.
    func secret(
        _ name: String,
        labels: [String: String]?,
        annotations: [String: String] = [:],
        values: [String: String]
    ) -> JSONValue {
        self.object(
            Secret.resourceType,
            name,
            labels: labels,
            annotations: annotations,
            [
                "type": "Opaque",
                "data": .strings(values.mapValues { Data($0.utf8).base64EncodedString() }),
            ]
        )
    }

    /// What the application needs to connect; made once.
    func applicationSecret(password: String) -> JSONValue {
        self.connectionSecret(
            self.names.applicationSecret,
            username: self.spec.owner,
            password: password,
            database: self.spec.database
        )
    }

    /// What somebody needs to connect as a role.
    func connectionSecret(_ name: String, username: String, password: String, database: String) -> JSONValue {
        let host = "\(self.names.primaryService).\(self.namespace).svc"
        let port = InstancePorts.postgres
        let user = Self.percentEncoded(username)
        let secret = Self.percentEncoded(password)
        let path = Self.percentEncoded(database)
        return self.secret(
            name,
            labels: nil,
            values: [
                "username": username,
                "password": password,
                "host": host,
                "port": String(port),
                "dbname": database,
                "uri": "postgresql://\(user):\(secret)@\(host):\(port)/\(path)",
                "jdbc-uri": "jdbc:postgresql://\(host):\(port)/\(path)?user=\(user)&password=\(secret)",
            ]
        )
    }

    /// A password of 32 letters and digits, which needs no quoting anywhere.
    static func makePassword() -> String {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
        return String((0..<32).compactMap { _ in letters.randomElement() })
    }

    private static func percentEncoded(_ text: String) -> String {
        let unreserved = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~".utf8)
        return text.utf8
            .map { byte in
                unreserved.contains(byte)
                    ? String(UnicodeScalar(byte))
                    : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
            .joined()
    }
}
