import Testing

@testable import Fence

@Suite
struct PromiseTests {
    private static func at(_ seconds: Double) -> BootTime {
        BootTime(nanoseconds: UInt64((seconds + 1000) * 1_000_000_000))
    }

    private static func disk(highest: Int, own: Int, seconds: Int = 15) -> PersistentState {
        var disk = PersistentState()
        disk.highestTerm = highest
        disk.ownTerm = own
        disk.longestPromise = .seconds(seconds)
        return disk
    }

    private static let primary = PromiseBook.Asker(term: 3, primary: "db-1", incarnation: "i")

    // MARK: Giving

    private var fresh: PromiseBook { PromiseBook(disk: PersistentState(), now: Self.at(0)) }

    private func ask(
        _ book: inout PromiseBook,
        _ asker: PromiseBook.Asker = Self.primary,
        number: Int64 = 1,
        pod: String = "p",
        highest: Int = 3,
        own: Int? = nil,
        chosen: (term: Int, primary: String?)? = nil,
        seconds: Double
    ) -> PromiseBook.Refusal? {
        book.asked(
            by: asker,
            podUID: pod,
            ask: number,
            duration: .seconds(15),
            .init(highestTerm: highest, ownPrimaryTerm: own, chosen: chosen),
            now: Self.at(seconds)
        )
    }

    @Test
    func aPromiseLapsesAfterItsDuration() {
        var book = self.fresh
        #expect(book.expiry(now: Self.at(0)) == nil)
        #expect(self.ask(&book, seconds: 1) == nil)
        #expect(book.expiry(now: Self.at(15.9)) == Self.at(16))
        #expect(book.promisedTerm(now: Self.at(15.9)) == 3)
        #expect(book.expiry(now: Self.at(16)) == nil)
    }

    @Test
    func refusesWhatItMustNotPromise() {
        var book = self.fresh
        #expect(self.ask(&book, highest: 4, seconds: 1) == .staleTerm)
        #expect(book.lastAskAt == nil, "a primary of an older term is no sign of life")
        #expect(self.ask(&book, own: 3, seconds: 1) == .isPrimary)
        #expect(self.ask(&book, chosen: (3, "db-2"), seconds: 1) == .notChosen)
        #expect(book.lastAskAt == Self.at(1))
        #expect(book.expiry(now: Self.at(1)) == nil)
        #expect(self.ask(&book, chosen: (2, "db-2"), seconds: 1) == nil, "an older status says nothing about this term")
    }

    @Test
    func withheldPromisesEndWithTheTermOrTheWish() {
        var book = self.fresh
        #expect(self.ask(&book, number: 1, seconds: 1) == nil)
        book.withhold(below: 4)
        #expect(self.ask(&book, number: 2, seconds: 2) == .withheld)
        #expect(book.expiry(now: Self.at(2)) == Self.at(16), "what is promised is promised")
        book.withdraw(term: 3)
        #expect(self.ask(&book, number: 2, seconds: 2) == .withheld)
        book.withdraw(term: 4)
        #expect(self.ask(&book, number: 2, seconds: 2) == nil)
        book.withhold(below: 4)
        book.saw(term: 4)
        #expect(book.withheldTerm == nil)
    }

    @Test
    func aGiveBackCancelsWhatItNames() {
        var book = self.fresh
        #expect(self.ask(&book, number: 1, seconds: 1) == nil)
        #expect(self.ask(&book, number: 3, seconds: 2) == nil)
        book.givenBack(by: Self.primary, ask: 2)
        #expect(book.expiry(now: Self.at(2)) != nil, "it has asked again since")
        book.givenBack(by: Self.primary, ask: 3)
        #expect(book.expiry(now: Self.at(2)) == nil)
        #expect(self.ask(&book, number: 3, seconds: 2) == .cancelled, "an ask that comes late")
        #expect(self.ask(&book, number: 4, seconds: 2) == nil)
    }

