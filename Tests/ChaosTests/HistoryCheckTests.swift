import Testing

@testable import Chaos

struct HistoryCheckTests {
    /// A write that took five milliseconds.
    private func write(
        _ client: String,
        _ sequence: Int64,
        at time: Int64,
        on server: String = "10.0.1.2",
        timeline: Int64 = 1,
        position: UInt64? = nil
    ) -> WriteRecord {
        WriteRecord(
            client: client,
            sequence: sequence,
            sent: time,
            acknowledged: time + 5,
            server: server,
            timeline: timeline,
            position: position ?? UInt64(time)
        )
    }

    private func present(_ records: [WriteRecord]) -> [String: [Int64: Int]] {
        records.reduce(into: [:]) { $0[$1.client, default: [:]][$1.sequence] = 1 }
    }

    private func kinds(_ check: HistoryCheck) -> [HistoryCheck.Violation.Kind] { check.violations.map(\.kind) }

    @Test func aSwitchoverWithNothingLostIsFine() {
        let records = [
            self.write("a", 1, at: 10), self.write("b", 1, at: 12), self.write("a", 2, at: 20),
            self.write("a", 4, at: 100, on: "10.0.2.2", timeline: 2),
            self.write("b", 5, at: 110, on: "10.0.2.2", timeline: 2),
        ]
        var present = self.present(records)
        // Never acknowledged, and there nevertheless: its answer was cut off.
        present["a"]?[3] = 1
        let check = HistoryCheck(records: records, present: present, guarantee: .nothingLost)
        #expect(check.violations == [])
        #expect(check.acknowledged == 5)
        #expect(check.epochs == 2)
        #expect(HistoryCheck.longestGap(records) == 80)
    }

    @Test func aLostWriteIsFound() {
        let records = [self.write("a", 1, at: 10), self.write("a", 2, at: 20)]
        let check = HistoryCheck(records: records, present: ["a": [1: 1]], guarantee: .nothingLost)
        #expect(self.kinds(check) == [.lost])
        #expect(check.lost == 1)
    }

    @Test(arguments: [(1_000, false), (5_000, true)])
    func whatMayBeLostIsBounded(distance: Int, isViolation: Bool) {
        let records = [
            self.write("a", 1, at: 10, position: 100), self.write("a", 2, at: 20, position: 100 + UInt64(distance)),
        ]
        let check = HistoryCheck(records: records, present: [:], guarantee: .atMost(bytes: 2_000))
        #expect(check.lost == 2)
        #expect(self.kinds(check).contains(.lost) == isViolation)
    }

    @Test func aWriteThatIsThereTwiceIsFound() {
        let records = [self.write("a", 1, at: 10)]
        let check = HistoryCheck(records: records, present: ["a": [1: 2]], guarantee: .nothingLost)
        #expect(self.kinds(check) == [.duplicate])
    }

    @Test func anOldPrimaryThatGoesOnIsFound() {
        let records = [
            self.write("a", 1, at: 10), self.write("b", 1, at: 50, on: "10.0.2.2", timeline: 2),
            self.write("c", 9, at: 60),
        ]
        let check = HistoryCheck(records: records, present: self.present(records), guarantee: .nothingLost)
        #expect(self.kinds(check) == [.twoPrimaries])
    }

    @Test func twoServersOnOneTimelineAreFound() {
        let records = [
            self.write("a", 1, at: 10, on: "10.0.1.2", timeline: 3),
            self.write("b", 1, at: 20, on: "10.0.2.2", timeline: 3),
            self.write("c", 1, at: 30, on: "10.0.1.2", timeline: 3),
        ]
        let check = HistoryCheck(records: records, present: self.present(records), guarantee: .nothingLost)
        #expect(self.kinds(check) == [.twoPrimaries])
    }

    @Test func writesWhoseTimesTouchProveNothing() {
        // Accepted at any moment between sending and acknowledgement: the old primary's last may have come first.
        let records = [
            self.write("a", 1, at: 10), self.write("c", 9, at: 52),
            self.write("b", 1, at: 50, on: "10.0.2.2", timeline: 2),
        ]
        let check = HistoryCheck(records: records, present: self.present(records), guarantee: .nothingLost)
        #expect(check.violations == [])
    }

    @Test func aClientWhoseLaterWriteLiesBeforeAnEarlierOneIsFound() {
        let records = [
            self.write("a", 1, at: 10, timeline: 2, position: 500),
            self.write("a", 2, at: 20, timeline: 1, position: 600),
        ]
        let check = HistoryCheck(records: records, present: self.present(records), guarantee: .nothingLost)
        #expect(self.kinds(check).contains(.disorder))
    }

    @Test func recordsAreReadBackAndBrokenLinesAreNot() {
        let record = self.write("local-1", 42, at: 1_000, position: 0xabc_def0)
        #expect(WriteRecord(line: record.line) == record)
        for line in ["", "a 1 2 3", "a x 1 2 s 1 ff", " 1 1 2 s 1 ff", "a 1 1 2 s 1 zz"] {
            #expect(WriteRecord(line: line) == nil)
        }
    }
}
