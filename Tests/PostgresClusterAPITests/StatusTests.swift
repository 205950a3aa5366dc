import Foundation
import JSON
import KubernetesClient
import PostgresClusterAPI
import Testing

private let first = Timestamp(Date(timeIntervalSince1970: 1_800_000_000))
private let later = Timestamp(Date(timeIntervalSince1970: 1_800_000_060))

@Suite struct StatusTests {
    private var example: PostgresClusterStatus {
        var status = PostgresClusterStatus()
        status.term = 7
        status.primary = "orders-2"
        status.members = ["orders-1", "orders-2"]
        status.transition = Transition(
            kind: .switchover,
            from: "orders-1",
            to: "orders-2",
            reason: .nodeCordoned,
            node: "node-a",
            phase: .promoting,
            startedAt: first,
            shutdownLSN: LSN(rawValue: 0x500_0028)
        )
        status.instances = [.init(name: "orders-1", role: .replica, ready: true)]
        status.conditions.set(.ready, .true, reason: .asDeclared, message: "", observedGeneration: 1, now: first)
        return status
    }

    @Test func readsBackWhatItWrites() throws {
        let document = try JSONValue(encoding: self.example)
        #expect(document[path: ["transition", "kind"]] == "Switchover")
        #expect(document[path: ["transition", "phase"]] == "Promoting")
        #expect(document[path: ["transition", "shutdownLSN"]] == "0/5000028")
        #expect(try document.decode(PostgresClusterStatus.self) == self.example)
    }

    @Test func readsAnEmptyStatus() throws {
        #expect(try ([:] as JSONValue).decode(PostgresClusterStatus.self) == PostgresClusterStatus())
    }

    @Test func patchesOnlyWhatChangedAndRemovesWhatIsGone() throws {
        let old = self.example
        var new = old
        let same = try new.mergePatch(from: old)
        #expect(same == [:])
        new.transition = nil
        new.term = 8
        let moved = try new.mergePatch(from: old)
        #expect(moved == ["transition": nil, "term": 8])
        new = old
        new.transition?.shutdownLSN = nil
        new.transition?.phase = .following
        #expect(
            try new.mergePatch(from: old) == ["transition": ["shutdownLSN": nil, "phase": "Following"]]
        )
        new = old
        new.members = []
        #expect(try new.mergePatch(from: old) == ["members": []])
        #expect(try old.mergePatch(from: nil)["term"] == 7)
    }

    @Test func aConditionKeepsItsTimeUntilItsStatusChanges() throws {
        var conditions: [ClusterCondition] = []
        conditions.set(.ready, .false, reason: .bootstrapping, message: "a", observedGeneration: 1, now: first)
        conditions.set(.ready, .false, reason: .instancesMissing, message: "b", observedGeneration: 2, now: later)
        #expect(conditions.count == 1)
        #expect(conditions[.ready]?.lastTransitionTime == first)
        #expect(conditions[.ready]?.reason == .instancesMissing)
        #expect(conditions[.ready]?.observedGeneration == 2)
        conditions.set(.ready, .true, reason: .asDeclared, message: "", observedGeneration: 2, now: later)
        #expect(conditions[.ready]?.lastTransitionTime == later)
        #expect(conditions.isTrue(.ready))
        #expect(!conditions.isTrue(.degraded))
    }

    @Test func aConditionsMessageFitsTheSchema() throws {
        var conditions: [ClusterCondition] = []
        let long = String(repeating: "ä", count: 100_000)
        conditions.set(.degraded, .true, reason: .invalidSpec, message: long, observedGeneration: 1, now: first)
        #expect(conditions[.degraded]?.message.unicodeScalars.count == SchemaLimits.message)
    }

    @Test func phasesAreInOrder() {
        #expect(TransitionPhase.allCases.sorted() == [.preparing, .demoting, .fencing, .promoting, .following])
    }

    @Test func reasonsAreCamelCaseWordsAndUnique() {
        let words = ConditionReason.all.map(\.rawValue) + TransitionReason.all.map(\.rawValue)
        for word in words {
            #expect(word.first?.isUppercase ?? false, "\(word)")
            #expect(word.allSatisfy { $0.isASCII && $0.isLetter }, "\(word)")
        }
        #expect(Set(ConditionReason.all).count == ConditionReason.all.count)
        #expect(Set(TransitionReason.all).count == TransitionReason.all.count)
    }

    @Test func aNodeReplySurvivesItsAnnotation() throws {
        let reply = NodeReply(
            observedAt: first,
            primaries: 2,
            moving: 1,
            blocked: [.init(cluster: "shop/orders", reason: .replicaLagging, since: first)]
        )
        let text = try reply.annotation()
        #expect(text.contains(#""blocked":[{"cluster":"shop/orders","reason":"ReplicaLagging""#))
        #expect(NodeReply(annotation: text) == reply)
        #expect(NodeReply(annotation: "nonsense") == nil)
        #expect(NodeReply(annotation: String(repeating: " ", count: 1_000_000)) == nil)
        var other = reply
        other.observedAt = later
        #expect(other.saysTheSame(as: reply))
        other.moving = 2
        #expect(!other.saysTheSame(as: reply))
    }
}
