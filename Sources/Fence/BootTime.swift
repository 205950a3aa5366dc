/// An instant of CLOCK_BOOTTIME, in nanoseconds: it goes on while the machine is suspended, and every process of the
/// machine reads the same.
package struct BootTime: Sendable, Hashable, Comparable {
    package var nanoseconds: UInt64

    package init(nanoseconds: UInt64) {
        self.nanoseconds = nanoseconds
    }

    package static func < (left: BootTime, right: BootTime) -> Bool { left.nanoseconds < right.nanoseconds }

    package static func + (left: BootTime, right: Duration) -> BootTime {
        let (seconds, attoseconds) = right.components
        let delta = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let total = delta.overflow ? Int64.max : delta.partialValue + attoseconds / 1_000_000_000
        guard total >= 0 else {
            let back = total.magnitude
            return BootTime(nanoseconds: left.nanoseconds > back ? left.nanoseconds - back : 0)
        }
        return BootTime(nanoseconds: left.nanoseconds &+ UInt64(total))
    }

    /// How long until `other`; negative when it lies behind.
    package func duration(to other: BootTime) -> Duration {
        other >= self
            ? .nanoseconds(Int64(clamping: other.nanoseconds - self.nanoseconds))
            : .zero - .nanoseconds(Int64(clamping: self.nanoseconds - other.nanoseconds))
    }
}
