internal import CLibCrypto
internal import CLinux
internal import Glibc
internal import HeapModule
internal import Synchronization

/// One thread with an epoll set, on which everything that libcurl and libpq need to be driven by runs.
///
/// The loop is a serial executor: an actor that returns it from `unownedExecutor` runs on the loop's thread, and so may
/// use the loop's registrations and timers directly, and a callback that the loop (or a C library called from it)
/// makes may enter the actor by `assumeIsolated`.
///
/// Descriptors and timers are known by identifiers from a counter, never by number or address, because those are
/// reused while an old event is still under way.
public final class EventLoop: SerialExecutor, @unchecked Sendable {
    /// What to wait for on a descriptor.
    public struct Interest: OptionSet, Sendable {
        /// The raw bits.
        public let rawValue: UInt8

        /// Makes a set from raw bits.
        public init(rawValue: UInt8) {
            self.rawValue = rawValue
        }

        /// Wait until the descriptor can be read, or its peer has closed.
        public static let readable = Interest(rawValue: 1)
        /// Wait until the descriptor can be written.
        public static let writable = Interest(rawValue: 2)
    }

    /// Names one registration of a descriptor.
    public struct RegistrationID: Hashable, Sendable {
        fileprivate let value: UInt64
    }

    /// Names one scheduled timer.
    public struct TimerID: Hashable, Sendable {
        fileprivate let value: UInt64
    }

    private struct Registration {
        let descriptor: Int32
        var interest: Interest
        let handler: (Interest) -> Void
    }

    private struct Timer: Comparable {
        let deadline: ContinuousClock.Instant
        let id: UInt64

        static func < (left: Timer, right: Timer) -> Bool {
            left.deadline == right.deadline ? left.id < right.id : left.deadline < right.deadline
        }
    }

    private struct Inbox {
        var jobs: [UnownedJob] = []
        var isAwake = false
        var isStopping = false
    }

    /// Whether OpenSSL was told to free nothing when the process exits.
    ///
    /// A process may end while the loop's thread is still inside libcurl or libpq. What OpenSSL's exit handler frees is
    /// used there, and the process ended by SIGSEGV. It counts only before either library uses OpenSSL for the first
    /// time. Source: OPENSSL_init_crypto(3), `OPENSSL_INIT_NO_ATEXIT`.
    private static let openSSLOutlivesExit = OPENSSL_init_crypto(UInt64(OPENSSL_INIT_NO_ATEXIT), nil) == 1

    private let epoll: Int32
    private let wakeup: Int32
    private let inbox = Mutex(Inbox())
    private let thread = Mutex<pthread_t?>(nil)

    // Touched on the loop's thread only.
    private var registrations: [UInt64: Registration] = [:]
    private var timers = Heap<Timer>()
    private var timerHandlers: [UInt64: () -> Void] = [:]
    private var nextID: UInt64 = 1

    /// Starts a loop on a thread of its own.
    ///
    /// The thread lives until ``shutdown()``.
    /// - Parameter name: shown by `top -H` and debuggers; at most 15 bytes are kept (prctl(2)).
    /// - Throws: ``EventLoopError`` when the kernel refuses a descriptor or the thread.
    public init(name: String) throws(EventLoopError) {
        guard Self.openSSLOutlivesExit else { throw EventLoopError(operation: "OPENSSL_init_crypto", code: ENOMEM) }
        self.epoll = drover_epoll_create()
        guard self.epoll >= 0 else {
            throw EventLoopError(operation: "epoll_create1", code: errno)
        }
        self.wakeup = drover_eventfd()
        guard self.wakeup >= 0 else {
            throw EventLoopError(operation: "eventfd", code: errno)
        }
        guard drover_epoll_add(self.epoll, self.wakeup, drover_epoll_in, 0) == 0 else {
            throw EventLoopError(operation: "epoll_ctl", code: errno)
        }
        let start = ThreadStart(loop: self, name: name)
        var thread = pthread_t()
        let code = unsafe pthread_create(
            &thread,
            nil,
            { context in
                guard let context = unsafe context else { return nil }
                let start = unsafe Unmanaged<ThreadStart>.fromOpaque(context).takeRetainedValue()
                unsafe start.name.withCString { name in _ = unsafe drover_set_process_name(name) }
                start.loop.run()
                return nil
            },
            Unmanaged.passRetained(start).toOpaque()
        )
        guard code == 0 else {
            throw EventLoopError(operation: "pthread_create", code: code)
        }
        self.thread.withLock { $0 = thread }
        pthread_detach(thread)
    }

