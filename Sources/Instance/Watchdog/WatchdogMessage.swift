package import Fence

/// What the supervisor tells its watchdog, one per packet.
package enum WatchdogMessage: Sendable, Hashable {
    /// PostgreSQL must have stopped by then, unless another deadline comes first.
    case deadline(BootTime)
    /// PostgreSQL accepts no writes: there is nothing to guard.
    case clear
    /// The postmaster to stop.
    case postmaster(pid: Int32)
    /// The supervisor ends in good order.
    case finished

    package init?(_ bytes: some Sequence<UInt8>) {
        let words = String(decoding: Array(bytes), as: UTF8.self).split(separator: " ")
        switch (words.first, words.count) {
        case ("deadline", 2):
            guard let value = UInt64(words[1]) else { return nil }
            self = .deadline(BootTime(nanoseconds: value))
        case ("postmaster", 2):
            guard let value = Int32(words[1]), value > 1 else { return nil }
            self = .postmaster(pid: value)
        case ("clear", 1):
            self = .clear
        case ("finished", 1):
            self = .finished
        default:
            return nil
        }
    }

    package var bytes: [UInt8] {
        switch self {
        case .deadline(let time): Array("deadline \(time.nanoseconds)".utf8)
        case .postmaster(let pid): Array("postmaster \(pid)".utf8)
        case .clear: Array("clear".utf8)
        case .finished: Array("finished".utf8)
        }
    }
}
