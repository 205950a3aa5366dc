import ClusterPlanning
import Foundation
import KubernetesClient
import PostgresClusterAPI
import Testing

@testable import CLI

@Suite(.timeLimit(.minutes(3)))
struct PreflightTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        /// What must be found, with its severity, and nothing else.
        let expected: [String: Finding.Severity]
        var instances = 3
        var spareNodes = 1
        let change: @Sendable (inout FleetSample) -> Void

        var testDescription: String { self.name }
    }

    static let cases: [Case] = [
        Case(name: "all is well", expected: [:]) { _ in },
        Case(name: "held by annotation", expected: ["Held": .blocks]) {
            $0.cluster.metadata.annotations = [Annotations.hold: "closing"]
        },
        Case(name: "held by spec", expected: ["Held": .blocks]) {
            $0.cluster.spec.maintenance = .init(hold: "closing")
        },
        Case(name: "single instance", expected: ["SingleInstance": .warns], instances: 1) { _ in },
        Case(
            name: "single instance without a place",
            expected: ["SingleInstance": .blocks, "NoSpareNode": .warns],
            instances: 1,
            spareNodes: 0
        ) { _ in },
        Case(name: "single instance that blocks", expected: ["SingleInstance": .blocks], instances: 1) {
            $0.cluster.spec.maintenance = .init(singleInstance: .block)
        },
        Case(name: "single instance that restarts", expected: ["SingleInstance": .warns], instances: 1) {
            $0.cluster.spec.maintenance = .init(singleInstance: .restart)
        },
        Case(name: "a replica is far behind", expected: ["ReplicaLagging": .warns]) {
            $0.cluster.status?.instances[1].lagBytes = 16 << 20
        },
        Case(name: "all replicas are far behind", expected: ["ReplicaLagging": .blocks]) {
            $0.cluster.status?.instances[1].lagBytes = 256 << 20
            $0.cluster.status?.instances[2].lagBytes = 16 << 20
        },
        Case(name: "a replica does not stream", expected: ["ReplicaNotStreaming": .blocks]) {
            $0.set(.degraded, true, .replicaNotStreaming)
        },
        Case(name: "no node fits an instance", expected: ["Unschedulable": .blocks]) {
            $0.set(.degraded, true, .unschedulable)
        },
        Case(name: "two instances", expected: ["NoSpareReplica": .warns], instances: 2) { _ in },
        Case(name: "no spare node", expected: ["NoSpareNode": .warns], spareNodes: 0) { _ in },
        Case(name: "zone without spare node", expected: ["NoSpareNode": .warns]) {
            $0.fleet.volumes[ObjectKey(namespace: "shop", name: "orders-3")]?.zones = ["zone-c"]
        },
        Case(name: "degraded", expected: ["InstanceFailing": .blocks]) { $0.set(.degraded, true, .instanceFailing) },
        Case(name: "an instance is missing", expected: ["InstancesMissing": .warns]) {
            $0.set(.ready, false, .instancesMissing)
            $0.setReady("orders-3", false)
        },
        Case(name: "no replica is ready", expected: ["InstancesMissing": .warns, "NoCandidate": .blocks]) {
            $0.set(.ready, false, .instancesMissing)
            $0.setReady("orders-2", false)
            $0.setReady("orders-3", false)
        },
        Case(name: "no primary", expected: ["NoPrimary": .blocks, "PrimaryUnreachable": .blocks]) {
            $0.set(.ready, false, .noPrimary)
            $0.setReady("orders-1", false)
        },
        Case(name: "the archive fails", expected: ["ArchiveFailing": .blocks]) {
            $0.set(.readyForEviction, false, .archiveFailing)
        },
        Case(name: "something is open in PostgreSQL", expected: ["PreparedTransactions": .blocks]) {
            $0.set(.movable, false, .preparedTransactions)
        },
        Case(name: "a long transaction", expected: ["LongTransaction": .warns]) {
            $0.set(.movable, false, .longTransaction)
        },
        Case(name: "the operator is behind", expected: ["NotObserved": .blocks]) { $0.cluster.metadata.generation = 2 },
        Case(name: "a switchover runs", expected: ["Switchover": .warns]) {
            $0.cluster.status?.transition = Transition(
                kind: .switchover,
                from: "orders-1",
                to: "orders-2",
                reason: .nodeCordoned,
                phase: .promoting
            )
        },
        Case(name: "another timeline", expected: ["OtherTimeline": .warns]) {
            $0.cluster.status?.instances[2].timeline = 2
        },
        Case(name: "no budget", expected: ["BudgetMissing": .blocks]) {
            $0.fleet.budgets.removeAll { $0.metadata.name == "orders-master" }
        },
        Case(name: "somebody else's budget", expected: ["ForeignBudget": .blocks]) {
            $0.fleet.budgets.append(
                PodDisruptionBudget(
                    metadata: ObjectMeta(name: "all", namespace: "shop"),
                    spec: PodDisruptionBudgetSpec(selector: LabelSelector(matchLabels: ["application": "orders"]))
                )
            )
        },
        Case(name: "budgets of others", expected: [:]) {
            for (namespace, labels) in [("shop", ["application": "cart"]), ("other", ["application": "orders"])] {
                $0.fleet.budgets.append(
                    PodDisruptionBudget(
                        metadata: ObjectMeta(name: "all", namespace: namespace),
                        spec: PodDisruptionBudgetSpec(selector: LabelSelector(matchLabels: labels))
                    )
                )
            }
        },
        Case(name: "budgets cannot be read", expected: [:]) {
            $0.fleet.budgets = []
            $0.fleet.gaps = ["budgets cannot be read: forbidden"]
        },
    ]

    @Test(arguments: Self.cases)
    func findsWhatWouldGoWrong(_ one: Case) {
        var sample = FleetSample(instances: one.instances, spareNodes: one.spareNodes)
        one.change(&sample)
        let found = Dictionary(sample.findings.map { ($0.reason, $0.severity) }) { first, _ in first }
        #expect(found == one.expected)
        for finding in sample.findings {
            #expect(!finding.remedy.isEmpty)
            #expect(finding.cluster == "shop/orders")
        }
    }

    @Test func whatBlocksComesFirst() {
        var sample = FleetSample(spareNodes: 0)
        sample.cluster.metadata.annotations = [Annotations.hold: "closing"]
        #expect(sample.findings.map(\.severity) == [.blocks, .warns])
    }

    @Test(arguments: [
        ("In", ["x", "y"], true), ("In", ["z"], false), ("NotIn", ["z"], true), ("NotIn", ["x"], false),
        ("Exists", [], true), ("DoesNotExist", [], false), ("Gt", ["1"], false),
    ])
    func selectorsMatchAsTheServerDoes(word: String, values: [String], matches: Bool) {
        let selector = LabelSelector(
            matchExpressions: [LabelSelectorRequirement(key: "a", operator: word, values: values)]
        )
        #expect(selector.matches(["a": "x"]) == matches)
        #expect(LabelSelector().matches(["a": "x"]))
        #expect(!LabelSelector(matchLabels: ["a": "y"]).matches(["a": "x"]))
    }

    @Test(arguments: ConditionReason.all)
    func everyReasonHasARemedy(_ reason: ConditionReason) {
        #expect(!Remedy.text(for: reason, cluster: "orders").isEmpty)
    }
}
