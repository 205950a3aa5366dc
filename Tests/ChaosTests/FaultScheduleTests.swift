import Testing

@testable import Chaos

struct FaultScheduleTests {
    @Test func theSameSeedGivesTheSameFaults() {
        let steps = { (seed: UInt64) in Array(FaultSchedule(seed: seed).prefix(300)) }
        #expect(steps(7) == steps(7))
        #expect(steps(7) != steps(8))
    }

    @Test func everyKindComesAndNoneLastsTooLong() {
        var kinds: [Fault.Kind: Int] = [:]
        var concurrent = 0
        for step in FaultSchedule(seed: 1).prefix(2_000) {
            guard case .begin(let fault, let isAwaited) = step else { continue }
            kinds[fault.kind, default: 0] += 1
            if !isAwaited { concurrent += 1 }
            #expect(fault.duration <= FaultSchedule.longest)
            #expect(fault.kind.lasts == (fault.duration > 0))
            #expect(fault.kind.lasts || isAwaited)
        }
        #expect(Set(kinds.keys) == Set(Fault.Kind.allCases))
        #expect(concurrent > 0)
    }

    @Test func clustersGetTimeToBecomeWholeAgain() {
        var faults = 0
        for step in FaultSchedule(seed: 3).prefix(1_000) {
            switch step {
            case .begin: faults += 1
            case .settle: faults = 0
            case .pause(let milliseconds): #expect((100...3_000).contains(milliseconds))
            }
            #expect(faults <= FaultSchedule.faultsBetweenSettling)
        }
    }

    @Test func onlyTheKindsAskedForCome() {
        for step in FaultSchedule(seed: 3, kinds: [.drain]).prefix(100) {
            if case .begin(let fault, _) = step { #expect(fault.kind == .drain) }
        }
        #expect(Array(FaultSchedule(seed: 3, kinds: [])).isEmpty)
    }
}
