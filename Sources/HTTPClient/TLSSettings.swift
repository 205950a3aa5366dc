/// Whom to trust, and as whom to come.
public struct TLSSettings: Sendable, Hashable, CustomStringConvertible {
    /// The certificate authorities to trust, PEM; nil trusts those of the system.
    public var caPEM: String?
    /// The client certificate with its chain, PEM.
    public var certificatePEM: String?
    /// The client certificate's key, PEM.
    public var keyPEM: String?
    /// Whether the server's certificate is verified at all.
    ///
    /// False is for `insecure-skip-tls-verify` only.
    public var verifyPeer: Bool
    /// The name the server's certificate must have, when it is not the URL's host.
    public var serverName: String?

    /// Makes settings; without arguments the system's authorities are trusted and no client certificate is shown.
    public init(
        caPEM: String? = nil,
        certificatePEM: String? = nil,
        keyPEM: String? = nil,
        verifyPeer: Bool = true,
        serverName: String? = nil
    ) {
        self.caPEM = caPEM
        self.certificatePEM = certificatePEM
        self.keyPEM = keyPEM
        self.verifyPeer = verifyPeer
        self.serverName = serverName
    }

    /// What is set, without the key.
    public var description: String {
        """
        TLSSettings(ca: \(self.caPEM == nil ? "system" : "own"), \
        clientCertificate: \(self.certificatePEM != nil), verifyPeer: \(self.verifyPeer))
        """
    }
}