    @Test
    func aGiveBackMayOvertakeTheAsk() {
        var book = self.fresh
        book.givenBack(by: Self.primary, ask: 5)
        #expect(self.ask(&book, number: 5, seconds: 1) == .cancelled)
        #expect(self.ask(&book, number: 4, seconds: 1) == .cancelled)
    }

    @Test
    func aGiveBackCoversTheOlderTermsOfTheSameLife() {
        var book = self.fresh
        #expect(self.ask(&book, number: 4, seconds: 1) == nil)
        let adopted = PromiseBook.Asker(term: 4, primary: "db-1", incarnation: "i")
        #expect(self.ask(&book, adopted, number: 5, highest: 4, seconds: 1) == nil)
        book.givenBack(by: adopted, ask: 5)
        #expect(book.expiry(now: Self.at(1)) == nil)
    }

    @Test
    func anotherLifeOfThePrimaryWaitsUnlessItIsInTheSamePod() {
        var book = self.fresh
        #expect(self.ask(&book, pod: "p", seconds: 1) == nil)
        let other = PromiseBook.Asker(term: 3, primary: "db-1", incarnation: "j")
        #expect(self.ask(&book, other, pod: "q", seconds: 2) == .promised)
        #expect(self.ask(&book, other, pod: "p", seconds: 2) == nil)
        #expect(self.ask(&book, other, number: 2, pod: "q", seconds: 3) == .promised)
        #expect(self.ask(&book, other, number: 3, pod: "q", seconds: 20) == nil)
    }

    @Test
    func aRestartedInstanceAssumesThatItHadJustPromised() {
        var book = PromiseBook(disk: Self.disk(highest: 3, own: 1), now: Self.at(0))
        #expect(book.expiry(now: Self.at(14)) == Self.at(15))
        #expect(self.ask(&book, seconds: 1) == nil)
        book.givenBack(by: Self.primary, ask: 1)
        #expect(book.expiry(now: Self.at(14)) == Self.at(15), "it may have been another life")
        book.givenBack(by: Self.primary, ask: 1, toThisLife: true)
        #expect(book.expiry(now: Self.at(14)) == nil)
    }

    @Test
    func oneThatWasPrimaryItselfHasPromisedNothingSince() {
        #expect(PromiseBook(disk: Self.disk(highest: 3, own: 3), now: Self.at(0)).expiry(now: Self.at(0)) == nil)
        #expect(PromiseBook(disk: PersistentState(), now: Self.at(0)).expiry(now: Self.at(0)) == nil)
    }

    @Test
    func theBookStaysSmall() {
        var book = self.fresh
        for life in 0..<200 {
            let asker = PromiseBook.Asker(term: 3, primary: "db-1", incarnation: "\(life)")
            #expect(self.ask(&book, asker, seconds: Double(life) * 20) == nil)
        }
        let first = PromiseBook.Asker(term: 3, primary: "db-1", incarnation: "0")
        #expect(self.ask(&book, first, number: 1, seconds: 4100) == nil)
    }

    // MARK: Being promised

    private static func ledger(_ others: [String] = ["db-2", "db-3"], joining: [String] = []) -> PromiseLedger {
        PromiseLedger(
            instance: "db-1",
            term: 3,
            membership: Membership(members: ["db-1"] + others, joining: joining)
        )
    }

