internal import Crypto
internal import Foundation
internal import JSON

/// Signs and checks service account tokens (JWT, ES256), bound to the objects they name.
struct TokenIssuer: Sendable {
    static let issuer = "https://kubernetes.default.svc.cluster.local"

    private let key: P256.Signing.PrivateKey
    private let keyID: String
    private let now: @Sendable () -> Date

    init(key: P256.Signing.PrivateKey, now: @escaping @Sendable () -> Date) {
        self.key = key
        self.keyID = Self.base64URL(Array(SHA256.hash(data: key.publicKey.derRepresentation)))
        self.now = now
    }

    /// A token for a service account, of so many seconds; `bound` names what must exist for it to count.
    func issue(
        account: StoredObject,
        audiences: [String],
        lifetime: Double,
        bound: (kind: String, name: String, uid: String)?
    ) throws -> (token: String, expires: Date) {
        let now = self.now()
        let expires = now.addingTimeInterval(lifetime)
        var kubernetes: JSONValue = [
            "namespace": .string(account.namespace),
            "serviceaccount": ["name": .string(account.name), "uid": .string(account.uid)],
        ]
        if let bound {
            kubernetes[bound.kind.lowercased()] = ["name": .string(bound.name), "uid": .string(bound.uid)]
        }
        let header: JSONValue = ["alg": "ES256", "typ": "JWT", "kid": .string(self.keyID)]
        let claims: JSONValue = [
            "iss": .string(Self.issuer), "aud": .array(audiences.map { .string($0) }),
            "sub": .string("system:serviceaccount:\(account.namespace):\(account.name)"),
            "iat": .int(Int64(now.timeIntervalSince1970)), "nbf": .int(Int64(now.timeIntervalSince1970)),
            "exp": .int(Int64(expires.timeIntervalSince1970)), "jti": .string(UUID().uuidString.lowercased()),
            "kubernetes.io": kubernetes,
        ]
        let text = Self.base64URL(header.serializedBytes()) + "." + Self.base64URL(claims.serializedBytes())
        let signature = try self.key.signature(for: Data(text.utf8))
        return (token: text + "." + Self.base64URL(Array(signature.rawRepresentation)), expires: expires)
    }

    /// The service account of a token; nil for any other text, and for tokens whose time or objects are gone.
    func identity(of token: String, audiences: [String] = [TokenIssuer.issuer], in store: ObjectStore) -> Identity? {
        let parts = token.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, let signatureBytes = Self.fromBase64URL(parts[2]),
            let signature = try? P256.Signing.ECDSASignature(rawRepresentation: signatureBytes),
            self.key.publicKey.isValidSignature(signature, for: Data("\(parts[0]).\(parts[1])".utf8)),
            let payload = Self.fromBase64URL(parts[1]), let claims = try? JSONValue(parsing: payload),
            claims["iss"]?.stringValue == Self.issuer, let expires = claims["exp"]?.intValue,
            Double(expires) > self.now().timeIntervalSince1970,
            let bound = claims["kubernetes.io"], let namespace = bound["namespace"]?.stringValue,
            let name = bound["serviceaccount"]?["name"]?.stringValue
        else { return nil }
        let intended = claims["aud"]?.arrayValue?.compactMap(\.stringValue) ?? []
        guard intended.contains(where: { audiences.contains($0) }),
            let account = store.find(.serviceAccounts, namespace: namespace, name: name),
            account.uid == bound["serviceaccount"]?["uid"]?.stringValue
        else { return nil }
        var identity = Identity(
            username: "system:serviceaccount:\(namespace):\(name)",
            uid: account.uid,
            groups: ["system:serviceaccounts", "system:serviceaccounts:\(namespace)", "system:authenticated"]
        )
        if let pod = bound["pod"], let podName = pod["name"]?.stringValue {
            guard let object = store.find(.pods, namespace: namespace, name: podName),
                object.uid == pod["uid"]?.stringValue
            else { return nil }
            identity.extra["authentication.kubernetes.io/pod-name"] = [podName]
            identity.extra["authentication.kubernetes.io/pod-uid"] = [object.uid]
        }
        if let secret = bound["secret"], let secretName = secret["name"]?.stringValue {
            guard let object = store.find(.secrets, namespace: namespace, name: secretName),
                object.uid == secret["uid"]?.stringValue
            else { return nil }
        }
        return identity
    }

    private static func base64URL(_ bytes: [UInt8]) -> String {
        var text = Data(bytes).base64EncodedString()
        text.removeAll { $0 == "=" }
        return String(text.map { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 })
    }

    private static func fromBase64URL(_ text: some StringProtocol) -> Data? {
        var text = String(text.map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 })
        while text.utf8.count % 4 != 0 { text.append("=") }
        return Data(base64Encoded: text)
    }
}
