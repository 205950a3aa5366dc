internal import Crypto
internal import Foundation

/// What PostgreSQL keeps of a password under SCRAM-SHA-256 (RFC 7677): enough to check it, not to log in with.
enum ScramVerifier {
    /// What PostgreSQL itself takes by default.
    private static let iterations = 4096

    /// The salt of a role of one cluster.
    ///
    /// Always the same, so that the verifier of one password is, too, and is not written again at every look. It is no
    /// secret: the server tells it to whoever wants to log in.
    static func salt(clusterUID: String, role: String) -> [UInt8] {
        Array(SHA256.hash(data: Data("drover.dev/role\n\(clusterUID)\n\(role)".utf8)).prefix(16))
    }

    /// The verifier of a password of printable ASCII characters, which SASLprep leaves as they are.
    static func make(password: String, salt: [UInt8]) -> String {
        let salted = SymmetricKey(data: Self.salted(password: password, salt: salt))
        let clientKey = Data(HMAC<SHA256>.authenticationCode(for: Data("Client Key".utf8), using: salted))
        let storedKey = Data(SHA256.hash(data: clientKey))
        let serverKey = Data(HMAC<SHA256>.authenticationCode(for: Data("Server Key".utf8), using: salted))
        return "SCRAM-SHA-256$\(Self.iterations):\(Data(salt).base64EncodedString())"
            + "$\(storedKey.base64EncodedString()):\(serverKey.base64EncodedString())"
    }

    /// PBKDF2 for one block, which is all that SHA-256 needs.
    private static func salted(password: String, salt: [UInt8]) -> [UInt8] {
        let key = SymmetricKey(data: Data(password.utf8))
        var block = Array(HMAC<SHA256>.authenticationCode(for: Data(salt + [0, 0, 0, 1]), using: key))
        var result = block
        for _ in 1..<Self.iterations {
            block = Array(HMAC<SHA256>.authenticationCode(for: block, using: key))
            for index in result.indices { result[index] ^= block[index] }
        }
        return result
    }
}
