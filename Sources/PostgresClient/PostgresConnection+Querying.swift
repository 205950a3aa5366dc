internal import CLibPQ
internal import EventLoop
internal import Glibc

extension PostgresConnection {
    /// Runs one statement and returns its rows.
    ///
    /// - Parameters:
    ///   - sql: one statement, with `$1`, `$2`, ... for the parameters.
    ///   - parameters: the parameters' text; nil is NULL. Their types are what the statement makes of them.
    ///   - timeout: counts from the call, so it includes the wait for earlier queries. Without it the query may take
    ///     as long as the server lives.
    /// - Returns: the rows, as text.
    /// - Throws: ``PostgresError``. After `server`, `timeout`, `cancelled` and `resultTooLarge` the connection remains
    ///   usable unless ``isUsable`` says otherwise. A query that had succeeded before the cancel request reached the
    ///   server is a success.
    public func query(
        _ sql: String,
        _ parameters: [String?] = [],
        timeout: Duration? = nil
    ) async throws(PostgresError) -> PostgresRows {
        // Walsenders take only the simple protocol.
        let isSimple = self.configuration.replication != nil && parameters.isEmpty
        return try await self.run(Statement(sql: sql, parameters: parameters, isSimple: isSimple), timeout: timeout)
    }

    /// Runs statements separated by semicolons, in one transaction unless they say otherwise.
    /// - Returns: the last statement's rows.
    /// - Throws: as ``query(_:_:timeout:)``.
    @discardableResult
    public func execute(script: String, timeout: Duration? = nil) async throws(PostgresError) -> PostgresRows {
        try await self.run(Statement(sql: script, parameters: [], isSimple: true), timeout: timeout)
    }

    private func run(_ statement: Statement, timeout: Duration?) async throws(PostgresError) -> PostgresRows {
        guard statement.isSendable else {
            throw PostgresError(code: .invalidArgument, message: "a query or a parameter contains a NUL byte")
        }
        guard statement.parameters.count <= Int(UInt16.max) else {
            throw PostgresError(code: .invalidArgument, message: "a query has too many parameters")
        }
        let deadline = timeout.map { ContinuousClock.now + $0 }
        return
            try await self.inTurn(until: deadline) {
                guard case .open(let handle) = self.state else {
                    return .failure(self.closedError)
                }
                let result = await self.perform(statement, on: handle, until: deadline)
                if unsafe PQstatus(handle.pointer) != CONNECTION_OK {
                    self.shut(PostgresError(code: .closed, message: "the connection had broken before"))
                }
                return result
            }
            .get()
    }

    private var closedError: PostgresError {
        if case .closed(let error) = self.state {
            return PostgresError(code: .closed, message: error.message)
        }
        return PostgresError(code: .closed, message: "the connection is not open")
    }

