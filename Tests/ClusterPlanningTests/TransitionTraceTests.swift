import ClusterPlanning
import PostgresClusterAPI
import Testing

struct TransitionTraceTests {
    private func spans(_ trace: TransitionTrace) -> [String] {
        trace.spans.map { "\($0.step.rawValue) \($0.startMilliseconds)+\($0.milliseconds)" }
    }

    @Test func stepsLeaveNothingOut() {
        var trace = TransitionTrace()
        trace.stopRequested(at: .milliseconds(1000))
        trace.ended(.stop, at: .milliseconds(1080))
        trace.ended(.replay, at: .milliseconds(1085))
        trace.ended(.decide, at: .milliseconds(1100))
        trace.announced(from: .milliseconds(1101), to: .milliseconds(1109))
        trace.ended(.promote, at: .milliseconds(1160))
        #expect(self.spans(trace) == ["Stop 0+80", "Replay 80+5", "Decide 85+15", "Promote 100+60", "Announce 101+8"])
        #expect(trace.gap == .milliseconds(160))
    }

    @Test func whatWasNotNeededIsLeftOut() {
        var trace = TransitionTrace()
        trace.stopRequested(at: .zero)
        trace.ended(.stop, at: .milliseconds(70))
        trace.ended(.decide, at: .milliseconds(90))
        trace.ended(.replay, at: .milliseconds(95))
        trace.ended(.promote, at: .milliseconds(100))
        #expect(self.spans(trace) == ["Stop 0+70", "Decide 70+20", "Promote 90+10"])
    }

    @Test func repeatedRequestsChangeNothing() {
        var trace = TransitionTrace()
        trace.stopRequested(at: .milliseconds(0))
        trace.stopRequested(at: .milliseconds(50))
        trace.ended(.stop, at: .milliseconds(70))
        trace.ended(.stop, at: .milliseconds(90))
        #expect(self.spans(trace) == ["Stop 0+70"])
        #expect(trace.gap == nil)
    }

    @Test func whatComesBeforeTheStopDoesNotCount() {
        var trace = TransitionTrace()
        // Waiting for the replay is part of the preparation, too, and the Service is looked at all the time.
        trace.ended(.replay, at: .milliseconds(5))
        trace.announced(from: .milliseconds(5), to: .milliseconds(6))
        trace.stopRequested(at: .milliseconds(10))
        trace.ended(.replay, at: .milliseconds(15))
        #expect(trace.spans.isEmpty)
        trace.ended(.stop, at: .milliseconds(20))
        #expect(self.spans(trace) == ["Stop 0+10"])
    }

    @Test func aLeaderThatComesLateHasSeenNothing() {
        var trace = TransitionTrace()
        trace.ended(.promote, at: .milliseconds(5))
        #expect(trace.spans.isEmpty)
        #expect(trace.gap == nil)
    }

    @Test func whatAnInstanceDoesNotAccountForWasTheWay() {
        var trace = TransitionTrace()
        trace.stopRequested(at: .zero)
        trace.ended(
            .stop,
            at: .milliseconds(80),
            parts: [.init(name: "Remember", milliseconds: 5), .init(name: "Shutdown", milliseconds: 60)]
        )
        trace.ended(.promote, at: .milliseconds(100))
        #expect(
            trace.spans[0].parts?.map { "\($0.name) \($0.milliseconds)" } == ["Remember 5", "Shutdown 60", "Way 15"]
        )
        #expect(trace.spans[1].parts == nil)
    }

    @Test func noInstanceCanFillTheStatus() {
        var trace = TransitionTrace()
        trace.stopRequested(at: .zero)
        let long = TransitionPart(name: String(repeating: "x", count: 5000), milliseconds: .max)
        trace.ended(
            .stop,
            at: .milliseconds(80),
            parts: [.init(name: "Negative", milliseconds: .min)] + [TransitionPart](repeating: long, count: 5000)
        )
        let parts = trace.spans[0].parts ?? []
        #expect(parts.count == TransitionPart.mostParts)
        #expect(parts.allSatisfy { $0.name.utf8.count <= TransitionPart.longestName && $0.milliseconds >= 0 })
        #expect(parts.reduce(0) { $0 + $1.milliseconds } == 80)
    }

    @Test func partsAreRoundedTogether() {
        var trace = TransitionTrace()
        trace.stopRequested(at: .zero)
        trace.ended(.stop, at: .microseconds(1400))
        trace.ended(.replay, at: .microseconds(2800))
        trace.ended(.decide, at: .microseconds(4200))
        trace.ended(.promote, at: .microseconds(5600))
        #expect(trace.spans.reduce(0) { $0 + $1.milliseconds } == 6)
    }
}
