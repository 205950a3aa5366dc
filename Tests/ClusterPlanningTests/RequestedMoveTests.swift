import ClusterPlanning
import Foundation
import KubernetesClient
import PostgresClusterAPI
import Testing

struct RequestedMoveTests {
    struct Request: Sendable, CustomTestStringConvertible {
        var text: String
        var to: String?
        var reason: ConditionReason?
        var spoil: @Sendable (inout ClusterFacts) -> Void = { _ in }
        var testDescription: String
    }

    static let requests: [Request] = [
        Request(text: "@3", to: "orders-2", testDescription: "the best one"),
        Request(text: "orders-3@3", to: "orders-3", testDescription: "a named one"),
        Request(text: "orders-3@2", testDescription: "used up by the term"),
        Request(text: "orders-3@4", testDescription: "of a term to come"),
        Request(text: "orders-3", testDescription: "without a term"),
        Request(text: "orders-1@3", reason: .noCandidate, testDescription: "the primary itself"),
        Request(text: "orders-9@3", reason: .noCandidate, testDescription: "one that does not exist"),
        Request(
            text: "orders-3@3",
            reason: .replicaLagging,
            spoil: {
                $0.reports["orders-3"]?.replayedLSN = LSN(rawValue: 0)
                $0.spec.switchoverMaximumLag = 10
            },
            testDescription: "one that lags"
        ),
        Request(
            text: "@3",
            to: "orders-2",
            spoil: { $0.reports["orders-3"]?.isStreaming = false },
            testDescription: "the best one of those who can"
        ),
        Request(text: "@3", reason: .held, spoil: { $0.hold = "month-end" }, testDescription: "under a hold"),
        Request(
            text: "@3",
            reason: .tooManyMoves,
            spoil: { $0.otherTransitions = 50 },
            testDescription: "while many others move"
        ),
        Request(
            text: "orders-3@3",
            reason: .noOtherNode,
            spoil: { $0.cordon("node-c") },
            testDescription: "one on a leaving node"
        ),
        Request(
            text: "orders-2@3",
            to: "orders-3",
            spoil: { facts in
                facts.cordon("node-a")
                facts.cordon("node-b")
            },
            testDescription: "one that cannot, while the node wants a move anyway"
        ),
        Request(
            text: "orders-3@3",
            to: "orders-3",
            spoil: { $0.cordon("node-a") },
            testDescription: "a named one goes before our own choice"
        ),
    ]

    @Test("A person's request is a planned move like any other, or refused with the reason", arguments: requests)
    func request(request: Request) {
        var facts = makeCluster()
        request.spoil(&facts)
        facts.requestedSwitchover = RequestedSwitchover(request.text)
        let result = plan(facts)
        #expect(result.status.transition?.to == request.to)
        if let reason = request.reason {
            #expect(result.status.conditions[.readyForEviction]?.status == .false)
            #expect(result.events.contains { $0.reason == "MoveBlocked" })
            #expect(result.status.conditions[.readyForEviction]?.reason == reason)
        } else if request.to == nil {
            #expect(result.move == .settled)
        } else {
            #expect(plan(facts).watched == ["orders-1", "orders-2", "orders-3"])
        }
    }

    @Test("A request that is withdrawn in Preparing is given up, and one that stands is carried on")
    func requestInPreparing() {
        var facts = makeCluster()
        facts.setTransition(.preparing, to: "orders-3")
        facts.requestedSwitchover = RequestedSwitchover("orders-3@3")
        #expect(plan(facts).decision == nil)
        facts.requestedSwitchover = nil
        #expect(plan(facts).decision?.event?.reason == "SwitchoverCancelled")
    }
}