    /// Closes the descriptors only when nobody can use the loop any more: whoever enqueues after the end would otherwise
    /// write into a descriptor that belongs to somebody else by then.
    deinit {
        close(self.epoll)
        if self.wakeup >= 0 { close(self.wakeup) }
    }

    /// Ends the loop after the jobs that wait now.
    ///
    /// Nothing may be enqueued afterwards: an actor pinned to a stopped loop never runs again. For tests and for the
    /// end of a process.
    public func shutdown() {
        self.inbox.withLock { $0.isStopping = true }
        drover_eventfd_signal(self.wakeup)
    }

    // MARK: Executor

    /// Runs `job` on the loop's thread, after those enqueued before it.
    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let mustWake = self.inbox.withLock { inbox in
            inbox.jobs.append(job)
            defer { inbox.isAwake = true }
            return !inbox.isAwake
        }
        if mustWake {
            drover_eventfd_signal(self.wakeup)
        }
    }

    /// The reference that an actor returns from `unownedExecutor`.
    public func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        unsafe UnownedSerialExecutor(ordinary: self)
    }

    /// Whether the caller runs on the loop's thread.
    public var isCurrent: Bool {
        let thread = self.thread.withLock { $0 }
        guard let thread else { return false }
        return pthread_equal(thread, pthread_self()) != 0
    }

    /// Traps unless the caller runs on the loop's thread; `assumeIsolated` of a pinned actor asks this.
    public func checkIsolated() {
        precondition(self.isCurrent, "not on the thread of the event loop")
    }

    // MARK: Descriptors. On the loop's thread only.

    /// Calls `handler` on the loop's thread whenever `descriptor` is ready (level-triggered).
    ///
    /// An error or hang-up is reported as every interest asked for, so that the next read or write finds it.
    /// A descriptor can be registered once at a time. Call on the loop's thread.
    /// - Throws: ``EventLoopError`` when the kernel refuses.
    public func register(
        _ descriptor: Int32,
        interest: Interest,
        handler: @escaping (Interest) -> Void
    ) throws(EventLoopError) -> RegistrationID {
        self.checkIsolated()
        let id = self.makeID()
        guard drover_epoll_add(self.epoll, descriptor, Self.events(interest), id) == 0 else {
            throw EventLoopError(operation: "epoll_ctl", code: errno)
        }
        self.registrations[id] = Registration(descriptor: descriptor, interest: interest, handler: handler)
        return RegistrationID(value: id)
    }

    /// Changes what is waited for.
    ///
    /// Nothing happens when the registration is gone. Call on the loop's thread.
    public func update(_ registration: RegistrationID, interest: Interest) throws(EventLoopError) {
        self.checkIsolated()
        guard let old = self.registrations[registration.value], old.interest != interest else { return }
        guard
            drover_epoll_modify(self.epoll, old.descriptor, Self.events(interest), registration.value) == 0
        else {
            throw EventLoopError(operation: "epoll_ctl", code: errno)
        }
        self.registrations[registration.value]?.interest = interest
    }

    /// Forgets a descriptor; call it before closing the descriptor.
    ///
    /// Call on the loop's thread.
    public func deregister(_ registration: RegistrationID) {
        self.checkIsolated()
        guard let old = self.registrations.removeValue(forKey: registration.value) else { return }
        // A descriptor that its owner has closed already has left the set by itself: the error says no more.
        _ = drover_epoll_remove(self.epoll, old.descriptor)
    }

    // MARK: Timers. On the loop's thread only.

    /// Calls `handler` once on the loop's thread after `delay` (not before the next turn of the loop).
    public func schedule(after delay: Duration, handler: @escaping () -> Void) -> TimerID {
        self.checkIsolated()
        let id = self.makeID()
        self.timers.insert(Timer(deadline: .now + delay, id: id))
        self.timerHandlers[id] = handler
        return TimerID(value: id)
    }

    /// Takes a timer back.
    ///
    /// Nothing happens when it has fired. Call on the loop's thread.
    public func cancel(_ timer: TimerID) {
        self.checkIsolated()
        self.timerHandlers[timer.value] = nil
        // Dead entries stay in the heap until their time, unless they outnumber the living by far.
        if self.timers.count > 64, self.timers.count > 4 * self.timerHandlers.count {
            self.timers = Heap(self.timers.unordered.filter { self.timerHandlers[$0.id] != nil })
        }
    }

    // MARK: The thread

    private func makeID() -> UInt64 {
        defer { self.nextID += 1 }
        return self.nextID
    }

    private static func events(_ interest: Interest) -> UInt32 {
        var events: UInt32 = 0
        if interest.contains(.readable) { events |= drover_epoll_in | drover_epoll_rdhup }
        if interest.contains(.writable) { events |= drover_epoll_out }
        return events
    }

    private func run() {
        // The creating thread may still be inside `pthread_create`.
        self.thread.withLock { $0 = pthread_self() }
        var events = [drover_epoll_event](repeating: drover_epoll_event(), count: 64)
        while true {
            let (jobs, isStopping) = self.inbox.withLock { inbox in
                let jobs = inbox.jobs
                inbox.jobs = []
                inbox.isAwake = !jobs.isEmpty
                return (jobs, inbox.isStopping)
            }
            for job in jobs {
                // Not as a task executor as well: to the runtime, going on in the same actor would then be a change of
                // executor, and every call between two functions of an actor would let others in between.
                unsafe job.runSynchronously(on: self.asUnownedSerialExecutor())
            }
            if isStopping { break }
            self.fireTimers()
            let hasRun = !jobs.isEmpty
            let count = unsafe events.withUnsafeMutableBufferPointer { buffer in
                guard let base = buffer.baseAddress else { return Int32(0) }
                return unsafe drover_epoll_wait(self.epoll, base, 64, hasRun ? 0 : self.nanosecondsToNextTimer())
            }
            guard count > 0 else { continue }
            for event in events.prefix(Int(count)) {
                self.handle(event)
            }
        }
    }

    private func handle(_ event: drover_epoll_event) {
        guard event.token != 0 else {
            drover_eventfd_drain(self.wakeup)
            return
        }
        // Gone when a handler of this very turn has deregistered it.
        guard let registration = self.registrations[event.token] else { return }
        var ready: Interest = []
        if event.events & (drover_epoll_in | drover_epoll_rdhup) != 0 { ready.insert(.readable) }
        if event.events & drover_epoll_out != 0 { ready.insert(.writable) }
        if event.events & (drover_epoll_err | drover_epoll_hup) != 0 { ready.formUnion(registration.interest) }
        registration.handler(ready)
    }

    private func fireTimers() {
        let now = ContinuousClock.now
        while let first = self.timers.min, first.deadline <= now {
            self.timers.removeMin()
            self.timerHandlers.removeValue(forKey: first.id)?()
        }
    }

    private func nanosecondsToNextTimer() -> Int64 {
        while let first = self.timers.min {
            guard self.timerHandlers[first.id] != nil else {
                self.timers.removeMin()
                continue
            }
            let left = ContinuousClock.now.duration(to: first.deadline)
            guard left > .zero else { return 0 }
            let (seconds, attoseconds) = left.components
            guard seconds < 86_400 else { return 86_400_000_000_000 }
            return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
        }
        return -1
    }
}

private final class ThreadStart {
    let loop: EventLoop
    let name: String

    init(loop: EventLoop, name: String) {
        self.loop = loop
        self.name = name
    }
}
