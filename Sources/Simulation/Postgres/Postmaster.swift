internal import PostgresClusterAPI

/// A running PostgreSQL.
final class Postmaster {
    let number: Int
    let instance: String
    let volume: Volume
    let machine: Machine
    var isPrimary: Bool
    /// Connections are let in.
    var accepts = false
    /// Nobody but the supervisor is let in.
    var isClosed = false
    /// Told to stop: no more commits.
    var isStopping = false
    var isAlive = true
    /// SIGQUIT was sent: what is not up yet will not be.
    var isQuitting = false
    var isAccepting = false
    /// The term it accepts writes in, as far as its supervisor knew when it began.
    var term = 0

    // As a standby.
    var connection: Int?
    /// The newest search for somebody to stream from.
    var search = 0
    var source: Postmaster?
    var isPaused = false

    // As a primary.
    var standbys: [Standby] = []
    var waiting: [GlobalHistory.Row] = []
    /// Who acknowledges commits, as it is in force.
    var synchronous = SynchronousSetting.none

    struct Standby {
        var postmaster: Postmaster
        var connection: Int
        var flushed: UInt64
    }

    init(number: Int, instance: String, volume: Volume, machine: Machine, isPrimary: Bool) {
        self.number = number
        self.instance = instance
        self.volume = volume
        self.machine = machine
        self.isPrimary = isPrimary
    }
}