    @Test
    func promisesCountFromBeforeTheAskAndForTwoThirds() {
        var ledger = Self.ledger()
        let asks = ledger.dueAsks(duration: .seconds(15), now: Self.at(0))
        #expect(asks.map { $0.peer } == ["db-2", "db-3"])
        #expect(ledger.until == nil)
        ledger.granted(asks[0], by: "x")
        #expect(ledger.until == nil, "one is missing")
        #expect(ledger.missing(now: Self.at(1)) == ["db-3"])
        ledger.granted(asks[1], by: "y")
        #expect(ledger.until == Self.at(10))
        #expect(ledger.dueAsks(duration: .seconds(15), now: Self.at(2.9)).isEmpty)
        #expect(ledger.nextAsk(duration: .seconds(15)) == Self.at(3))
        let later = ledger.dueAsks(duration: .seconds(15), now: Self.at(3))
        ledger.granted(later[0], by: "x")
        #expect(ledger.until == Self.at(10), "the oldest counts")
        ledger.granted(asks[0], by: "x")
        ledger.granted(later[1], by: "y")
        #expect(ledger.until == Self.at(13))
        #expect(ledger.leaseNeededAt == Self.at(8))
        #expect(
            ledger.releases == [.init(peer: "db-2", ask: 3, grantor: "x"), .init(peer: "db-3", ask: 4, grantor: "y")]
        )
    }

    @Test
    func anInstanceAloneHasNoPromises() {
        let ledger = Self.ledger([])
        #expect(ledger.until == nil)
        #expect(ledger.nextAsk(duration: .seconds(15)) == nil)
    }

    @Test
    func anOlderTermsPromiseDoesNotCount() {
        var old = Self.ledger()
        let asks = old.dueAsks(duration: .seconds(15), now: Self.at(0))
        var ledger = PromiseLedger(instance: "db-1", term: 4, membership: old.membership, after: old)
        for ask in asks { ledger.granted(ask, by: "x") }
        #expect(ledger.until == nil)
        #expect(ledger.dueAsks(duration: .seconds(15), now: Self.at(0)).map { $0.number } == [3, 4])
    }

    @Test
    func aNewMemberCountsOnceItCanBeAcknowledged() {
        var ledger = Self.ledger(["db-2"])
        for ask in ledger.dueAsks(duration: .seconds(15), now: Self.at(0)) { ledger.granted(ask, by: "x") }
        let wanted = Membership(members: ["db-1", "db-2"], joining: ["db-3"])
        ledger.read(wanted)
        #expect(ledger.until == Self.at(10), "it carries on with the old set")
        #expect(ledger.acknowledgeable(holdsLease: false, now: Self.at(1)) == nil)
        #expect(ledger.acknowledgeable(holdsLease: true, now: Self.at(1)) == wanted)
        let asks = ledger.dueAsks(duration: .seconds(15), now: Self.at(1))
        #expect(asks.map { $0.peer } == ["db-3"])
        #expect(ledger.leaseNeededAt == BootTime(nanoseconds: 0), "the Lease bridges the time until it answers")
        ledger.granted(asks[0], by: "y")
        #expect(ledger.acknowledgeable(holdsLease: false, now: Self.at(1)) == wanted)
        #expect(ledger.membership.joining.isEmpty)
        ledger.acknowledge(wanted)
        #expect(ledger.membership == wanted)
        ledger.read(Membership(members: ["db-1", "db-3"], joining: []))
        #expect(ledger.needed == ["db-3"], "one that has left is not needed any more")
    }

    @Test
    func onePrimaryThatIsLeftAloneHasTimeToWriteTheLease() {
        var fence = PrimaryFence(ledger: Self.ledger())
        fence.wroteLease(startedAt: Self.at(0), duration: .seconds(15))
        for second in stride(from: 0.0, to: 60, by: 3) {
            for ask in fence.ledger.dueAsks(duration: .seconds(15), now: Self.at(second)) {
                fence.ledger.granted(ask, by: "x")
            }
        }
        let until = fence.deadline
        fence.ledger.read(Membership(members: ["db-1"], joining: []))
        #expect(fence.ledger.needed.isEmpty)
        #expect(fence.deadline == until, "what the last one has promised still binds it")
        #expect(fence.leaseDue(duration: .seconds(15)).map { $0 <= Self.at(57) } == true)
        #expect(fence.isHeld(now: Self.at(57)))
        #expect(!fence.isHeld(now: Self.at(68)), "promises of nobody do not last")
    }

    @Test
    func atRestTheLeaseIsNotWritten() {
        var fence = PrimaryFence(ledger: Self.ledger())
        #expect(!fence.isHeld(now: Self.at(0)))
        fence.wroteLease(startedAt: Self.at(0), duration: .seconds(15))
        #expect(fence.deadline == Self.at(10))
        #expect(fence.leaseDue(duration: .seconds(15)) == Self.at(5), "no promise yet")
        for second in stride(from: 0.0, to: 60, by: 3) {
            for ask in fence.ledger.dueAsks(duration: .seconds(15), now: Self.at(second)) {
                fence.ledger.granted(ask, by: "x")
            }
        }
        #expect(fence.deadline == Self.at(67))
        #expect(fence.leaseDue(duration: .seconds(15)) == Self.at(62), "the first missing promise makes it due")
        #expect(!fence.holdsLease(now: Self.at(57)) && fence.holdsPromises(now: Self.at(57)))
        #expect(fence.leaseDue(duration: .seconds(30)) == BootTime(nanoseconds: 0), "a change is written once")
    }

    /// Whether what the others said still counts when the Lease is written again, at 20 s, after having been written at 0.
    @Test(arguments: [
        (written: [Double](), promised: [Double](), counts: false),
        ([8, 16], [], true),
        ([8], [], false),
        ([], [3, 9, 15], true),
        ([], [3, 9], false),
        ([8], [15], true),
        ([8, 19], [], false),
    ])
    func whatTheOthersSaidCountsForAsLongAsTheFenceHolds(
        _ time: (written: [Double], promised: [Double], counts: Bool)
    ) {
        var fence = PrimaryFence(ledger: Self.ledger(["db-2"]))
        fence.wroteLease(startedAt: Self.at(0), duration: .seconds(15))
        #expect(!fence.hasAskedOthers)
        fence.othersKnowNothingNewer()
        for second in (time.written + time.promised).sorted() {
            if time.written.contains(second) {
                fence.wroteLease(startedAt: Self.at(second), duration: .seconds(15))
            } else {
                for ask in fence.ledger.dueAsks(duration: .seconds(15), now: Self.at(second)) {
                    fence.ledger.granted(ask, by: "x")
                }
            }
        }
        fence.wroteLease(startedAt: Self.at(20), duration: .seconds(15))
        #expect(fence.hasAskedOthers == time.counts)
    }

    @Test
    func aShorterLeaseCountsAtOnceAndALongerOneLater() {
        var fence = PrimaryFence(ledger: Self.ledger([]))
        fence.wroteLease(startedAt: Self.at(0), duration: .seconds(15))
        fence.wroteLease(startedAt: Self.at(1), duration: .seconds(60))
        #expect(fence.leaseUntil == Self.at(11))
        fence.wroteLease(startedAt: Self.at(2), duration: .seconds(60))
        #expect(fence.leaseUntil == Self.at(42))
        fence.wroteLease(startedAt: Self.at(3), duration: .seconds(15))
        #expect(fence.leaseUntil == Self.at(13))
    }

    @Test
    func theLongestDurationCountsUntilAllSayTheShorterOne() {
        var watch = LongestDuration()
        func look(_ longest: Int, spec: Int, lease: Int?, promise: Int?, _ seconds: Double) -> Duration {
            watch.counting(
                longest: .seconds(longest),
                spec: .seconds(spec),
                lease: lease.map { .seconds($0) },
                promise: promise.map { .seconds($0) },
                now: Self.at(seconds)
            )
        }
        #expect(look(15, spec: 60, lease: 15, promise: 15, 0) == .seconds(60))
        #expect(look(60, spec: 15, lease: 60, promise: 15, 1) == .seconds(60))
        #expect(look(60, spec: 15, lease: nil, promise: 15, 100) == .seconds(60))
        #expect(look(60, spec: 15, lease: 15, promise: 15, 200) == .seconds(60))
        #expect(look(60, spec: 15, lease: 15, promise: 15, 259) == .seconds(60))
        #expect(look(60, spec: 15, lease: 15, promise: 15, 260) == .seconds(15))
    }
}
