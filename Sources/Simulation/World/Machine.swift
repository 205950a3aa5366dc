internal import Fence
internal import struct Foundation.Date

/// The clocks of one machine.
struct MachineClock {
    /// What the boot clock showed at the beginning.
    var offset: Int
    /// How much faster than true time it goes, in parts per million.
    var drift: Int
    /// How wrong the wall clock is; it jumps.
    var wallOffset: Int

    init(random: inout Randomness) {
        self.offset = random.between(1, 1000) * World.second
        self.drift = random.between(-20_000, 20_000)
        self.wallOffset = random.between(-3000, 3000) * World.millisecond
    }

    func boot(_ now: Int) -> BootTime {
        BootTime(nanoseconds: UInt64(self.offset + now + now / 1_000_000 * self.drift))
    }

    /// How long true time takes until the boot clock shows `time`.
    func delay(until time: BootTime, now: Int) -> Int {
        let left = Int(clamping: time.nanoseconds) - Int(clamping: self.boot(now).nanoseconds)
        return left <= 0 ? 0 : left / (1_000_000 + self.drift) * 1_000_000 + 2 * World.millisecond
    }

    /// What a clock shows that is right.
    static func reference(_ now: Int) -> Date { Date(timeIntervalSince1970: 1_800_000_000 + Double(now) / 1e9) }

    func wall(_ now: Int) -> Date {
        Date(timeIntervalSince1970: 1_800_000_000 + Double(now + self.wallOffset) / 1e9)
    }
}

/// A computer: its processes are slowed down, stopped and killed together.
final class Machine {
    let endpoint: Int
    let name: String
    var clock: MachineClock
    var isAlive = true
    /// It will never come back.
    var isGone = false
    /// Suspended: nothing runs, the boot clock goes on.
    var isSuspended = false
    /// Its kubelet is about to look after its pods.
    var isKubeletDue = false
    /// What wanted to happen meanwhile.
    var deferred: [() -> Void] = []

    init(endpoint: Int, name: String, clock: MachineClock) {
        self.endpoint = endpoint
        self.name = name
        self.clock = clock
    }

    /// Whether what is to be done on it can be done now.
    var isRunning: Bool { self.isAlive && !self.isSuspended }

    /// Does something on this machine, later if it is suspended, never if it is dead.
    func run(_ action: @escaping () -> Void) {
        guard self.isAlive else { return }
        if self.isSuspended { self.deferred.append(action) } else { action() }
    }

    func resume() {
        self.isSuspended = false
        let waiting = self.deferred
        self.deferred = []
        for action in waiting { self.run(action) }
    }
}
