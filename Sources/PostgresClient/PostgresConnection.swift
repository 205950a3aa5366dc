internal import CLibPQ
public import EventLoop
public import Logging

/// One session with a PostgreSQL server, driven by an event loop: nothing here ever blocks a thread.
///
/// Queries run one after the other; callers that come at the same time queue. Cancelling the task, or reaching the
/// timeout, cancels the query on the server and leaves the connection usable as soon as the server has answered. A
/// connection that broke stays broken: make a new one.
///
/// The session ends when ``close()`` is called or the last reference goes.
public actor PostgresConnection {
    enum State {
        case connecting
        case open(ConnectionHandle)
        case closed(PostgresError)
    }

    /// Why a suspended operation goes on.
    enum Wake {
        /// The socket is ready.
        case ready
        /// The time is over.
        case deadline
        /// Something else has happened that the operation looks at by itself.
        case event
    }

    private struct Suspension {
        let id: UInt64
        let continuation: CheckedContinuation<Wake, Never>
        var registration: EventLoop.RegistrationID?
        var timer: EventLoop.TimerID?
    }

    private struct Waiter {
        let id: UInt64
        let continuation: CheckedContinuation<PostgresError?, Never>
        let timer: EventLoop.TimerID?
    }

    /// The connection runs on this loop.
    public nonisolated let eventLoop: EventLoop
    /// What the connection was made with.
    public nonisolated let configuration: PostgresConfiguration
    let notices: NoticeReceiver

    var state = State.connecting
    /// The cancel request of the running query has not come back yet.
    var isCancelRequestUnderWay = false
    /// What the name server said, once it did.
    var resolvedAddresses: [String]?
    /// The lookup that is waited for; an older one may still answer.
    var currentLookup: UInt64?

    private var suspension: Suspension?
    /// An event came while nothing was suspended: between the operation's look for it and its suspension, perhaps.
    private var isEventPending = false
    private var turn: UInt64?
    private var isTurnCancelled = false
    private var waiters: [Waiter] = []
    private var nextID: UInt64 = 1

    /// Pins the actor to the loop's thread.
    public nonisolated var unownedExecutor: UnownedSerialExecutor {
        unsafe self.eventLoop.asUnownedSerialExecutor()
    }

    private init(configuration: PostgresConfiguration, eventLoop: EventLoop, logger: Logger?) {
        self.configuration = configuration
        self.eventLoop = eventLoop
        self.notices = NoticeReceiver(logger: logger)
    }

    // MARK: Life

    /// Opens a session with the first of the configured servers that accepts it.
    /// - Parameters:
    ///   - configuration: where and as whom.
    ///   - eventLoop: drives the connection.
    ///   - logger: gets the server's notices at level debug.
    /// - Returns: an open connection.
    /// - Throws: ``PostgresError``: `unreachable`, `authentication`, `tls`, `timeout`, `cancelled`, `invalidArgument`,
    ///   or `server` for any other refusal, with the SQLSTATE where the server said one.
    public static func connect(
        _ configuration: PostgresConfiguration,
        eventLoop: EventLoop,
        logger: Logger? = nil
    ) async throws(PostgresError) -> PostgresConnection {
        let connection = PostgresConnection(configuration: configuration, eventLoop: eventLoop, logger: logger)
        try await connection.open()
        return connection
    }

    /// Opens a session, hands it to `body`, and closes it whatever happens.
    /// - Throws: what ``connect(_:eventLoop:logger:)`` throws, and what `body` throws.
    @discardableResult
    public static func withConnection<Result>(
        _ configuration: PostgresConfiguration,
        eventLoop: EventLoop,
        logger: Logger? = nil,
        _ body: (PostgresConnection) async throws -> Result
    ) async throws -> Result {
        let connection = try await self.connect(configuration, eventLoop: eventLoop, logger: logger)
        defer { connection.close() }
        return try await body(connection)
    }

    /// Ends the session, soon.
    ///
    /// A running query fails with `closed`; it is not cancelled on the server.
    public nonisolated func close() {
        // Not structured, so that `defer` can call it. It does one step on the loop's thread and ends.
        Task { await self.shut(PostgresError(code: .closed, message: "the connection was closed")) }
    }

    /// Whether queries can still be sent, as far as is known without asking the server.
    public var isUsable: Bool {
        guard case .open(let handle) = self.state else { return false }
        return unsafe PQstatus(handle.pointer) == CONNECTION_OK
    }

    func shut(_ error: PostgresError) {
        if case .closed = self.state { return }
        self.state = .closed(error)
        self.wake()
    }

    private func open() async throws(PostgresError) {
        let result: Result<ConnectionHandle, PostgresError> = await self.inTurn(until: nil) {
            await self.connectToFirst()
        }
        if case .closed(let error) = self.state { throw error }
        switch result {
        case .success(let handle):
            self.state = .open(handle)
        case .failure(let error):
            self.state = .closed(error)
            throw error
        }
    }

    // MARK: Turns

    func makeID() -> UInt64 {
        defer { self.nextID += 1 }
        return self.nextID
    }

    /// Runs `body` when those that came before are done.
    ///
    /// Cancelling the task while `body` runs wakes it.
    func inTurn<Success>(
        until deadline: ContinuousClock.Instant?,
        _ body: () async -> Result<Success, PostgresError>
    ) async -> Result<Success, PostgresError> {
        guard !Task.isCancelled else {
            return .failure(PostgresError(code: .cancelled, message: "the task was cancelled before anything was sent"))
        }
        let id = self.makeID()
        return await withTaskCancellationHandler {
            if let error = await self.waitForTurn(id, until: deadline) { return .failure(error) }
            defer { self.endTurn() }
            return await body()
        } onCancel: {
            // Not structured, because a cancellation handler is synchronous. It does one step on the loop's thread.
            Task { await self.cancel(id) }
        }
    }

    /// Whether the task of the running operation was cancelled.
    var isCancelled: Bool { self.isTurnCancelled }

    private func waitForTurn(_ id: UInt64, until deadline: ContinuousClock.Instant?) async -> PostgresError? {
        guard self.turn != nil else {
            self.turn = id
            return nil
        }
        return await withCheckedContinuation { continuation in
            let timer = deadline.map { deadline in
                self.eventLoop.schedule(after: max(.zero, ContinuousClock.now.duration(to: deadline))) {
                    self.assumeIsolated {
                        $0.dropWaiter(
                            id,
                            PostgresError(code: .timeout, message: "the query waited too long for those before it")
                        )
                    }
                }
            }
            self.waiters.append(Waiter(id: id, continuation: continuation, timer: timer))
        }
    }

    private func endTurn() {
        self.isTurnCancelled = false
        guard !self.waiters.isEmpty else {
            self.turn = nil
            return
        }
        let next = self.waiters.removeFirst()
        if let timer = next.timer { self.eventLoop.cancel(timer) }
        self.turn = next.id
        next.continuation.resume(returning: nil)
    }

    private func dropWaiter(_ id: UInt64, _ error: PostgresError) {
        guard let index = self.waiters.firstIndex(where: { $0.id == id }) else { return }
        let waiter = self.waiters.remove(at: index)
        if let timer = waiter.timer { self.eventLoop.cancel(timer) }
        waiter.continuation.resume(returning: error)
    }

    private func cancel(_ id: UInt64) {
        guard self.turn == id else {
            self.dropWaiter(
                id,
                PostgresError(code: .cancelled, message: "the task was cancelled before anything was sent")
            )
            return
        }
        self.isTurnCancelled = true
        self.wake()
    }

    // MARK: Suspension

    /// Waits until the socket is ready, the time is over, or somebody calls ``wake()``.
    ///
    /// An event that came since the operation was last woken wakes it at once, so none is missed between a caller's
    /// look at the state and here. Callers look again, and must not mind being woken for nothing.
    func suspend(
        on descriptor: Int32?,
        interest: EventLoop.Interest = .readable,
        until deadline: ContinuousClock.Instant?
    ) async -> Wake {
        await withCheckedContinuation { continuation in
            guard !self.isEventPending else {
                self.isEventPending = false
                continuation.resume(returning: .event)
                return
            }
            let id = self.makeID()
            var suspension = Suspension(id: id, continuation: continuation)
            if let descriptor {
                // When the kernel refuses, waiting for the deadline alone would look like a slow server: try again at
                // once instead, and find out by the read or the write that follows.
                suspension.registration = try? self.eventLoop.register(descriptor, interest: interest) { _ in
                    self.assumeIsolated { $0.wake(.ready, id: id) }
                }
            }
            let delay = deadline.map { max(.zero, ContinuousClock.now.duration(to: $0)) }
            if let delay {
                suspension.timer = self.eventLoop.schedule(after: delay) {
                    self.assumeIsolated { $0.wake(.deadline, id: id) }
                }
            }
            self.suspension = suspension
        }
    }

    /// Tells the operation that something has happened that it should look at.
    func wake() {
        guard let id = self.suspension?.id else {
            self.isEventPending = true
            return
        }
        self.wake(.event, id: id)
    }

    private func wake(_ wake: Wake, id: UInt64) {
        guard let suspension = self.suspension, suspension.id == id else { return }
        self.suspension = nil
        if let registration = suspension.registration { self.eventLoop.deregister(registration) }
        if let timer = suspension.timer { self.eventLoop.cancel(timer) }
        suspension.continuation.resume(returning: wake)
    }
}
