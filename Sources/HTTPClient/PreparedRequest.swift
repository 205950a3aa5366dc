internal import CLibCurl
internal import Glibc

/// A request with the settings that count for it.
struct PreparedRequest: Sendable {
    var request: HTTPRequest
    var tls: TLSSettings
    var http2: Bool

    /// What keeps this request from being sent, or nil.
    var problem: String? {
        let url = self.request.url
        guard url.hasPrefix("https://") || url.hasPrefix("http://") else {
            return "the URL is not an http or https URL"
        }
        guard !Self.hasControlCharacters(url), !url.utf8.contains(UInt8(ascii: " ")) else {
            return "the URL has characters that must be percent-encoded"
        }
        guard Self.isToken(self.request.method.rawValue) else { return "the method is not a token" }
        for header in self.request.headers {
            guard Self.isToken(header.name) else { return "a header's name is not a token" }
            guard !Self.hasControlCharacters(header.value) else {
                return "the value of header \(header.name) has control characters"
            }
        }
        if let address = self.request.connectTo {
            guard !Self.hasControlCharacters(address.address), (1...65_535).contains(address.port) else {
                return "the address to connect to is not valid"
            }
        }
        if let name = self.tls.serverName {
            guard name.utf8.allSatisfy({ Self.isHostByte($0) }), !name.isEmpty else {
                return "the TLS server name is not a host name"
            }
        }
        return nil
    }

    /// Puts everything into `easy` but the callbacks.
    func apply(to easy: inout EasyHandle) {
        let request = self.request
        var headers = request.headers.map { header in
            // libcurl reads "Name:" as "leave the field out"; an empty value is written with a semicolon.
            header.value.isEmpty ? "\(header.name);" : "\(header.name): \(header.value)"
        }
        easy.set(CURLOPT_NOSIGNAL, 1)
        // Names are looked up on libcurl's threads; giving up must not wait for them, which would stop the loop.
        easy.set(CURLOPT_QUICK_EXIT, 1)
        easy.openSocketsClosedOnExec()
        easy.set(CURLOPT_TCP_KEEPALIVE, 1)
        easy.set(CURLOPT_TCP_KEEPIDLE, 15)
        easy.set(CURLOPT_TCP_KEEPINTVL, 5)
        easy.set(CURLOPT_PROTOCOLS_STR, "http,https")
        easy.set(CURLOPT_FOLLOWLOCATION, 0)
        easy.set(CURLOPT_HTTP09_ALLOWED, 0)
        easy.set(CURLOPT_CONNECTTIMEOUT_MS, Self.milliseconds(request.connectTimeout))
        easy.set(CURLOPT_TIMEOUT_MS, request.timeout.map(Self.milliseconds) ?? 0)

        switch request.connection {
        case .shared:
            easy.set(CURLOPT_HTTP_VERSION, self.http2 ? Int(CURL_HTTP_VERSION_2TLS) : Int(CURL_HTTP_VERSION_1_1))
            easy.set(CURLOPT_PIPEWAIT, 1)
        case .dedicated:
            easy.set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        }

        var url = request.url
        var connectTo = request.connectTo.map { Self.authority($0.address, $0.port) }
        if let serverName = self.tls.serverName, let parts = URLParts(url) {
            // libcurl takes the name to verify from the URL only.
            connectTo = connectTo ?? parts.authorityWithPort
            headers.append("Host: \(parts.authority)")
            url = parts.replacingHost(with: serverName)
        }
        easy.set(CURLOPT_URL, url)
        if let connectTo {
            easy.set(CURLOPT_CONNECT_TO, list: ["::\(connectTo)"])
        }
        if request.connectTo != nil {
            easy.set(CURLOPT_NOPROXY, "*")
        } else {
            easy.set(CURLOPT_NOPROXY, Self.noProxy)
        }

        self.applyTLS(to: &easy)
        self.applyMethod(to: &easy, headers: &headers)
        easy.set(CURLOPT_HTTPHEADER, list: headers)
    }

