import JSON
import PostgresClusterAPI
import Testing

@testable import Instance

@Suite
struct FenceTests {
    private static let second: UInt64 = 1_000_000_000

    private func observe(_ holder: String?, seconds: UInt64, isNew: Bool = false) -> RoleFacts.Lease {
        var lease = PrimaryLease(cluster: "db", namespace: "x")
        lease.document[path: ["spec"]] = ["holderIdentity": .string(holder ?? ""), "leaseDurationSeconds": 20]
        let observation = LeaseObservation(
            lease: holder == nil ? nil : lease,
            since: BootTime(nanoseconds: 100 * Self.second)
        )
        return observation.state(
            instance: "db-1",
            podUID: "u",
            duration: .seconds(15),
            isNewCluster: isNew,
            now: BootTime(nanoseconds: (100 + seconds) * Self.second)
        )
    }

    @Test
    func aFreeLeaseIsToBeHadAtOnce() {
        #expect(self.observe("", seconds: 0) == .obtainable(term: 0))
    }

    @Test
    func aHeldLeaseIsWatchedForTheLongerDuration() {
        #expect(self.observe("db-2/x/n/4", seconds: 16) == .taken(term: 4))
        #expect(self.observe("db-2/x/n/4", seconds: 20) == .obtainable(term: 4))
        #expect(self.observe("stranger", seconds: 19) == .taken(term: 0))
    }

    @Test
    func anEarlierLifeInTheSamePodIsOver() {
        #expect(self.observe("db-1/u/old/4", seconds: 0) == .obtainable(term: 4))
        #expect(self.observe("db-1/other-pod/old/4", seconds: 0) == .taken(term: 4))
    }

    @Test
    func aMissingLeaseCountsAsHeldUnlessThereNeverWasAPrimary() {
        #expect(self.observe(nil, seconds: 14) == .taken(term: 0))
        #expect(self.observe(nil, seconds: 15) == .obtainable(term: 0))
        #expect(self.observe(nil, seconds: 0, isNew: true) == .obtainable(term: 0))
    }

    @Test
    func theHolderNamesOneIncarnation() {
        let holder = LeaseHolder(instance: "db-1", podUID: "u", nonce: "n", term: 3)
        #expect(LeaseHolder(holder.description) == holder)
        for text in ["", "a/b/c", "a/b/c/0", "a/b/c/x", "a//c/1", "a/b/c/1/2"] {
            #expect(LeaseHolder(text) == nil)
        }
    }

    @Test
    func givingBackKeepsWhatOthersWrote() {
        var lease = PrimaryLease(cluster: "db", namespace: "x")
        lease.annotate("other", "kept")
        let holder = LeaseHolder(instance: "db-1", podUID: "u", nonce: "n", term: 3)
        lease.hold(by: holder, duration: .seconds(15), now: "t")
        lease.giveBack(shutdownLSN: LSN(rawValue: 0x5000028), term: 3, now: "t")
        #expect(lease.holderIdentity.isEmpty)
        #expect(lease.shutdownLSN == LSN(rawValue: 0x5000028))
        #expect(lease.term == 3)
        #expect(lease.annotation("other") == "kept")
        // The next holder begins its own life.
        lease.hold(
            by: LeaseHolder(instance: "db-2", podUID: "v", nonce: "m", term: 4),
            duration: .seconds(15),
            now: "t"
        )
        #expect(lease.shutdownLSN == nil)
        #expect(lease.document[path: ["spec", "leaseTransitions"]] == 2)
    }

    // MARK: Histories

    private static let one = PersistentState.Promotion(term: 1, timeline: 1, switchLSN: 0)
    private static let two = PersistentState.Promotion(term: 2, timeline: 2, switchLSN: 500)

    private func verdict(
        timeline: UInt32,
        end: UInt64,
        _ promotions: [PersistentState.Promotion],
        system: UInt64 = 9
    ) -> JoinVerdict {
        JoinVerdict(
            position: HistoryPosition(
                systemIdentifier: system,
                timeline: timeline,
                end: LSN(rawValue: end),
                promotions: promotions
            ),
            primary: HistoryReport(
                term: 2,
                systemIdentifier: 9,
                history: TimelineHistory(timeline: 2, ancestors: [.init(timeline: 1, end: 500)]),
                end: 900,
                checkpointTimeline: 2,
                oldestWAL: 100,
                promotions: [Self.one, Self.two]
            )
        )
    }

    @Test
    func aPrefixFollows() {
        #expect(self.verdict(timeline: 1, end: 500, [Self.one]) == .follow)
        #expect(self.verdict(timeline: 2, end: 900, [Self.one, Self.two]) == .follow)
    }

    @Test
    func whatWentBeyondTheSwitchIsRewound() {
        #expect(self.verdict(timeline: 1, end: 501, [Self.one]) == .rewind)
        #expect(self.verdict(timeline: 3, end: 600, [Self.one]) == .rewind)
    }

    @Test
    func theSameNumberFromAnotherTermIsNeverTrusted() {
        let other = PersistentState.Promotion(term: 7, timeline: 2, switchLSN: 500)
        #expect(self.verdict(timeline: 2, end: 600, [Self.one, other]) == .clone)
        let moved = PersistentState.Promotion(term: 2, timeline: 2, switchLSN: 400)
        #expect(self.verdict(timeline: 2, end: 600, [Self.one, moved]) == .clone)
    }

    @Test
    func anAdoptedTermIsNoOtherHistory() {
        let adopted = PersistentState.Promotion(term: 3, timeline: 2, switchLSN: 0)
        #expect(self.verdict(timeline: 2, end: 600, [Self.one, Self.two, adopted]) == .follow)
    }

    @Test
    func whatCannotStreamIsCloned() {
        #expect(self.verdict(timeline: 1, end: 99, [Self.one]) == .clone)
        #expect(self.verdict(timeline: 2, end: 901, [Self.one, Self.two]) == .clone)
        #expect(self.verdict(timeline: 1, end: 200, [Self.one], system: 8) == .clone)
    }

    // MARK: The watchdog

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
