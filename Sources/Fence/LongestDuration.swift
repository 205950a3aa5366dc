/// Which duration still counts: the longest that anybody may go by.
///
/// A longer one counts at once. A shorter one counts once spec, Lease and the promises that are asked for have all said
/// it for as long as the longer one lasted.
package struct LongestDuration: Sendable, Hashable {
    private var agreed: Duration?
    private var agreedSince = BootTime(nanoseconds: 0)

    package init() {}

    /// A look at what is said: what counts from now on.
    ///
    /// `longest` is what has counted so far, from the disk. Without a Lease nothing is agreed on; `promise` is what was
    /// asked for last, nil when nothing was.
    package mutating func counting(
        longest: Duration,
        spec: Duration,
        lease: Duration?,
        promise: Duration?,
        now: BootTime
    ) -> Duration {
        let newest = max(spec, lease ?? .zero, promise ?? .zero)
        guard newest < longest else {
            self.agreed = nil
            return newest
        }
        guard lease == spec, promise == nil || promise == spec else {
            self.agreed = nil
            return longest
        }
        if self.agreed != spec {
            self.agreed = spec
            self.agreedSince = now
        }
        return now >= self.agreedSince + longest ? spec : longest
    }
}
