package import PostgresClusterAPI

/// Notices sessions that gave up waiting for a standby: their commits are visible, acknowledged to nobody, and perhaps nowhere else.
///
/// PostgreSQL says so to the session and to its log only. But it lets a session go only when enough standbys have flushed more than before
/// (`SyncRepReleaseWaiters` in src/backend/replication/syncrep.c). So who waited, and does not any more, while they have not, was
/// cancelled or ended. What is cancelled between two looks, or while standbys go on, is not seen.
package struct SynchronousWaits: Sendable {
    /// A session that waits, and since when.
    package struct Waiter: Hashable, Sendable {
        package var text: String

        package init(_ text: String) { self.text = text }
    }

    private struct Look {
        var setting: SynchronousSetting
        var waiting: Set<Waiter>
        var secured: LSN?
    }

    private var last: Look?
    private var beforeLast: Look?
    /// How many there were since the start.
    package private(set) var cancelled = 0

    package init() {}

    /// Takes in another look.
    /// - Parameters:
    ///   - waiting: the sessions that wait now.
    ///   - flushed: what each standby that counts has flushed, asked **after** `waiting`.
    ///   - setting: how many of whom have to.
    package mutating func look(waiting: Set<Waiter>, flushed: [LSN], setting: SynchronousSetting) {
        let enough = flushed.sorted(by: >).dropFirst(max(0, setting.count - 1)).first
        let now = Look(setting: setting, waiting: waiting, secured: enough)
        // The last look's waiters were asked for after the position of the one before it.
        if let last, let beforeLast, beforeLast.setting == setting, last.setting == setting,
            beforeLast.secured == now.secured
        {
            self.cancelled += last.waiting.subtracting(waiting).count
        }
        self.beforeLast = self.last
        self.last = now
    }

    /// Forgets who waited: PostgreSQL was started anew, or nobody is to wait.
    package mutating func forget() {
        self.last = nil
        self.beforeLast = nil
    }
}
