internal import CLibCurl
internal import EventLoop

/// One transfer and what has come of it.
///
/// Touched on the loop's thread only; the engine owns it, libcurl's callbacks borrow it.
final class Transfer {
    typealias Answer<Value> = CheckedContinuation<Result<Value, HTTPClientError>, Never>

    enum Consumer {
        case collecting(limit: Int)
        case streaming
    }

    /// Bytes that may wait for a lagging reader before the transfer is paused.
    static let highWater = 256 << 10
    private static let maximumHeaderBytes = 64 << 10

    let id: UInt64
    let consumer: Consumer
    var easy: EasyHandle

    private(set) var status = 0
    private(set) var fields: [(name: String, value: String)] = []
    private var headerBytes = 0
    private(set) var isHeadComplete = false

    private(set) var body: [UInt8] = []
    private var chunks: [[UInt8]] = []
    private var waitingBytes = 0
    private var isPaused = false

    /// Why a callback broke the transfer off.
    private(set) var ownFailure: HTTPClientError?
    /// Set once libcurl is done with it.
    var outcome: Result<Void, HTTPClientError>?

    var response: Answer<HTTPResponse>?
    var head: Answer<HTTPResponseHead>?
    var chunk: Answer<[UInt8]?>?

    var idleTimer: EventLoop.TimerID?
    private(set) var lastByte = ContinuousClock.now

    init(id: UInt64, consumer: Consumer, easy: consuming EasyHandle) {
        self.id = id
        self.consumer = consumer
        self.easy = easy
    }

    /// Whether the silence is the reader's, not the server's.
    var isHeldByReader: Bool { self.isPaused }

    func installCallbacks() {
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe self.easy.set(CURLOPT_WRITEDATA, pointer: context)
        unsafe self.easy.set(CURLOPT_HEADERDATA, pointer: context)
        unsafe self.easy.set(CURLOPT_PRIVATE, pointer: UnsafeMutableRawPointer(bitPattern: UInt(self.id)))
        unsafe self.easy.set(CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
            guard let context = unsafe context else { return 0 }
            let transfer = unsafe Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
            return unsafe transfer.receivedBody(UnsafeRawBufferPointer(start: bytes, count: size * count))
        }
        unsafe self.easy.set(CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
            guard let context = unsafe context else { return 0 }
            let transfer = unsafe Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
            return unsafe transfer.receivedHeader(UnsafeRawBufferPointer(start: bytes, count: size * count))
        }
    }

    // MARK: From libcurl

    /// Takes body bytes; any other answer than their count breaks the transfer off or pauses it.
    private func receivedBody(_ bytes: UnsafeRawBufferPointer) -> Int {
        self.lastByte = .now
        switch self.consumer {
        case .collecting(let limit):
            guard self.body.count + bytes.count <= limit else {
                return self.breakOff(.tooLarge, "the response is larger than \(limit) bytes")
            }
            unsafe self.body.append(contentsOf: bytes)
        case .streaming:
            guard unsafe !bytes.isEmpty else { return 0 }
            if let waiter = self.chunk {
                self.chunk = nil
                waiter.resume(returning: .success(unsafe Array(bytes)))
            } else if self.waitingBytes > 0, self.waitingBytes + bytes.count > Self.highWater {
                self.isPaused = true
                return Int(CURL_WRITEFUNC_PAUSE)
            } else {
                unsafe self.chunks.append(Array(bytes))
                self.waitingBytes += bytes.count
            }
        }
        return bytes.count
    }

    /// Takes one header line, with its end.
    private func receivedHeader(_ bytes: UnsafeRawBufferPointer) -> Int {
        self.lastByte = .now
        self.headerBytes += bytes.count
        guard self.headerBytes <= Self.maximumHeaderBytes else {
            return self.breakOff(.tooLarge, "the response's headers are larger than \(Self.maximumHeaderBytes) bytes")
        }
        let line = unsafe String(decoding: bytes, as: UTF8.self)
        if line.hasPrefix("HTTP/") {
            // Also the second head after `100 Continue`.
            self.isHeadComplete = false
            self.status = line.split(separator: " ").dropFirst().first.flatMap { Int($0.prefix(3)) } ?? 0
            self.fields = []
        } else if line.utf8.allSatisfy({ $0 == 0x0D || $0 == 0x0A }) {
            if self.status >= 200, !self.isHeadComplete {
                self.isHeadComplete = true
                self.head?.resume(returning: .success(self.responseHead))
                self.head = nil
            }
        } else if !self.isHeadComplete, let colon = line.firstIndex(of: ":") {
            let value = line[line.index(after: colon)...]
            self.fields.append((name: String(line[..<colon]), value: Self.trimmed(value)))
        }
        return bytes.count
    }

    private func breakOff(_ code: HTTPClientError.Code, _ message: String) -> Int {
        self.ownFailure = HTTPClientError(code: code, message: message, requestWasSent: true)
        return 0
    }

    var responseHead: HTTPResponseHead {
        HTTPResponseHead(status: self.status, headers: HTTPHeaders(self.fields))
    }

    // MARK: From the engine

    /// The next piece of the body when there is one, or the end.
    func takeChunk() -> Result<[UInt8]?, HTTPClientError>? {
        if !self.chunks.isEmpty {
            // All that waits, in one piece: fewer hops for a reader that lags.
            var bytes = self.chunks[0]
            if self.chunks.count > 1 {
                bytes.reserveCapacity(self.waitingBytes)
                for chunk in self.chunks.dropFirst() { bytes.append(contentsOf: chunk) }
            }
            self.chunks = []
            self.waitingBytes = 0
            return .success(bytes)
        }
        return self.outcome.map { outcome in outcome.map { nil } }
    }

    /// Goes on after a pause, when the reader has caught up.
    func resumeIfPaused() {
        guard self.isPaused, self.outcome == nil else { return }
        self.isPaused = false
        self.lastByte = .now
        self.easy.unpause()
    }

    /// Tells everybody who waits.
    func finish(_ outcome: Result<Void, HTTPClientError>) {
        guard self.outcome == nil else { return }
        self.outcome = outcome
        if let response = self.response {
            self.response = nil
            response.resume(
                returning: outcome.map {
                    HTTPResponse(status: self.status, headers: HTTPHeaders(self.fields), body: self.body)
                }
            )
        }
        if let head = self.head {
            self.head = nil
            head.resume(returning: outcome.map { self.responseHead })
        }
        if let chunk = self.chunk {
            self.chunk = nil
            chunk.resume(returning: outcome.map { nil })
        }
    }

    private static func trimmed(_ text: Substring) -> String {
        var bytes = text.utf8[...]
        while let first = bytes.first, first == 0x20 || first == 0x09 { bytes.removeFirst() }
        while let last = bytes.last, last == 0x20 || last == 0x09 || last == 0x0D || last == 0x0A { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }
}
