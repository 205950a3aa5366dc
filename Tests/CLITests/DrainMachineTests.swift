import ClusterPlanning
import Foundation
import KubernetesClient
import PostgresClusterAPI
import Testing

@testable import CLI

@Suite(.timeLimit(.minutes(3)))
struct DrainMachineTests {
    private let start = Date(timeIntervalSince1970: 1_800_000_000)

    private func node(announced: Bool = true, ready: Bool? = nil, cordoned: Bool = false) -> NodeFacts {
        var node = NodeFacts(name: "node-a")
        if announced { node.annotations[Annotations.plannedEviction] = "now" }
        node.annotations[Annotations.evictionReady] = ready.map { "\($0)" }
        node.isUnschedulable = cordoned
        return node
    }

    private func pod(_ name: String, _ treatment: DrainPod.Treatment = .evicted, ending: Bool = false) -> DrainPod {
        DrainPod(
            key: ObjectKey(namespace: "shop", name: name),
            uid: "uid-\(name)",
            treatment: treatment,
            isTerminating: ending
        )
    }

    @Test func theNodeIsAnnouncedBeforeAnythingElse() {
        var machine = DrainMachine(DrainMachine.Settings(deadline: self.start.addingTimeInterval(3600)))
        let (actions, _) = machine.look(self.node(announced: false), [self.pod("a")], now: self.start)
        #expect(
            actions == [
                .announce([
                    Annotations.plannedEviction: "now",
                    Annotations.evictionDeadline: Timestamp(self.start.addingTimeInterval(3600)).rawValue,
                ])
            ]
        )
        // Until the watch shows it, there is nothing to do, and nothing is asked for twice.
        #expect(machine.look(self.node(announced: false), [self.pod("a")], now: self.start).actions.isEmpty)
    }

    @Test(arguments: [nil, false])
    func nothingIsTouchedBeforeDroverSaysSo(ready: Bool?) {
        var machine = DrainMachine(DrainMachine.Settings())
        let (actions, _) = machine.look(self.node(ready: ready), [self.pod("a")], now: self.start)
        #expect(actions.isEmpty)
        #expect(machine.phase == .waiting)
    }

    @Test func cordonComesBeforeEvictions() {
        var machine = DrainMachine(DrainMachine.Settings())
        let pods = [self.pod("a"), self.pod("ds", .left), self.pod("b"), self.pod("going", ending: true)]
        #expect(machine.look(self.node(ready: true), pods, now: self.start).actions == [.cordon])
        #expect(machine.look(self.node(ready: true), pods, now: self.start).actions.isEmpty)
        let (actions, _) = machine.look(self.node(ready: true, cordoned: true), pods, now: self.start)
        #expect(actions == [.evict(self.pod("a")), .evict(self.pod("b"))])
        // They are under way: asking again would only be refused.
        #expect(machine.look(self.node(ready: true, cordoned: true), pods, now: self.start).actions.isEmpty)
    }

    @Test func aRefusalIsAskedAgainWhenTheServerSaid() {
        var machine = DrainMachine(DrainMachine.Settings())
        let node = self.node(ready: true, cordoned: true)
        let pods = [self.pod("a")]
        #expect(machine.look(node, pods, now: self.start).actions == [.evict(self.pod("a"))])
        machine.answered("uid-a", .refused("budget", retryAfter: 10), now: self.start)
        #expect(machine.refusal(of: self.pod("a")) == "budget")
        let early = machine.look(node, pods, now: self.start.addingTimeInterval(9))
        #expect(early.actions.isEmpty)
        #expect(early.wakeAt == self.start.addingTimeInterval(10))
        #expect(machine.look(node, pods, now: self.start.addingTimeInterval(10)).actions == [.evict(self.pod("a"))])
        machine.answered("uid-a", .refused("budget", retryAfter: nil), now: self.start)
        let wake = machine.look(node, pods, now: self.start).wakeAt
        #expect(wake == self.start.addingTimeInterval(DrainMachine.retrySeconds))
        #expect(machine.refusals == 2)
    }

    @Test func theEndWaitsForTheAnswersOfWhatWasAsked() {
        var machine = DrainMachine(DrainMachine.Settings())
        let node = self.node(ready: true, cordoned: true)
        #expect(machine.look(node, [self.pod("a")], now: self.start).actions == [.evict(self.pod("a"))])
        #expect(machine.look(node, [], now: self.start).actions.isEmpty)
        machine.answered("uid-a", .accepted, now: self.start)
        #expect(machine.look(node, [], now: self.start).actions == [.end(.empty)])
    }

    @Test func theDrainEndsWhenNothingIsLeft() {
        var machine = DrainMachine(DrainMachine.Settings())
        let node = self.node(ready: true, cordoned: true)
        #expect(machine.look(node, [self.pod("a", ending: true)], now: self.start).actions.isEmpty)
        #expect(machine.look(node, [self.pod("ds", .left)], now: self.start).actions == [.end(.empty)])
        #expect(machine.look(node, [self.pod("late")], now: self.start).actions.isEmpty)
    }

    @Test func afterTheForceMomentWhatIsLeftIsDeleted() {
        let moment = self.start.addingTimeInterval(60)
        var machine = DrainMachine(DrainMachine.Settings(forceAt: moment))
        _ = machine.look(self.node(announced: false), [self.pod("a")], now: self.start)
        let waiting = machine.look(self.node(ready: false), [self.pod("a")], now: self.start)
        #expect(waiting.actions.isEmpty)
        #expect(waiting.wakeAt == moment)
        #expect(machine.look(self.node(ready: false), [self.pod("a")], now: moment).actions == [.cordon])
        let forced = machine.look(self.node(ready: false, cordoned: true), [self.pod("a")], now: moment)
        #expect(forced.actions == [.delete(self.pod("a"))])
    }

    @Test func theForceMomentIsAnnouncedAsTheDeadline() {
        let moment = self.start.addingTimeInterval(60)
        var machine = DrainMachine(DrainMachine.Settings(forceAt: moment))
        let (actions, _) = machine.look(self.node(), [], now: self.start)
        #expect(actions == [.announce([Annotations.evictionDeadline: Timestamp(moment).rawValue])])
    }

    @Test func givingUpNamesWhatIsLeft() {
        let end = self.start.addingTimeInterval(30)
        var machine = DrainMachine(DrainMachine.Settings(giveUpAt: end))
        #expect(machine.look(self.node(ready: false), [self.pod("a")], now: self.start).wakeAt == end)
        let (actions, _) = machine.look(self.node(ready: false), [self.pod("a"), self.pod("ds", .left)], now: end)
        #expect(actions == [.end(.timedOut([ObjectKey(namespace: "shop", name: "a")]))])
    }

    @Test func somebodyElsesWithdrawalEndsTheDrain() {
        var machine = DrainMachine(DrainMachine.Settings())
        _ = machine.look(self.node(ready: false), [self.pod("a")], now: self.start)
        #expect(
            machine.look(self.node(announced: false), [self.pod("a")], now: self.start).actions == [.end(.withdrawn)]
        )

        var cordoned = DrainMachine(DrainMachine.Settings())
        _ = cordoned.look(self.node(ready: true, cordoned: true), [self.pod("a")], now: self.start)
        let (actions, _) = cordoned.look(self.node(ready: true), [self.pod("a")], now: self.start)
        #expect(actions == [.end(.withdrawn)])
    }

    @Test func aNodeThatIsGoneIsDone() {
        var machine = DrainMachine(DrainMachine.Settings())
        #expect(machine.look(nil, [self.pod("a")], now: self.start).actions == [.end(.nodeGone)])
    }

    @Test(arguments: [
        (DrainPod.Treatment.bare, false, false, true), (.bare, true, false, false),
        (.holdsLocalData, false, false, true),
        (.holdsLocalData, false, true, false), (.left, false, false, false),
    ])
    func whatWouldBeLostStopsTheDrainBeforeItBegins(
        treatment: DrainPod.Treatment,
        bare: Bool,
        local: Bool,
        isRefused: Bool
    ) {
        var settings = DrainMachine.Settings()
        settings.includesBarePods = bare
        settings.includesLocalData = local
        var machine = DrainMachine(settings)
        let (actions, _) = machine.look(self.node(announced: false), [self.pod("x", treatment)], now: self.start)
        guard isRefused else {
            #expect(actions == [.announce([Annotations.plannedEviction: "now"])])
            return
        }
        guard case .end(.refused(let objections)) = actions.first else {
            Issue.record("not refused: \(actions)")
            return
        }
        #expect(objections.count == 1)
    }

    @Test func aPrimaryThatComesBackStopsFurtherEvictions() {
        var machine = DrainMachine(DrainMachine.Settings())
        _ = machine.look(self.node(ready: true, cordoned: true), [self.pod("a")], now: self.start)
        let (actions, _) = machine.look(
            self.node(ready: false, cordoned: true),
            [self.pod("a", ending: true), self.pod("b")],
            now: self.start
        )
        #expect(actions.isEmpty)
        #expect(machine.phase == .waiting)
    }

    // MARK: Pods

    private func pod(_ change: (inout Pod) -> Void) -> DrainPod.Treatment? {
        var pod = Pod(metadata: ObjectMeta(name: "p", namespace: "shop"))
        pod.metadata.uid = "u"
        pod.metadata.ownerReferences = [
            OwnerReference(apiVersion: "apps/v1", kind: "ReplicaSet", name: "r", uid: "r", controller: true)
        ]
        change(&pod)
        return DrainPod(pod)?.treatment
    }

    @Test func podsAreTreatedAsKubectlDrainDoes() {
        #expect(self.pod { _ in } == .evicted)
        #expect(self.pod { $0.metadata.ownerReferences?[0].kind = "DaemonSet" } == .left)
        #expect(self.pod { $0.metadata.annotations = ["kubernetes.io/config.mirror": "x"] } == .left)
        #expect(self.pod { $0.metadata.ownerReferences = nil } == .bare)
        #expect(
            self.pod {
                $0.metadata.ownerReferences = nil
                $0.status = PodStatus(phase: "Succeeded")
            } == .evicted
        )
        #expect(
            self.pod { $0.spec = PodSpec(volumes: [Volume(name: "v", emptyDir: EmptyDirVolumeSource())]) }
                == .holdsLocalData
        )
        #expect(
            self.pod {
                $0.metadata.ownerReferences = nil
                $0.metadata.labels = [Labels.appManagedBy: Labels.managedByDrover]
            } == .evicted
        )
        #expect(self.pod { $0.metadata.uid = nil } == nil)
    }
}
