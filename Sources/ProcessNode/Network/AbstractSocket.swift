internal import Glibc

/// Names of the kernel's abstract socket namespace, taken as claims: they end with their process, however that ends.
package enum AbstractSocket {
    /// Takes a name.
    /// - Returns: a descriptor that holds the claim until it is closed; negative when somebody else has it.
    package static func claim(_ name: String) -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return -1 }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(name.utf8)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { path in
            // A name in the abstract namespace begins with a zero byte.
            for (index, byte) in bytes.prefix(path.count - 1).enumerated() { unsafe path[index + 1] = byte }
        }
        let length = MemoryLayout<sa_family_t>.size + 1 + bytes.count
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                unsafe bind(descriptor, pointer, socklen_t(length))
            }
        }
        guard result == 0 else {
            close(descriptor)
            return -1
        }
        return descriptor
    }
}
