import Fence
import Testing

@testable import Instance

@Suite
struct WatchdogTests {
    private static let second: UInt64 = 1_000_000_000

    @Test
    func theWatchdogQuitsThenKills() {
        var machine = WatchdogMachine()
        func at(_ seconds: UInt64) -> BootTime { BootTime(nanoseconds: seconds * Self.second) }
        #expect(machine.next(now: at(1)) == .wait(until: nil))
        machine.received(.postmaster(pid: 77))
        machine.received(.deadline(at(10)))
        #expect(machine.next(now: at(9)) == .wait(until: at(10)))
        machine.received(.deadline(at(12)))
        #expect(machine.next(now: at(11)) == .wait(until: at(12)))
        #expect(machine.next(now: at(12)) == .quit(pid: 77))
        #expect(machine.next(now: at(12)) == .wait(until: at(13)))
        #expect(machine.next(now: at(13)) == .kill(pid: 77))
        #expect(machine.next(now: at(13)) == .wait(until: nil))
    }

    @Test
    func theWatchdogTakesEverythingAlongWhenTheSupervisorDies() {
        var machine = WatchdogMachine()
        machine.received(.postmaster(pid: 77))
        machine.supervisorDied()
        #expect(machine.next(now: BootTime(nanoseconds: 1)) == .kill(pid: 77))
        #expect(machine.next(now: BootTime(nanoseconds: 1)) == .exit)
    }

    @Test
    func watchdogMessagesAreReadBack() {
        for message in [WatchdogMessage.deadline(BootTime(nanoseconds: 5)), .clear, .postmaster(pid: 9), .finished] {
            #expect(WatchdogMessage(message.bytes) == message)
        }
        #expect(WatchdogMessage(Array("postmaster 1".utf8)) == nil)
        #expect(WatchdogMessage(Array("nonsense".utf8)) == nil)
    }
}
