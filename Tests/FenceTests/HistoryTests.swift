import PostgresClusterAPI
import Testing

@testable import Fence

@Suite
struct HistoryTests {
    private static let one = PersistentState.Promotion(term: 1, timeline: 1, switchLSN: 0)
    private static let two = PersistentState.Promotion(term: 2, timeline: 2, switchLSN: 500)

    private func verdict(
        timeline: UInt32,
        end: UInt64,
        _ promotions: [PersistentState.Promotion],
        ancestors: [UInt32] = [],
        system: UInt64 = 9
    ) -> JoinVerdict {
        JoinVerdict(
            position: HistoryPosition(
                systemIdentifier: system,
                timeline: timeline,
                ancestors: ancestors,
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
    func aTimelineWithoutItsPromotionIsNeverTrusted() {
        // Promoted, and killed before it had written that down.
        #expect(self.verdict(timeline: 2, end: 500, [Self.one]) == .clone)
        #expect(self.verdict(timeline: 1, end: 400, []) == .clone)
    }

    @Test
    func anAncestorWithoutItsPromotionIsNeverTrusted() {
        // Promoted twice, and killed before it had written the first time down: pg_rewind would take its timeline 2 for
        // the primary's.
        let three = PersistentState.Promotion(term: 5, timeline: 3, switchLSN: 700)
        #expect(self.verdict(timeline: 3, end: 800, [Self.one, three], ancestors: [1, 2]) == .clone)
        #expect(self.verdict(timeline: 3, end: 800, [Self.one, Self.two, three], ancestors: [1, 2]) == .rewind)
        #expect(self.verdict(timeline: 3, end: 800, [Self.one, three], ancestors: [1]) == .rewind)
    }

    /// One that followed a primary of term 2, which was gone before the first byte of its timeline 2 had come.
    private static var followedInVain: PersistentState {
        var disk = PersistentState()
        disk.follows([Self.one, Self.two])
        return disk
    }

    @Test
    func aPromotionOfWhichNothingCameIsNoPartOfTheHistory() {
        var disk = Self.followedInVain
        disk.willPromote(term: 3, from: 1)
        let history = TimelineHistory(timeline: 2, ancestors: [.init(timeline: 1, end: 500)])
        disk.promoted(term: 3, history: history, switchLSN: 500)
        #expect(disk.promotions == [Self.one, .init(term: 3, timeline: 2, switchLSN: 500)])
        #expect(disk.ownTerm == 3)
        #expect(self.verdict(timeline: 2, end: 600, disk.certainPromotions) == .clone)
    }

    @Test
    func aNumberThatItMayHaveGivenOutItselfIsNeverTrusted() {
        // Promoted to timeline 2, and killed before it had written that down: what stands there is another's.
        var disk = Self.followedInVain
        #expect(self.verdict(timeline: 2, end: 600, disk.certainPromotions) == .follow)
        disk.willPromote(term: 3, from: 1)
        #expect(self.verdict(timeline: 2, end: 600, disk.certainPromotions) == .clone)
        #expect(self.verdict(timeline: 1, end: 500, disk.certainPromotions) == .follow, "it was never promoted")
        // The next attempt begins on that timeline.
        disk.willPromote(term: 4, from: 2)
        #expect(self.verdict(timeline: 2, end: 600, disk.certainPromotions) == .clone)
        #expect(!disk.isFollowing(disk.promotions))
        disk.follows([Self.one, Self.two])
        #expect(disk.isFollowing([Self.one, Self.two]))
        #expect(self.verdict(timeline: 2, end: 600, disk.certainPromotions) == .follow)
    }

    @Test
    func whatItReallyHasStaysKnown() {
        var disk = Self.followedInVain
        let adopted = PersistentState.Promotion(term: 4, timeline: 2, switchLSN: 0)
        disk.promotions.append(adopted)
        disk.willPromote(term: 5, from: 2)
        let history = TimelineHistory(
            timeline: 3,
            ancestors: [.init(timeline: 1, end: 500), .init(timeline: 2, end: 800)]
        )
        disk.promoted(term: 5, history: history, switchLSN: 800)
        #expect(disk.promotions == [Self.one, Self.two, adopted, .init(term: 5, timeline: 3, switchLSN: 800)])
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

    @Test
    func aDirectoryIsOnWhatItWasPromotedToOnlyBeyondTheSwitch() {
        let adopted = PersistentState.Promotion(term: 3, timeline: 2, switchLSN: 0)
        let promotions = [Self.one, Self.two, adopted]
        #expect(promotions.timelines(reachedAt: LSN(rawValue: 500)) == [1])
        #expect(promotions.timelines(reachedAt: LSN(rawValue: 501)) == [2, 1])
        #expect([PersistentState.Promotion]().timelines(reachedAt: LSN(rawValue: 501)).isEmpty)
    }

    @Test
    func readsHistories() throws {
        let history = try #require(
            TimelineHistory(timeline: 3, text: "# old\n1\t0/3000060\tno recovery target specified\n\n2\t0/5000028\tx\n")
        )
        #expect(history.end(of: 1) == LSN(rawValue: 0x3000060))
        #expect(history.end(of: 3) == nil)
        #expect(history.contains(2) && history.contains(3) && !history.contains(4))
        #expect(TimelineHistory(timeline: 2, text: "1 nonsense") == nil)
    }
}