    private func perform(
        _ statement: Statement,
        on handle: ConnectionHandle,
        until deadline: ContinuousClock.Instant?
    ) async -> Result<PostgresRows, PostgresError> {
        guard statement.send(on: handle) else {
            return .failure(Self.lost(handle, error: nil))
        }
        var collector = ResultCollector(maximumBytes: self.configuration.maximumResultBytes)
        var interruption: PostgresError?
        var deadline = deadline
        var repeatCancel: ContinuousClock.Instant?
        var isFlushed = false
        var unparsedBytes = 0

        func interrupt(_ error: PostgresError) {
            guard interruption == nil else { return }
            interruption = error
            deadline = .now + self.configuration.cancelGrace
            repeatCancel = .now + Self.cancelInterval
            self.requestCancel(handle)
        }

        reading: while true {
            if !isFlushed {
                switch unsafe PQflush(handle.pointer) {
                case 0: isFlushed = true
                case 1: break
                default:
                    collector.drain(handle)
                    return .failure(Self.lost(handle, error: collector.error))
                }
            }
            switch collector.collect(handle) {
            case .complete:
                break reading
            case .unsupported:
                self.shut(PostgresError(code: .closed, message: "the connection was closed after COPY"))
                return .failure(PostgresError(code: .unsupported, message: "COPY is not supported"))
            case .progress:
                unparsedBytes = 0
            case .waiting:
                break
            }
            guard case .open = self.state else { return .failure(self.closedError) }
            if collector.isTooLarge { interrupt(Self.tooLarge) }
            if self.isCancelled {
                interrupt(PostgresError(code: .cancelled, message: "the query was cancelled with its task"))
            }
            // One field can be as large as a gigabyte, and libpq would take it all in before it shows a row.
            if unparsedBytes > self.configuration.maximumResultBytes + 1 << 16 {
                self.shut(PostgresError(code: .closed, message: "the connection was closed amid a result too large"))
                return .failure(Self.tooLarge)
            }
            let wake = await self.suspend(
                on: unsafe PQsocket(handle.pointer),
                interest: isFlushed ? .readable : [.readable, .writable],
                until: repeatCancel.flatMap { again in deadline.map { min(again, $0) } } ?? deadline
            )
            switch wake {
            case .event:
                continue
            case .deadline where interruption == nil:
                interrupt(PostgresError(code: .timeout, message: "the query took longer than its timeout"))
            case .deadline where deadline.map { ContinuousClock.now < $0 } ?? true:
                repeatCancel = .now + Self.cancelInterval
                if !self.isCancelRequestUnderWay { self.requestCancel(handle) }
            case .deadline:
                self.shut(PostgresError(code: .closed, message: "the server did not answer a cancel request"))
                return .failure(interruption ?? Self.tooLarge)
            case .ready:
                let before = Self.readableBytes(handle)
                let isAlive = unsafe PQconsumeInput(handle.pointer) == 1
                unparsedBytes += max(0, before - Self.readableBytes(handle))
                guard isAlive else {
                    collector.drain(handle)
                    return .failure(Self.lost(handle, error: collector.error))
                }
            }
        }
        await self.waitForCancelRequest(until: deadline)
        return self.conclude(collector, handle: handle, interruption: interruption)
    }

    private func conclude(
        _ collector: ResultCollector,
        handle: ConnectionHandle,
        interruption: PostgresError?
    ) -> Result<PostgresRows, PostgresError> {
        guard unsafe PQstatus(handle.pointer) == CONNECTION_OK else {
            return .failure(Self.lost(handle, error: collector.error))
        }
        if collector.isTooLarge { return .failure(Self.tooLarge) }
        if let error = collector.error {
            if let interruption, error.sqlState == "57014" { return .failure(interruption) }
            return .failure(error)
        }
        return .success(collector.rows)
    }

    // MARK: Cancelling

    /// A cancel request that overtakes its query finds an idle session and is forgotten, so it is sent again.
    private static let cancelInterval = Duration.milliseconds(100)

    private func requestCancel(_ handle: ConnectionHandle) {
        guard let cancellation = BlockingCalls.Cancellation(handle) else { return }
        self.isCancelRequestUnderWay = true
        cancellation.send {
            // Not structured: it comes from another thread. It does one step on the loop's thread.
            Task { await self.cancelRequestEnded() }
        }
    }

    private func cancelRequestEnded() {
        self.isCancelRequestUnderWay = false
        self.wake()
    }

    /// A cancel request that is still on its way could hit the next query.
    private func waitForCancelRequest(until deadline: ContinuousClock.Instant?) async {
        while self.isCancelRequestUnderWay {
            guard case .open = self.state else { return }
            if case .deadline = await self.suspend(on: nil, until: deadline) {
                self.shut(PostgresError(code: .closed, message: "the server did not answer a cancel request"))
            }
        }
    }

    // MARK: Small parts

    private static let tooLarge = PostgresError(
        code: .resultTooLarge,
        message: "the result is larger than this connection accepts"
    )

    private static func readableBytes(_ handle: ConnectionHandle) -> Int {
        var count: Int32 = 0
        guard unsafe ioctl(PQsocket(handle.pointer), UInt(FIONREAD), &count) == 0 else { return 0 }
        return Int(count)
    }

    /// The server may have said why before it hung up (57P01 when an administrator ended the session).
    private static func lost(_ handle: ConnectionHandle, error: PostgresError?) -> PostgresError {
        if let error { return PostgresError(code: .connectionLost, sqlState: error.sqlState, message: error.message) }
        let (sqlState, message) = handle.lastError
        return PostgresError(code: .connectionLost, sqlState: sqlState, message: message)
    }
}
