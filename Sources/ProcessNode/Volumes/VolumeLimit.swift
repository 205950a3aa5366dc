internal import Glibc
internal import JSON

/// Makes a volume a file system of its own, in memory, so that it can be full without the machine's disk being so.
enum VolumeLimit {
    /// Limits an empty directory to a size such as `512Mi`; one that is limited already stays as it is.
    static func apply(_ size: String, to path: String) throws {
        guard !self.isLimited(path) else { return }
        guard let bytes = self.bytes(size) else {
            throw ProcessNodeError(message: "'\(size)' is no size that a volume could have")
        }
        guard unsafe mount("tmpfs", path, "tmpfs", 0, "size=\(bytes),mode=700") == 0 else {
            throw FileSystemError(operation: "mount", path: path, code: errno)
        }
    }

    /// Makes a limited directory larger; one without limit has room already.
    static func grow(_ path: String, to size: UInt64) throws(FileSystemError) {
        guard self.isLimited(path) else { return }
        guard unsafe mount("tmpfs", path, "tmpfs", UInt(MS_REMOUNT), "size=\(size),mode=700") == 0 else {
            throw FileSystemError(operation: "remount", path: path, code: errno)
        }
    }

    /// Takes the file system away, with all that is in it.
    static func remove(from path: String) {
        if self.isLimited(path) { _ = unsafe umount2(path, Int32(MNT_DETACH)) }
    }

    private static func isLimited(_ path: String) -> Bool {
        var inside = stat()
        var outside = stat()
        guard let parent = FileSystem.parent(of: path), unsafe stat(path, &inside) == 0,
            unsafe stat(parent, &outside) == 0
        else { return false }
        return inside.st_dev != outside.st_dev
    }

    static func bytes(_ size: String) -> UInt64? {
        let units: [(suffix: String, factor: UInt64)] = [
            ("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30), ("Ti", 1 << 40), ("k", 1000), ("M", 1_000_000),
            ("G", 1_000_000_000), ("T", 1_000_000_000_000), ("", 1),
        ]
        for unit in units where size.hasSuffix(unit.suffix) {
            guard let number = UInt64(size.dropLast(unit.suffix.count)), number > 0 else { continue }
            let (bytes, isTooLarge) = number.multipliedReportingOverflow(by: unit.factor)
            return isTooLarge ? nil : bytes
        }
        return nil
    }
}
