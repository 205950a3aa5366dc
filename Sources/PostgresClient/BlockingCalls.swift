internal import CLibPQ
internal import Glibc

/// What libpq and the C library can only do by blocking; each call gets a thread.
///
/// Neither the event loop nor the cooperative pool may wait for a name server or for a dead host.
enum BlockingCalls {
    private final class Work {
        let body: @Sendable () -> Void

        init(_ body: @escaping @Sendable () -> Void) {
            self.body = body
        }
    }

    /// A thread each, not a pool: calls to hosts that do not answer would hold up all others.
    private static func onThread(_ body: @escaping @Sendable () -> Void) -> Bool {
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        defer { unsafe pthread_attr_destroy(&attributes) }
        unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        unsafe pthread_attr_setstacksize(&attributes, 512 << 10)
        var thread = pthread_t()
        let context = unsafe Unmanaged.passRetained(Work(body)).toOpaque()
        let code = unsafe pthread_create(
            &thread,
            &attributes,
            { context in
                guard let context = unsafe context else { return nil }
                unsafe Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body()
                return nil
            },
            context
        )
        guard code == 0 else {
            unsafe Unmanaged<Work>.fromOpaque(context).release()
            return false
        }
        return true
    }

    /// Looks up the numeric addresses of a host.
    ///
    /// `completion` is called on some thread, with an empty list on failure.
    static func resolve(_ host: String, completion: @escaping @Sendable ([String]) -> Void) {
        let isStarted = self.onThread { completion(Self.addresses(of: host, flags: 0)) }
        if !isStarted { completion([]) }
    }

    /// The host as an address when it is one already.
    static func numericAddress(_ host: String) -> String? {
        Self.addresses(of: host, flags: AI_NUMERICHOST).first
    }

    private static func addresses(of host: String, flags: Int32) -> [String] {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = flags
        var list: UnsafeMutablePointer<addrinfo>?
        guard unsafe getaddrinfo(host, nil, &hints, &list) == 0 else { return [] }
        defer { unsafe freeaddrinfo(list) }
        var addresses: [String] = []
        var next = unsafe list
        while let entry = unsafe next {
            var buffer = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let status = unsafe getnameinfo(
                entry.pointee.ai_addr,
                entry.pointee.ai_addrlen,
                &buffer,
                socklen_t(buffer.count),
                nil,
                0,
                NI_NUMERICHOST
            )
            if status == 0 {
                let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
                let address = String(decoding: bytes, as: UTF8.self)
                if !addresses.contains(address) { addresses.append(address) }
            }
            unsafe next = unsafe entry.pointee.ai_next
        }
        return addresses
    }

    /// A copy of what is needed to cancel the running query, independent of the connection's life.
    @safe struct Cancellation: @unchecked Sendable {
        private let pointer: OpaquePointer

        init?(_ handle: ConnectionHandle) {
            guard let pointer = unsafe PQgetCancel(handle.pointer) else { return nil }
            unsafe self.pointer = pointer
        }

        /// Asks the server to cancel, waits until it has closed that connection, and calls `completion`.
        ///
        /// Call once: it frees the copy.
        func send(completion: @escaping @Sendable () -> Void) {
            let isStarted = BlockingCalls.onThread {
                var buffer = [CChar](repeating: 0, count: 256)
                // A failure says that the server cannot be reached: the query's own deadline deals with that.
                _ = unsafe PQcancel(self.pointer, &buffer, Int32(buffer.count))
                unsafe PQfreeCancel(self.pointer)
                completion()
            }
            if !isStarted {
                unsafe PQfreeCancel(self.pointer)
                completion()
            }
        }
    }
}
