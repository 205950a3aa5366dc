import Foundation
import Testing

@testable import Workload

struct GapFiguresTests {
    private func figures(_ gaps: [Int]) -> GapFigures {
        var figures = GapFigures()
        for gap in gaps { figures.add(gapMilliseconds: gap, lost: 0, failed: 1) }
        return figures
    }

    @Test func nothingMeasuredIsZero() {
        #expect(self.figures([]).median == 0)
        #expect(self.figures([]).percentile95 == 0)
    }

    @Test func medianIsTheMiddle() {
        #expect(self.figures([9, 1, 5]).median == 5)
        #expect(self.figures([4, 1, 9, 5]).median == 5)
        #expect(self.figures([7]).median == 7)
    }

    @Test(arguments: [(1, 1), (10, 10), (19, 19), (20, 19), (40, 38), (100, 95)])
    func ninetyFiveOfAHundredAreNotAbove(count: Int, expected: Int) {
        #expect(self.figures(Array((1...count).reversed())).percentile95 == expected)
    }

    @Test func countsWhatWasLostAndWhatFailed() {
        var figures = self.figures([3, 4])
        figures.add(gapMilliseconds: 1, lost: 2, failed: 5)
        #expect(figures.lost == 2)
        #expect(figures.failed == 7)
        #expect(
            figures.json == """
                {"minMilliseconds":1,"medianMilliseconds":3,"p95Milliseconds":4,"maxMilliseconds":4,"runs":3,\
                "failed":7,"lost":2}
                """
        )
    }
}

struct ProcessTreeTests {
    private let tree = ProcessTree(entries: [
        .init(pid: 10, parent: 1, command: ["/usr/bin/bwrap", "--unshare-pid"]),
        .init(pid: 11, parent: 10, command: ["python3", "patroni", "-D"]),
        .init(pid: 12, parent: 11, command: ["/usr/lib/postgresql/15/bin/postgres", "-D", "/data"]),
        .init(pid: 13, parent: 12, command: ["postgres: checkpointer"]),
        .init(pid: 20, parent: 1, command: ["/usr/lib/postgresql/15/bin/postgres", "-D", "/other"]),
    ])

    @Test func findsWhatIsBelow() {
        #expect(self.tree.descendants(of: 10).map(\.pid) == [10, 11, 12, 13])
        #expect(self.tree.descendants(of: 99).isEmpty)
    }

    @Test func findsThePostmasterBelow() {
        #expect(self.tree.postmaster(below: 10)?.pid == 12)
        #expect(self.tree.postmaster(below: 20)?.pid == 20)
        #expect(self.tree.postmaster(below: 13) == nil)
    }

    @Test func findsThisProcess() {
        let own = ProcessTree().descendants(of: 1)
        #expect(!own.isEmpty || ProcessTree().descendants(of: getpid()).first?.pid == getpid())
    }
}
