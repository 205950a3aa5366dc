public import Synchronization

#if DROVER_THREAD_SANITIZER
internal import Glibc

/// A lock around a value, for builds under the thread sanitizer, which does not know the futex calls of
/// `Synchronization.Mutex` and would report races that are none.
public final class Lock<Value>: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private var value: Value

    /// Makes an unlocked lock around `value`.
    public init(_ value: sending Value) {
        self.value = value
        unsafe self.mutex = .allocate(capacity: 1)
        unsafe self.mutex.initialize(to: pthread_mutex_t())
        unsafe pthread_mutex_init(self.mutex, nil)
    }

    deinit {
        unsafe pthread_mutex_destroy(self.mutex)
        unsafe self.mutex.deallocate()
    }

    /// Runs `body` with the value while holding the lock.
    public func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        unsafe pthread_mutex_lock(self.mutex)
        defer { unsafe pthread_mutex_unlock(self.mutex) }
        return try body(&self.value)
    }
}
#else
/// The one lock of this package: a mutex around the value it protects.
public typealias Lock = Mutex
#endif
