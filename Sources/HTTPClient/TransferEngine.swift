internal import CLibCurl
internal import EventLoop

/// The one owner of a libcurl multi handle, pinned to the thread of the event loop.
///
/// libcurl says which sockets and which timer it wants watched; the loop calls back into ``act(on:events:)``. Transfers
/// are known by identifiers from a counter.
actor TransferEngine {
    @safe
    private struct MultiHandle: ~Copyable {
        let raw: UnsafeMutableRawPointer

        init?() {
            guard EasyHandle.isLibraryReady, let raw = unsafe curl_multi_init() else { return nil }
            unsafe self.raw = raw
        }

        deinit {
            _ = unsafe curl_multi_cleanup(self.raw)
        }
    }

    nonisolated let loop: EventLoop
    private let maximumConnectionsPerHost: Int?
    private let multiplexes: Bool
    private var multi: MultiHandle?
    private var transfers: [UInt64: Transfer] = [:]
    private var sockets: [Int32: EventLoop.RegistrationID] = [:]
    private var timer: EventLoop.TimerID?
    private var isShutDown = false

    init(loop: EventLoop, maximumConnectionsPerHost: Int?, multiplexes: Bool) {
        self.loop = loop
        self.maximumConnectionsPerHost = maximumConnectionsPerHost
        self.multiplexes = multiplexes
    }

    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe self.loop.asUnownedSerialExecutor() }

    // MARK: For the client

    func send(_ request: PreparedRequest, id: UInt64) async -> Result<HTTPResponse, HTTPClientError> {
        await withCheckedContinuation { continuation in
            let limit = request.request.maximumBodySize
            switch self.start(request, id: id, consumer: .collecting(limit: limit)) {
            case .success(let transfer): transfer.response = continuation
            case .failure(let error): continuation.resume(returning: .failure(error))
            }
        }
    }

    func openStream(_ request: PreparedRequest, id: UInt64) async -> Result<HTTPResponseHead, HTTPClientError> {
        await withCheckedContinuation { continuation in
            switch self.start(request, id: id, consumer: .streaming) {
            case .success(let transfer): transfer.head = continuation
            case .failure(let error): continuation.resume(returning: .failure(error))
            }
        }
    }

    func nextChunk(of id: UInt64) async -> Result<[UInt8]?, HTTPClientError> {
        guard let transfer = self.transfers[id] else {
            return .failure(HTTPClientError(code: .cancelled, message: "the stream has ended", requestWasSent: true))
        }
        if let chunk = transfer.takeChunk() {
            transfer.resumeIfPaused()
            return chunk
        }
        guard transfer.chunk == nil else {
            return .failure(HTTPClientError(code: .invalidRequest, message: "a stream has one reader"))
        }
        return await withCheckedContinuation { continuation in
            transfer.chunk = continuation
            transfer.resumeIfPaused()
        }
    }

    /// Removes a transfer, finished or not.
    ///
    /// Whoever still waits for it gets `cancelled`.
    func cancel(_ id: UInt64) {
        self.end(id, HTTPClientError(code: .cancelled, message: "the request was cancelled", requestWasSent: true))
    }

    func shutdown() {
        self.isShutDown = true
        for id in Array(self.transfers.keys) {
            self.end(id, HTTPClientError(code: .shutDown, message: "the client was shut down", requestWasSent: true))
        }
        // Taken out first: closing the connections calls back into this actor.
        _ = self.multi.take()
        for registration in self.sockets.values {
            self.loop.deregister(registration)
        }
        self.sockets = [:]
        if let timer = self.timer { self.loop.cancel(timer) }
        self.timer = nil
    }

    // MARK: Transfers

    private func start(
        _ request: PreparedRequest,
        id: UInt64,
        consumer: Transfer.Consumer
    ) -> Result<Transfer, HTTPClientError> {
        // The handler of a cancelled task comes through this actor too: either it finds the transfer, or it came
        // before and this finds the flag.
        if Task.isCancelled {
            return .failure(HTTPClientError(code: .cancelled, message: "the request was cancelled"))
        }
        if self.isShutDown {
            return .failure(HTTPClientError(code: .shutDown, message: "the client was shut down"))
        }
        if let problem = request.problem {
            return .failure(HTTPClientError(code: .invalidRequest, message: problem))
        }
        guard self.openMulti(), let multi = unsafe self.multi?.raw, var easy = EasyHandle() else {
            return .failure(HTTPClientError(code: .internalFailure, message: "libcurl gave no handle"))
        }
        request.apply(to: &easy)
        let refused = easy.refused
        guard refused == CURLE_OK else {
            return .failure(HTTPClientError(code: .invalidRequest, message: Self.text(of: refused)))
        }
        let transfer = Transfer(id: id, consumer: consumer, easy: easy)
        transfer.installCallbacks()
        self.transfers[id] = transfer
        let code = unsafe curl_multi_add_handle(multi, transfer.easy.raw)
        guard code == CURLM_OK else {
            self.transfers[id] = nil
            return .failure(HTTPClientError(code: .internalFailure, message: Self.text(of: code)))
        }
        if let idleTimeout = request.request.idleTimeout {
            self.watchSilence(of: transfer, limit: idleTimeout, after: idleTimeout)
        }
        return .success(transfer)
    }

    private func watchSilence(of transfer: Transfer, limit: Duration, after delay: Duration) {
        let id = transfer.id
        transfer.idleTimer = self.loop.schedule(after: delay) { [weak self] in
            self?
                .assumeIsolated { engine in
                    guard let transfer = engine.transfers[id], transfer.outcome == nil else { return }
                    let silence = transfer.isHeldByReader ? .zero : transfer.lastByte.duration(to: .now)
                    guard silence >= limit else {
                        engine.watchSilence(of: transfer, limit: limit, after: limit - silence)
                        return
                    }
                    let error = HTTPClientError(
                        code: .timedOut,
                        message: "no byte came for \(limit)",
                        requestWasSent: true
                    )
                    engine.detach(transfer)
                    transfer.finish(.failure(error))
                    engine.forgetIfCollected(transfer)
                }
        }
    }

    /// Takes a transfer out of libcurl's hands, tells who waits and forgets it.
    private func end(_ id: UInt64, _ error: HTTPClientError) {
        guard let transfer = self.transfers.removeValue(forKey: id) else { return }
        self.detach(transfer)
        transfer.finish(.failure(error))
    }

    private func detach(_ transfer: Transfer) {
        if let timer = transfer.idleTimer { self.loop.cancel(timer) }
        transfer.idleTimer = nil
        guard transfer.outcome == nil, let multi = unsafe self.multi?.raw else { return }
        _ = unsafe curl_multi_remove_handle(multi, transfer.easy.raw)
    }

    /// A stream stays known until its scope ends, because its last bytes may still have to be read.
    private func forgetIfCollected(_ transfer: Transfer) {
        switch transfer.consumer {
        case .collecting: self.transfers[transfer.id] = nil
        case .streaming: break
        }
    }

    private func collectFinished() {
        while let multi = unsafe self.multi?.raw {
            let finished = unsafe drover_multi_next_finished(multi)
            guard let handle = unsafe finished.handle else { return }
            var tag: UnsafeMutableRawPointer?
            _ = unsafe drover_easy_getinfo_pointer(handle, CURLINFO_PRIVATE, &tag)
            let result = unsafe finished.result
            guard let transfer = self.transfers[UInt64(UInt(bitPattern: tag))] else {
                _ = unsafe curl_multi_remove_handle(multi, handle)
                continue
            }
            let outcome = self.outcome(of: transfer, result: result)
            self.detach(transfer)
            transfer.finish(outcome)
            self.forgetIfCollected(transfer)
        }
    }

    private func outcome(of transfer: Transfer, result: CURLcode) -> Result<Void, HTTPClientError> {
        if let failure = transfer.ownFailure { return .failure(failure) }
        if result == CURLE_OK, transfer.isHeadComplete { return .success(()) }
        let details = transfer.easy.errorMessage
        return .failure(
            HTTPClientError(
                code: Self.code(of: result),
                message: details.isEmpty ? Self.text(of: result) : details,
                requestWasSent: transfer.easy.longInfo(CURLINFO_REQUEST_SIZE) > 0 || transfer.status != 0
            )
        )
    }

    // MARK: libcurl's wishes

    private func openMulti() -> Bool {
        guard self.multi == nil else { return true }
        guard let multi = MultiHandle() else { return false }
        let raw = unsafe multi.raw
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        _ = unsafe drover_multi_setopt_pointer(raw, CURLMOPT_SOCKETDATA, context)
        _ = unsafe drover_multi_setopt_pointer(raw, CURLMOPT_TIMERDATA, context)
        _ = unsafe drover_multi_setopt_long(raw, CURLMOPT_PIPELINING, self.multiplexes ? Int(CURLPIPE_MULTIPLEX) : 0)
        if let most = self.maximumConnectionsPerHost {
            _ = unsafe drover_multi_setopt_long(raw, CURLMOPT_MAX_HOST_CONNECTIONS, most)
        }
        _ = unsafe drover_multi_setopt_socket_function(raw) { _, socket, what, context, _ in
            guard let context = unsafe context else { return 0 }
            let engine = unsafe Unmanaged<TransferEngine>.fromOpaque(context).takeUnretainedValue()
            engine.assumeIsolated { $0.watch(socket, what: what) }
            return 0
        }
        _ = unsafe drover_multi_setopt_timer_function(raw) { _, milliseconds, context in
            guard let context = unsafe context else { return 0 }
            let engine = unsafe Unmanaged<TransferEngine>.fromOpaque(context).takeUnretainedValue()
            engine.assumeIsolated { $0.setTimer(milliseconds) }
            return 0
        }
        self.multi = consume multi
        return true
    }

    private func watch(_ socket: Int32, what: Int32) {
        let old = self.sockets[socket]
        var interest: EventLoop.Interest = []
        if what & CURL_POLL_IN != 0, what != CURL_POLL_REMOVE { interest.insert(.readable) }
        if what & CURL_POLL_OUT != 0, what != CURL_POLL_REMOVE { interest.insert(.writable) }
        if let old, !interest.isEmpty {
            do {
                try self.loop.update(old, interest: interest)
                return
            } catch {
                // The number belongs to another socket by now: register that one below.
            }
        }
        if let old {
            self.loop.deregister(old)
            self.sockets[socket] = nil
        }
        guard !interest.isEmpty else { return }
        // When the kernel refuses, the transfer's own deadline ends it.
        self.sockets[socket] = try? self.loop.register(socket, interest: interest) { [weak self] ready in
            self?
                .assumeIsolated { engine in
                    var events: Int32 = 0
                    if ready.contains(.readable) { events |= CURL_CSELECT_IN }
                    if ready.contains(.writable) { events |= CURL_CSELECT_OUT }
                    engine.act(on: socket, events: events)
                }
        }
    }

    private func setTimer(_ milliseconds: Int) {
        if let timer = self.timer { self.loop.cancel(timer) }
        self.timer = nil
        guard milliseconds >= 0 else { return }
        self.timer = self.loop.schedule(after: .milliseconds(milliseconds)) { [weak self] in
            self?
                .assumeIsolated { engine in
                    engine.timer = nil
                    engine.act(on: CURL_SOCKET_TIMEOUT, events: 0)
                }
        }
    }

    private func act(on socket: Int32, events: Int32) {
        guard let multi = unsafe self.multi?.raw else { return }
        var running: Int32 = 0
        _ = unsafe curl_multi_socket_action(multi, socket, events, &running)
        self.collectFinished()
    }

    // MARK: Errors

    private static func text(of code: CURLcode) -> String {
        unsafe curl_easy_strerror(code).map { unsafe String(cString: $0) } ?? "error \(code.rawValue)"
    }

    private static func text(of code: CURLMcode) -> String {
        unsafe curl_multi_strerror(code).map { unsafe String(cString: $0) } ?? "error \(code.rawValue)"
    }

    private static func code(of result: CURLcode) -> HTTPClientError.Code {
        switch result {
        case CURLE_URL_MALFORMAT, CURLE_SSL_CERTPROBLEM, CURLE_BAD_FUNCTION_ARGUMENT, CURLE_SSL_CACERT_BADFILE,
            CURLE_UNKNOWN_OPTION, CURLE_NOT_BUILT_IN:
            .invalidRequest
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: .nameNotFound
        case CURLE_COULDNT_CONNECT, CURLE_INTERFACE_FAILED, CURLE_PROXY: .connectFailed
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CIPHER, CURLE_SSL_ISSUER_ERROR:
            .tlsFailed
        case CURLE_OPERATION_TIMEDOUT: .timedOut
        case CURLE_UNSUPPORTED_PROTOCOL, CURLE_WEIRD_SERVER_REPLY, CURLE_BAD_CONTENT_ENCODING:
            .malformedResponse
        case CURLE_OUT_OF_MEMORY, CURLE_FAILED_INIT: .internalFailure
        // CURLE_HTTP2 too: that is how libcurl tells of a connection that the server closed in the middle of a frame.
        default: .connectionLost
        }
    }
}
