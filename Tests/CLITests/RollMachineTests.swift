import Foundation
import KubernetesClient
import Testing

@testable import CLI

/// Nodes and clusters that do what a roll asks for, and note whether they were ever asked for too much.
private struct World {
    var nodes: [RollNode]
    var clusters: [RollCluster]
    let settings: RollMachine.Settings
    /// Whether the replace command, without surge, takes the old node away.
    var replaceRemoves = true
    var now = Date(timeIntervalSince1970: 1_800_000_000)
    var made = 0
    var log: [String] = []
    var violations: [String] = []
    /// Answers that have yet to be given to the machine.
    var answers: [(inout RollMachine, Date) -> Void] = []
    var readyRefusals = 0

    init(_ zones: [String: Int], settings: RollMachine.Settings, clusters: Int = 2) {
        self.settings = settings
        self.nodes = zones.sorted { $0.key < $1.key }
            .flatMap { zone, count in
                (0..<count)
                    .map { index in
                        RollNode(
                            name: "\(zone)-\(index)",
                            uid: "uid-\(zone)-\(index)",
                            zone: zone,
                            created: Date(timeIntervalSince1970: 1_700_000_000),
                            isSelected: true,
                            daemonSets: ["kube-system/proxy": true]
                        )
                    }
            }
        self.clusters = (0..<clusters)
            .map { index in
                RollCluster(
                    key: ObjectKey(namespace: "shop", name: "c\(index)"),
                    wanted: 0,
                    readyOn: [],
                    isAtRest: true
                )
            }
    }

    private mutating func change(_ name: String, _ body: (inout RollNode) -> Void) {
        for index in self.nodes.indices where self.nodes[index].name == name { body(&self.nodes[index]) }
    }

    private var inWork: [RollNode] { self.nodes.filter { $0.step?.isInWork == true } }

    mutating func perform(_ action: RollMachine.Action) -> RollMachine.Outcome? {
        switch action {
        case .mark(let name, let record): self.change(name) { $0.record = record }
        case .announce(let name, _):
            self.change(name) { $0.isAnnounced = true }
            if self.nodes.contains(where: { $0.isSelected && $0.record == nil }) {
                self.violations.append("announced before all were marked")
            }
        case .adopt(let name, let record): self.change(name) { $0.replacement = record }
        case .step(let name, let step):
            self.change(name) { $0.step = step }
            if self.inWork.count > self.settings.maximumUnavailable { self.violations.append("too many in work") }
            if Set(self.inWork.map(\.zone)).count > 1 { self.violations.append("two zones at once") }
            if self.nodes.contains(where: { $0.isSelected && !$0.isAnnounced }) {
                self.violations.append("begun before all were announced")
            }
        case .drain(let name):
            guard let node = self.nodes.first(where: { $0.name == name }) else { break }
            if self.settings.isSurging, self.nodes.count(where: { $0.zone == node.zone && $0.replacement != nil }) == 0
            {
                self.violations.append("drained before there was a new one")
            }
            self.answers.append {
                $0.drained(name, uid: node.uid, isEmpty: true, problem: "")
                _ = $1
            }
        case .run(.replace, let node, let zone):
            self.made += 1
            let new = RollNode(
                name: "new-\(self.made)",
                uid: "uid-new-\(self.made)",
                zone: zone,
                created: self.now,
                isReady: true,
                daemonSets: ["kube-system/proxy": true]
            )
            self.nodes.append(new)
            if !self.settings.isSurging, self.replaceRemoves { self.nodes.removeAll { $0.name == node } }
            self.answers.append {
                $0.ended(.replace, node: node, status: 0)
                _ = $1
            }
        case .run(.remove, let node, _):
            self.nodes.removeAll { $0.name == node }
            self.answers.append {
                $0.ended(.remove, node: node, status: 0)
                _ = $1
            }
        case .askReady:
            let isReady = self.readyRefusals == 0
            self.readyRefusals = max(0, self.readyRefusals - 1)
            self.answers.append { $0.answeredReady(isReady, now: $1) }
        case .forget(let names): for name in names { self.change(name) { $0.replacement = nil } }
        case .end(let outcome): return outcome
        }
        return nil
    }

