internal import SeededRandom

/// What a path of an API wants, to begin with.
package struct KnownRequest: Sendable {
    package var method: String
    package var path: String
    package var body: String

    package init(_ method: String, _ path: String, _ body: String = "") {
        self.method = method
        self.path = path
        self.body = body
    }

    /// As it goes over the wire.
    package var bytes: [UInt8] {
        let head = "\(self.method) \(self.path) HTTP/1.1\r\nHost: a\r\nContent-Length: \(self.body.utf8.count)\r\n\r\n"
        return Array((head + self.body).utf8)
    }
}

/// A request as it goes over the wire.
package struct FuzzedRequest: Sendable, CustomStringConvertible {
    /// What is sent, piece by piece.
    package var pieces: [[UInt8]]
    /// Whether a whole answer is due.
    package var isAnswered: Bool
    /// Whether nothing can follow on the same connection.
    package var isLast: Bool

    package var description: String {
        let bytes = Array(self.pieces.joined())
        return "\(bytes.count) bytes: " + String(decoding: bytes.prefix(300), as: UTF8.self).debugDescription
    }
}

/// Makes requests that nobody in his right mind would send, and some that are nearly right; the same for the same seed.
package struct RequestFuzzer: Sendable {
    private var random: SeededGenerator
    private let known: [KnownRequest]

    package init(seed: UInt64, known: [KnownRequest]) {
        self.random = SeededGenerator(seed: seed)
        self.known = known
    }

    package mutating func next() -> FuzzedRequest {
        let request = self.known.randomElement(using: &self.random) ?? KnownRequest("GET", "/")
        var body = Array(request.body.utf8)
        switch Int.random(in: 0..<20, using: &self.random) {
        case 0..<9:
            body = self.mutated(request.body)
            return self.whole(request.method, request.path, body: body)
        case 9, 10: return self.whole(self.method(), self.path(request.path), body: self.mutated(request.body))
        case 11: return self.whole(request.method, request.path, headers: self.headers(), body: body)
        case 12:
            body = [UInt8](repeating: UInt8(ascii: " "), count: Int.random(in: 60_000...300_000, using: &self.random))
            return self.whole(request.method, request.path, body: body)
        case 13: return self.pipelined(request)
        case 14: return self.chunked(request)
        case 15:
            // Too little, and then nothing any more.
            let text = "\(request.method) \(request.path) HTTP/1.1\r\nHost: a\r\nContent-Length: 4000\r\n\r\n"
            return FuzzedRequest(pieces: [Array(text.utf8) + body], isAnswered: false, isLast: true)
        case 16:
            let whole = self.whole(request.method, request.path, body: body).pieces.joined()
            let end = Int.random(in: 0...whole.count, using: &self.random)
            return FuzzedRequest(pieces: [Array(whole.prefix(end))], isAnswered: false, isLast: true)
        case 17:
            let bytes = (0..<Int.random(in: 1...2_000, using: &self.random))
                .map { _ in UInt8.random(in: .min ... .max, using: &self.random) }
            return FuzzedRequest(pieces: [bytes], isAnswered: false, isLast: true)
        case 18:
            // Byte by byte at first.
            let whole = Array(
                self.whole(request.method, request.path, body: self.mutated(request.body)).pieces.joined()
            )
            let head = whole.prefix(24).map { [$0] }
            return FuzzedRequest(pieces: head + [Array(whole.dropFirst(24))], isAnswered: true, isLast: false)
        default:
            let bytes = self.flipped(Array(self.whole(request.method, request.path, body: body).pieces.joined()))
            return FuzzedRequest(pieces: [bytes], isAnswered: false, isLast: true)
        }
    }

    // MARK: Requests

    private func whole(
        _ method: String,
        _ path: String,
        headers: [String] = [],
        body: [UInt8]
    ) -> FuzzedRequest {
        var text = "\(method) \(path) HTTP/1.1\r\nHost: a\r\n"
        for header in headers { text += header + "\r\n" }
        text += "Content-Length: \(body.count)\r\n\r\n"
        return FuzzedRequest(
            pieces: [Array(text.utf8) + body],
            // The answer says how long a body would be that does not come.
            isAnswered: method != "HEAD",
            // HTTP ends where another protocol is asked for: the server's parser looks at nothing behind it.
            isLast: method == "HEAD" || headers.contains { $0.hasPrefix("Upgrade") }
        )
    }

    private mutating func pipelined(_ request: KnownRequest) -> FuzzedRequest {
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 2...8, using: &self.random) {
            bytes += self.whole(request.method, request.path, body: self.mutated(request.body)).pieces.joined()
        }
        return FuzzedRequest(pieces: [bytes], isAnswered: false, isLast: true)
    }

    private mutating func chunked(_ request: KnownRequest) -> FuzzedRequest {
        var bytes = Array(
            "\(request.method) \(request.path) HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".utf8
        )
        for _ in 0..<Int.random(in: 0...20, using: &self.random) {
            let size = ["5", "0", "-1", "fffffffffffffffff", "5;a=b", "zz", "1000"].randomElement(using: &self.random)
            bytes += Array("\(size ?? "5")\r\nabcde\r\n".utf8)
        }
        return FuzzedRequest(pieces: [bytes], isAnswered: false, isLast: true)
    }

    private mutating func method() -> String {
        ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "get", "X"]
            .randomElement(using: &self.random) ?? "GET"
    }

    private mutating func path(_ path: String) -> String {
        switch Int.random(in: 0..<9, using: &self.random) {
        case 0: path + "/"
        case 1: path + "?term=99999999999999999999&checkpoint=%ff"
        case 2: path + "/../status"
        case 3: "//" + path
        case 4: path.uppercased()
        case 5: "/" + String(repeating: "a/", count: Int.random(in: 1...400, using: &self.random))
        case 6: path + "%00%2e%2e%2f"
        case 7: "http://elsewhere" + path
        default: "*"
        }
    }

    private mutating func headers() -> [String] {
        (0..<Int.random(in: 1...40, using: &self.random))
            .map { number in
                switch Int.random(in: 0..<6, using: &self.random) {
                case 0: "X-\(number): " + String(repeating: "v", count: Int.random(in: 0...3_000, using: &self.random))
                case 1: "Content-Type: text/\(number)"
                case 2: "Expect: 100-continue"
                case 3: "Connection: keep-alive, upgrade"
                case 4: "Upgrade: h2c"
                default: "Authorization: Bearer \(number)"
                }
            }
    }

    // MARK: Bodies

    private mutating func mutated(_ body: String) -> [UInt8] {
        switch Int.random(in: 0..<10, using: &self.random) {
        case 0: return Array(body.utf8)
        case 1: return self.flipped(Array(body.utf8))
        case 2: return Array(body.utf8.prefix(Int.random(in: 0...max(0, body.utf8.count), using: &self.random)))
        case 3:
            let depth = Int.random(in: 1...20_000, using: &self.random)
            return Array(String(repeating: Bool.random(using: &self.random) ? "[" : #"{"a":"#, count: depth).utf8)
        case 4: return Array(body.utf8) + [0xC3, 0x28, 0xFF, 0xFE] + Array(body.utf8)
        case 5: return []
        default: return Array(self.withOtherValues(body).utf8)
        }
    }

    /// The same keys with other values.
    private mutating func withOtherValues(_ body: String) -> String {
        var text = ""
        var isValue = false
        for part in body.split(separator: ":", omittingEmptySubsequences: false) {
            if isValue {
                let end = part.firstIndex { $0 == "," || $0 == "}" || $0 == "]" } ?? part.endIndex
                text += ":" + (Bool.random(using: &self.random) ? String(part[..<end]) : self.value()) + part[end...]
            } else {
                text += part
                isValue = true
            }
        }
        return text
    }

    private mutating func value() -> String {
        [
            "null", "true", "0", "-1", "1e999", "9223372036854775807", "-9223372036854775808", "9223372036854775808",
            "1.5", #""""#, #""\u0000""#, #""\ud800""#, "[]", "{}", "[[[]]]", #""0/0""#, #""FFFFFFFF/FFFFFFFF""#,
            #""../../etc/passwd""#, #""'; drop table a; --""#, "\"\(String(repeating: "x", count: 5_000))\"",
        ]
        .randomElement(using: &self.random) ?? "null"
    }

    private mutating func flipped(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        guard !bytes.isEmpty else { return bytes }
        for _ in 0..<Int.random(in: 1...8, using: &self.random) {
            let index = Int.random(in: bytes.indices, using: &self.random)
            bytes[index] = UInt8.random(in: .min ... .max, using: &self.random)
        }
        return bytes
    }
}