    private func applyTLS(to easy: inout EasyHandle) {
        if let ca = self.tls.caPEM, !ca.isEmpty {
            easy.set(CURLOPT_CAINFO_BLOB, blob: ca)
            // Otherwise the system's directory of authorities would be trusted beside ours.
            easy.set(CURLOPT_CAPATH, nil as String?)
        }
        if let certificate = self.tls.certificatePEM, let key = self.tls.keyPEM {
            easy.set(CURLOPT_SSLCERTTYPE, "PEM")
            easy.set(CURLOPT_SSLCERT_BLOB, blob: certificate)
            easy.set(CURLOPT_SSLKEYTYPE, "PEM")
            easy.set(CURLOPT_SSLKEY_BLOB, blob: key)
        }
        easy.set(CURLOPT_SSL_VERIFYPEER, self.tls.verifyPeer ? 1 : 0)
        easy.set(CURLOPT_SSL_VERIFYHOST, self.tls.verifyPeer ? 2 : 0)
        easy.set(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
    }

    private func applyMethod(to easy: inout EasyHandle, headers: inout [String]) {
        let request = self.request
        let names = Set(request.headers.map { $0.name.lowercased() })
        headers.append("Expect:")
        if !names.contains("accept") { headers.append("Accept:") }
        switch (request.method, request.body) {
        case (.get, nil): easy.set(CURLOPT_HTTPGET, 1)
        case (.head, nil): easy.set(CURLOPT_NOBODY, 1)
        case (let method, nil):
            if method == .post || method == .put || method == .patch {
                easy.set(CURLOPT_POST, 1)
                easy.setBody([])
                headers.append("Content-Type:")
            }
            easy.set(CURLOPT_CUSTOMREQUEST, method.rawValue)
        case (let method, let body?):
            easy.set(CURLOPT_POST, 1)
            easy.setBody(body)
            if !names.contains("content-type") { headers.append("Content-Type:") }
            easy.set(CURLOPT_CUSTOMREQUEST, method.rawValue)
        }
    }

    /// Loopback never goes through a proxy, whatever the environment says of others.
    private static let noProxy: String = {
        var hosts = ["localhost", "127.0.0.0/8", "::1"]
        for name in ["no_proxy", "NO_PROXY"] {
            guard let value = unsafe getenv(name) else { continue }
            hosts.append(unsafe String(cString: value))
            break
        }
        return hosts.contains("*") ? "*" : hosts.joined(separator: ",")
    }()

    private static func milliseconds(_ duration: Duration) -> Int {
        // Zero would mean "none" to libcurl.
        let (seconds, attoseconds) = duration.components
        guard seconds < 1_000_000 else { return 1_000_000_000 }
        return max(1, Int(seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000))
    }

    private static func authority(_ address: String, _ port: Int) -> String {
        address.contains(":") && !address.hasPrefix("[") ? "[\(address)]:\(port)" : "\(address):\(port)"
    }

    private static func hasControlCharacters(_ text: String) -> Bool {
        text.utf8.contains { $0 < 0x20 && $0 != 0x09 || $0 == 0x7F }
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    private static func isToken(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                Self.isHostByte(byte) || "!#$%&'*+^`|~".utf8.contains(byte)
            }
    }
}

/// The parts of a URL that change when another name is to be verified.
struct URLParts {
    var scheme: String
    /// Host, with port when there is one, as in the URL.
    var authority: String
    var rest: String

    init?(_ url: String) {
        guard let scheme = ["https", "http"].first(where: { url.hasPrefix("\($0)://") }) else { return nil }
        self.scheme = scheme
        let afterScheme = url.dropFirst(scheme.count + 3)
        let ends: [Character] = ["/", "?", "#"]
        let end = afterScheme.firstIndex(where: ends.contains) ?? afterScheme.endIndex
        self.authority = String(afterScheme[..<end])
        self.rest = String(afterScheme[end...])
        guard !self.authority.isEmpty, !self.authority.contains("@") else { return nil }
    }

    private var portText: String? {
        guard let colon = self.authority.lastIndex(of: ":"), !self.authority[colon...].contains("]") else { return nil }
        return String(self.authority[self.authority.index(after: colon)...])
    }

    var authorityWithPort: String {
        self.portText == nil ? "\(self.authority):\(self.scheme == "http" ? 80 : 443)" : self.authority
    }

    func replacingHost(with host: String) -> String {
        let port = self.portText.map { ":\($0)" } ?? ""
        return "\(self.scheme)://\(host)\(port)\(self.rest)"
    }
}
