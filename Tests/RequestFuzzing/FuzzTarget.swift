package import Certificates
internal import Foundation

/// An API that is to be troubled.
package struct FuzzTarget: Sendable {
    private let host: String
    private let port: Int
    private let name: String
    /// Who signed its certificate.
    private let authority: CertificateAuthority

    package init(host: String, port: Int, name: String, authority: CertificateAuthority) {
        self.host = host
        self.port = port
        self.name = name
        self.authority = authority
    }

    /// Somebody without a certificate.
    package var nobody: RawConnection.Identity { RawConnection.Identity(authority: self.authority.certificatePEM) }

    /// Somebody with a certificate.
    /// - Parameters:
    ///   - name: the common name in it.
    ///   - signer: who signed it, by default the same one as the API's own.
    /// - Returns: as whom to connect.
    /// - Throws: when no certificate can be made.
    package func somebody(_ name: String, signedBy signer: CertificateAuthority? = nil) throws -> RawConnection.Identity
    {
        let issued = try (signer ?? self.authority)
            .issue(CertificateRequest(commonName: name, usages: [.client], lifetime: 3600), now: Date())
        return RawConnection.Identity(
            authority: self.authority.certificatePEM,
            certificate: issued.certificatePEM,
            key: issued.keyPEM
        )
    }

    package func open(as identity: RawConnection.Identity) async throws -> RawConnection {
        try await .open(host: self.host, port: self.port, name: self.name, as: identity)
    }

    /// Connects, says nothing, and waits until the other side has had enough of that.
    package func waitInSilence() async throws {
        try await RawConnection.waitInSilence(host: self.host, port: self.port)
    }

    /// Whether a sound request is answered as it should be.
    package func answers(_ path: String, to identity: RawConnection.Identity) async throws -> Bool {
        let connection = try await self.open(as: identity)
        await connection.send(KnownRequest("GET", path).bytes)
        let status = await connection.status(within: .seconds(20))
        await connection.close()
        return status == 200
    }

    /// Sends it cases that are made from what it knows, `FuzzRun.seed` on.
    ///
    /// - Parameters:
    ///   - known: what it knows.
    ///   - identity: as whom.
    ///   - count: how many; `DROVER_FUZZ_CASES` says otherwise.
    ///   - patience: how long an answer is waited for.
    /// - Returns: how often each status was answered.
    /// - Throws: when a connection fails.
    package func trouble(
        with known: [KnownRequest],
        as identity: RawConnection.Identity,
        cases count: Int,
        patience: Duration
    ) async throws -> [Int: Int] {
        var fuzzer = RequestFuzzer(seed: FuzzRun.seed, known: known)
        return try await FuzzRun.send(
            FuzzRun.cases(count),
            from: &fuzzer,
            patience: patience,
            connect: { try await self.open(as: identity) }
        )
    }

    /// Waits until the API has come up.
    /// - Returns: whether it has within a minute.
    package func isUp(_ path: String, for identity: RawConnection.Identity) async throws -> Bool {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            if (try? await self.answers(path, to: identity)) == true { return true }
            try await Task.sleep(for: .milliseconds(20))
        }
        return false
    }

    /// The bodies that are known but not understood: what is made of them would not get far.
    package func misunderstood(_ known: [KnownRequest], from identity: RawConnection.Identity) async throws -> [String]
    {
        var paths: [String] = []
        for request in known where !request.body.isEmpty {
            let connection = try await self.open(as: identity)
            await connection.send(request.bytes)
            if await connection.status(within: .milliseconds(500)) == 400 { paths.append(request.path) }
            await connection.close()
        }
        return paths
    }
}
