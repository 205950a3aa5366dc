import Foundation
import KubernetesClient
import PostgresClusterAPI
import Testing

@testable import CLI

@Suite(.timeLimit(.minutes(3)))
struct SwitchoverWatchTests {
    private let start = Date(timeIntervalSince1970: 1_800_000_000)

    private func look(
        to: String? = nil,
        after seconds: Double = 1,
        _ change: (inout PostgresClusterStatus) -> Void
    ) throws -> SwitchoverWatch.Verdict {
        var cluster = FleetSample(instances: 3, spareNodes: 0).cluster
        var status = try #require(cluster.status)
        let watch = SwitchoverWatch(
            primary: try #require(status.primary),
            term: status.term,
            to: to,
            giveUpAt: self.start.addingTimeInterval(30)
        )
        change(&status)
        cluster.status = status
        return watch.look(cluster, now: self.start.addingTimeInterval(seconds))
    }

    private func transition(_ phase: TransitionPhase) -> Transition {
        Transition(kind: .switchover, from: "orders-1", to: "orders-2", reason: .requested, phase: phase)
    }

    @Test func itIsOverWhenSomebodyElseIsPrimaryAndNothingIsUnderWay() throws {
        let following = try self.look { status in
            status.term += 1
            status.primary = "orders-2"
            status.transition = self.transition(.following)
        }
        #expect(following == .waiting("orders-1 to orders-2: Following"))
        let done = try self.look { status in
            status.term += 1
            status.primary = "orders-2"
        }
        #expect(done == .done("orders-2"))
    }

    @Test func anotherPrimaryThanTheOneNamedIsAFailure() throws {
        let verdict = try self.look(to: "orders-3") { status in
            status.term += 1
            status.primary = "orders-2"
        }
        #expect(verdict == .failed("orders-2 is primary, not orders-3"))
    }

    @Test func beingTakenBackIsAFailure() throws {
        let verdict = try self.look { $0.term += 1 }
        guard case .failed = verdict else {
            Issue.record("\(verdict)")
            return
        }
    }

    @Test func aRefusalIsToldAndGivenUpOnlyAtTheEndOfTheTime() throws {
        func refuse(_ status: inout PostgresClusterStatus) {
            status.conditions.set(
                .readyForEviction,
                .false,
                reason: .held,
                message: "month-end",
                observedGeneration: nil,
                now: Timestamp(self.start)
            )
        }
        #expect(try self.look(after: 29, refuse) == .waiting("Held: month-end"))
        #expect(try self.look(after: 30, refuse) == .refused("Held: month-end"))
    }

    @Test func whatHasBegunToStopIsWaitedForWhateverTheTime() throws {
        #expect(
            try self.look(after: 100) { $0.transition = self.transition(.demoting) }
                == .waiting("orders-1 to orders-2: Demoting")
        )
        #expect(
            try self.look(after: 100) { $0.transition = self.transition(.preparing) }
                == .refused("orders-1 to orders-2: Preparing")
        )
    }
}