    /// Lets a roll run; after so many actions it is interrupted and begun again.
    mutating func run(interruptedAfter limit: Int? = nil) -> RollMachine.Outcome? {
        var machine = RollMachine(self.settings)
        var left = limit
        for _ in 0..<1000 {
            self.now = self.now.addingTimeInterval(1)
            let (actions, _) = machine.look(self.nodes, self.clusters, now: self.now)
            for action in actions {
                if left == 0 {
                    left = nil
                    self.answers = []
                    machine = RollMachine(self.settings)
                    break
                }
                left = left.map { $0 - 1 }
                if let outcome = self.perform(action) { return outcome }
            }
            let answers = self.answers
            self.answers = []
            for answer in answers { answer(&machine, self.now) }
        }
        return nil
    }
}

@Suite(.timeLimit(.minutes(3)))
struct RollMachineTests {
    static let kinds: [RollMachine.Settings] = [
        RollMachine.Settings(),
        RollMachine.Settings(maximumUnavailable: 2),
        RollMachine.Settings(isSurging: true, removes: true, asksReady: true),
        RollMachine.Settings(maximumUnavailable: 3, isSurging: true, removes: true),
        RollMachine.Settings(isSurging: true),
    ]

    @Test(arguments: kinds) func everyOldNodeIsReplacedOnce(settings: RollMachine.Settings) {
        var world = World(["a": 2, "b": 2, "c": 2], settings: settings)
        #expect(world.run() == .done)
        #expect(world.violations.isEmpty)
        #expect(world.made == 6)
        let staying = settings.isSurging && !settings.removes ? 6 : 0
        #expect(world.nodes.count { $0.record != nil } == staying)
        #expect(world.nodes.allSatisfy { $0.record == nil || $0.step == .done })
        #expect(
            Dictionary(grouping: world.nodes.filter { $0.record == nil }, by: \.zone).mapValues(\.count)
                == ["a": 2, "b": 2, "c": 2]
        )
        #expect(world.nodes.allSatisfy { $0.replacement == nil })
    }

    @Test(arguments: kinds) func anInterruptedRollGoesOnAndBringsNoNodeTwice(settings: RollMachine.Settings) {
        for limit in 0..<80 {
            var world = World(["a": 2, "b": 1], settings: settings)
            let outcome = world.run(interruptedAfter: limit)
            // With the last note of it gone, it is over.
            #expect(outcome == .done || outcome == .nothingToDo && !world.nodes.contains { $0.replacement != nil })
            #expect(world.violations.isEmpty, "after \(limit)")
            #expect(world.made == 3, "after \(limit)")
        }
    }

    @Test func aSecondRunAfterTheEndFindsNothingToDo() {
        var world = World(["a": 2], settings: RollMachine.Settings(isSurging: true))
        #expect(world.run() == .done)
        // The old ones stay, cordoned and empty: they are not replaced again.
        #expect(world.run() == .done)
        #expect(world.made == 2)
    }

    @Test func withoutNodesThereIsNothingToDo() {
        var world = World([:], settings: RollMachine.Settings())
        #expect(world.run() == .nothingToDo)
    }

    /// Something that must be waited for before the next node, and what undoes it.
    struct Wait: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var spoil: @Sendable (inout [RollNode], inout [RollCluster]) -> Void
    }

    static let waits: [Wait] = [
        Wait(testDescription: "the new node is not ready") { nodes, _ in nodes[nodes.count - 1].isReady = false },
        Wait(testDescription: "a DaemonSet's pod is missing") { nodes, _ in nodes[nodes.count - 1].daemonSets = [:] },
        Wait(testDescription: "a DaemonSet's pod is not ready") { nodes, _ in
            nodes[nodes.count - 1].daemonSets["kube-system/proxy"] = false
        },
        Wait(testDescription: "an instance is missing") { _, clusters in
            clusters[0].wanted = 2
            clusters[0].readyOn = ["new-1"]
        },
        Wait(testDescription: "an instance is ready only on the node that was drained") { _, clusters in
            clusters[0].wanted = 2
            clusters[0].readyOn = ["new-1", "a-0"]
        },
        Wait(testDescription: "a cluster is not at rest") { _, clusters in clusters[1].isAtRest = false },
        Wait(testDescription: "the new node is in another zone") { nodes, _ in nodes[nodes.count - 1].zone = "b" },
        Wait(testDescription: "there is no new node") { nodes, _ in nodes.removeLast() },
    ]

    @Test(arguments: waits) func theNextNodeIsTouchedOnlyWhenAllIsWell(wait: Wait) throws {
        let settings = RollMachine.Settings()
        var world = World(["a": 2], settings: settings)
        world.replaceRemoves = false
        var machine = RollMachine(settings)
        // Until the first node is drained and a new one has come.
        while world.made == 0 || !world.answers.isEmpty {
            world.now = world.now.addingTimeInterval(1)
            for action in machine.look(world.nodes, world.clusters, now: world.now).actions {
                #expect(world.perform(action) == nil)
            }
            let answers = world.answers
            world.answers = []
            for answer in answers { answer(&machine, world.now) }
        }
        let well = (world.nodes, world.clusters)
        wait.spoil(&world.nodes, &world.clusters)
        for _ in 0..<5 {
            for action in machine.look(world.nodes, world.clusters, now: world.now).actions {
                _ = world.perform(action)
            }
        }
        #expect(!machine.waitsFor.isEmpty)
        #expect(world.nodes.first { $0.name == "a-1" }?.step == nil, "the second one was touched too early")
        (world.nodes, world.clusters) = well
        #expect(world.run() == .done)
    }

    @Test func theUsersCommandIsAskedAgainUntilItAgrees() {
        let settings = RollMachine.Settings(asksReady: true)
        var world = World(["a": 1], settings: settings)
        world.readyRefusals = 3
        #expect(world.run() == .done)
        #expect(world.readyRefusals == 0)
    }

    @Test func aCommandThatFailsStopsTheRollOnceTheRestHasEnded() {
        let settings = RollMachine.Settings(maximumUnavailable: 2, isSurging: true)
        let world = World(["a": 2], settings: settings)
        var machine = RollMachine(settings)
        var nodes = world.nodes
        for action in machine.look(nodes, [], now: world.now).actions {
            guard case .mark(let name, let record) = action else { continue }
            for index in nodes.indices where nodes[index].name == name { nodes[index].record = record }
        }
        for index in nodes.indices { nodes[index].isAnnounced = true }
        #expect(machine.look(nodes, [], now: world.now).actions == [.step("a-0", .adding), .step("a-1", .adding)])
        let commands = machine.look(nodes, [], now: world.now).actions
        #expect(commands == [.run(.replace, node: "a-0", zone: "a"), .run(.replace, node: "a-1", zone: "a")])
        machine.ended(.replace, node: "a-0", status: 3)
        #expect(machine.look(nodes, [], now: world.now).actions.isEmpty, "the other one is still at it")
        machine.ended(.replace, node: "a-1", status: 0)
        #expect(
            machine.look(nodes, [], now: world.now).actions
                == [.end(.stopped("the replace command of a-0 ended with status 3"))]
        )
    }

    @Test func whoeverTakesAMarkAwayStopsTheRoll() {
        var world = World(["a": 2], settings: RollMachine.Settings())
        var machine = RollMachine(world.settings)
        for _ in 0..<4 {
            for action in machine.look(world.nodes, world.clusters, now: world.now).actions {
                _ = world.perform(action)
            }
        }
        for index in world.nodes.indices where world.nodes[index].name == "a-1" { world.nodes[index].record = nil }
        // The drain of the first one is let come to its end.
        machine.drained("a-0", uid: "uid-a-0", isEmpty: true, problem: "")
        let actions = machine.look(world.nodes, world.clusters, now: world.now).actions
        guard case .end(.stopped) = actions.first else {
            Issue.record("\(actions)")
            return
        }
    }
}
