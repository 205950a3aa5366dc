import CLibCrypto
import Foundation
import HTTPClient
import Testing

@Suite(.timeLimit(.minutes(2)))
struct ExitTests {
    /// The loop's thread may be in the middle of a TLS connection then.
    @Test func openSSLIsStillWholeWhenAProcessExits() async {
        await #expect(processExitsWith: .exitCode(0)) {
            try await withClient { client in
                // Nobody listens there; libcurl and OpenSSL have been set up by then.
                _ = try? await client.send(HTTPRequest(url: "https://127.0.0.1:1/"))
                OPENSSL_atexit { _exit(99) }
                exit(0)
            }
        }
    }
}
