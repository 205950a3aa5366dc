import Foundation
import JSON
import Testing

@testable import KubernetesServer

@Suite(.timeLimit(.minutes(3)))
struct ControllersSchedulingTests {
    private let fixture: ControllersFixture
    private var store: ObjectStore { self.fixture.store }

    init() throws { self.fixture = try ControllersFixture() }

    /// Lets the scheduler look at a pod once and says where it went.
    private func schedule(_ name: String) throws -> String? {
        _ = try Scheduler(writer: self.fixture.writer).reconcile(self.fixture.key(.pods, name))
        let node = self.fixture.find(.pods, name)?.nodeName ?? ""
        return node.isEmpty ? nil : node
    }

    private func message(_ name: String) -> String {
        let pod = self.fixture.find(.pods, name)?.value ?? [:]
        return ConditionList.find("PodScheduled", in: pod)?["message"]?.stringValue ?? ""
    }

    private static let hostname = "kubernetes.io/hostname"
    private static let zone = "topology.kubernetes.io/zone"

    private func antiAffinity(_ key: String, required: Bool = true) -> JSONValue {
        let term: JSONValue = [
            "labelSelector": ["matchLabels": ["app": "x"]], "topologyKey": .string(key),
        ]
        return required
            ? ["affinity": ["podAntiAffinity": ["requiredDuringSchedulingIgnoredDuringExecution": [term]]]]
            : [
                "affinity": [
                    "podAntiAffinity": [
                        "preferredDuringSchedulingIgnoredDuringExecution": [["weight": 100, "podAffinityTerm": term]]
                    ]
                ]
            ]
    }

    @Test func `cordoned and tainted nodes get nothing that does not tolerate it`() throws {
        try self.fixture.node("a", spec: ["unschedulable": true])
        try self.fixture.node("b", spec: ["taints": [["key": "k", "value": "v", "effect": "NoSchedule"]]])
        try self.fixture.pod("p")
        #expect(try self.schedule("p") == nil)
        #expect(
            self.message("p")
                == "0/2 nodes are available: 1 node(s) had untolerated taint {k: v}, 1 node(s) were unschedulable."
        )
        let events = self.store.list(.events).filter { $0["reason"] == "FailedScheduling" }
        #expect(events.count == 1)
        #expect(try self.schedule("p") == nil)
        #expect(self.store.list(.events).count { $0["reason"] == "FailedScheduling" } == 1)

        try self.fixture.pod("t", spec: ["tolerations": [["key": "k", "operator": "Exists"]]])
        #expect(try self.schedule("t") == "b")
        #expect(ConditionList.isTrue("PodScheduled", in: self.fixture.find(.pods, "t")?.value ?? [:]))
    }

    @Test func `selectors and required affinity choose the node`() throws {
        try self.fixture.node("a", zone: "z1")
        try self.fixture.node("b", zone: "z2")
        try self.fixture.pod("p", spec: ["nodeSelector": [Self.zone: "z2"]])
        #expect(try self.schedule("p") == "b")
        let notA: JSONValue = [
            "affinity": [
                "nodeAffinity": [
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        "nodeSelectorTerms": [
                            [
                                "matchExpressions": [
                                    ["key": .string(Self.hostname), "operator": "NotIn", "values": ["b"]]
                                ]
                            ]
                        ]
                    ]
                ]
            ]
        ]
        try self.fixture.pod("q", spec: notA)
        #expect(try self.schedule("q") == "a")
        try self.fixture.pod("r", spec: ["nodeSelector": [Self.zone: "z3"]])
        #expect(try self.schedule("r") == nil)
        #expect(self.message("r").contains("2 node(s) didn't match Pod's node affinity/selector"))
    }

    @Test func `required anti-affinity keeps apart, in both directions`() throws {
        try self.fixture.node("a")
        try self.fixture.node("b")
        try self.fixture.pod("one", labels: ["app": "x"], on: "a", spec: self.antiAffinity(Self.hostname))
        try self.fixture.pod("two", labels: ["app": "x"], spec: self.antiAffinity(Self.hostname))
        #expect(try self.schedule("two") == "b")
        // This one has no rule of its own; the others' rules keep it away.
        try self.fixture.pod("three", labels: ["app": "x"])
        #expect(try self.schedule("three") == nil)
        #expect(self.message("three").contains("existing pods anti-affinity"))
    }

    @Test func `preferred anti-affinity spreads over zones as long as it can`() throws {
        try self.fixture.node("a", zone: "z1")
        try self.fixture.node("b", zone: "z1")
        try self.fixture.node("c", zone: "z2")
        let spec = self.antiAffinity(Self.zone, required: false)
        var zones: [String] = []
        for index in 0..<3 {
            try self.fixture.pod("p\(index)", labels: ["app": "x"], spec: spec)
            let node = try #require(try self.schedule("p\(index)"))
            zones.append(self.fixture.find(.nodes, node)?.labels[Self.zone]?.stringValue ?? "")
        }
        #expect(Set(zones.prefix(2)) == ["z1", "z2"])
        #expect(zones.count == 3)
    }

    @Test func `requests and the number of pods fill a node`() throws {
        try self.fixture.node("a")
        func spec(_ cpu: String) -> JSONValue {
            ["containers": [["name": "c", "resources": ["requests": ["cpu": .string(cpu)]]]]]
        }
        try self.fixture.pod("big", on: "a", spec: spec("1500m"))
        try self.fixture.pod("more", spec: spec("600m"))
        #expect(try self.schedule("more") == nil)
        #expect(self.message("more").contains("1 Insufficient cpu"))
        try self.fixture.pod("less", spec: spec("0.5"))
        #expect(try self.schedule("less") == "a")
    }

    @Test func `a volume made for the first consumer decides the zone, and the pod waits for it`() async throws {
        try self.fixture.node("a", zone: "z1")
        try self.fixture.node("b", zone: "z2")
        try self.store.create(
            .storageClasses,
            [
                "metadata": ["name": "playground"], "provisioner": "drover.dev/playground",
                "volumeBindingMode": "WaitForFirstConsumer", "reclaimPolicy": "Delete",
            ]
        )
        try await self.fixture.withControllers {
            try self.store.create(
                .persistentVolumeClaims,
                [
                    "metadata": ["name": "data", "namespace": "default"],
                    "spec": [
                        "storageClassName": "playground", "accessModes": ["ReadWriteOnce"],
                        "resources": ["requests": ["storage": "1Gi"]],
                    ],
                ]
            )
            let volumes: JSONValue = [["name": "data", "persistentVolumeClaim": ["claimName": "data"]]]
            try self.fixture.pod("p", spec: ["volumes": volumes])
            func claim() -> StoredObject? { self.fixture.find(.persistentVolumeClaims, "data") }
            try await self.fixture.eventually("provisioner asked") {
                claim()?.annotations["volume.kubernetes.io/storage-provisioner"] == "drover.dev/playground"
            }
            let selected = try #require(claim()?.annotations[Scheduler.selectedNode]?.stringValue)
            #expect(self.fixture.find(.pods, "p")?.nodeName == "")
            let zone = try #require(self.fixture.find(.nodes, selected)?.labels[Self.zone])
            try self.store.create(
                .persistentVolumes,
                [
                    "metadata": ["name": "pv"],
                    "spec": [
                        "storageClassName": "playground", "accessModes": ["ReadWriteOnce"],
                        "capacity": ["storage": "1Gi"], "persistentVolumeReclaimPolicy": "Delete",
                        "claimRef": [
                            "kind": "PersistentVolumeClaim", "namespace": "default", "name": "data",
                            "uid": .string(claim()?.uid ?? ""),
                        ],
                        "nodeAffinity": [
                            "required": [
                                "nodeSelectorTerms": [
                                    [
                                        "matchExpressions": [
                                            ["key": .string(Self.zone), "operator": "In", "values": [zone]]
                                        ]
                                    ]
                                ]
                            ]
                        ],
                    ],
                ]
            )
            try await self.fixture.eventually("pod bound") { self.fixture.find(.pods, "p")?.nodeName == selected }
            #expect(claim()?["spec"]?["volumeName"] == "pv")
            #expect(claim()?["status"]?["phase"] == "Bound")

            // A second pod follows the volume to its zone, not to its node.
            try self.store.delete(
                .pods,
                namespace: "default",
                name: "p",
                options: DeleteOptions(gracePeriodSeconds: 0)
            )
            try self.store.mutate(.nodes, name: selected) { value in value[path: ["spec", "unschedulable"]] = true }
            try self.fixture.node("fresh", zone: zone.stringValue ?? "")
            try self.fixture.pod("q", spec: ["volumes": volumes])
            try await self.fixture.eventually("on the fresh node") {
                self.fixture.find(.pods, "q")?.nodeName == "fresh"
            }

            // The claim stays while a pod uses it; its volume is released after it.
            try self.store.delete(.persistentVolumeClaims, namespace: "default", name: "data")
            #expect(claim()?.isTerminating == true)
            try self.store.delete(
                .pods,
                namespace: "default",
                name: "q",
                options: DeleteOptions(gracePeriodSeconds: 0)
            )
            try await self.fixture.eventually("claim gone, volume released") {
                claim() == nil && self.fixture.find(.persistentVolumes, "pv")?["status"]?["phase"] == "Released"
            }
        }
    }

    /// Two nodes, and two pods that must keep apart and whose volumes have yet to be made.
    private func createPodsApart() throws {
        try self.fixture.node("a")
        try self.fixture.node("b")
        try self.store.create(
            .storageClasses,
            [
                "metadata": ["name": "playground"], "provisioner": "drover.dev/playground",
                "volumeBindingMode": "WaitForFirstConsumer",
            ]
        )
        for name in ["one", "two"] {
            try self.store.create(
                .persistentVolumeClaims,
                [
                    "metadata": ["name": .string(name), "namespace": "default"],
                    "spec": [
                        "storageClassName": "playground", "accessModes": ["ReadWriteOnce"],
                        "resources": ["requests": ["storage": "1Gi"]],
                    ],
                ]
            )
            var spec = self.antiAffinity(Self.hostname)
            spec["volumes"] = [["name": "data", "persistentVolumeClaim": ["claimName": .string(name)]]]
            try self.fixture.pod(name, labels: ["app": "x"], spec: spec)
        }
    }

    @Test func `pods that must keep apart do not choose one node while their volumes are made`() throws {
        try self.createPodsApart()
        for _ in 0..<2 {
            for name in ["one", "two"] { #expect(try self.schedule(name) == nil) }
        }
        let chosen = ["one", "two"]
            .map {
                self.fixture.find(.persistentVolumeClaims, $0)?.annotations[Scheduler.selectedNode]?.stringValue
            }
        #expect(Set(chosen) == ["a", "b"])
    }

    @Test func `a pod whose volume has just been made keeps its place until it is bound`() throws {
        try self.createPodsApart()
        #expect(try self.schedule("one") == nil)
        func selected(_ name: String) -> String? {
            self.fixture.find(.persistentVolumeClaims, name)?.annotations[Scheduler.selectedNode]?.stringValue
        }
        #expect(selected("one") == "a")
        try self.store.create(.persistentVolumes, ["metadata": ["name": "pv"], "spec": [:]])
        try self.store.mutate(.persistentVolumeClaims, namespace: "default", name: "one") { value in
            value[path: ["spec", "volumeName"]] = "pv"
            value[path: ["metadata", "annotations", "pv.kubernetes.io/bind-completed"]] = "yes"
        }
        #expect(try self.schedule("two") == nil)
        #expect(selected("two") == "b")
    }

    // MARK: Nodes

    @Test func `nodes get ranges of their own and lose taints with their reasons`() async throws {
        try await self.fixture.withControllers {
            try self.fixture.node("a")
            try self.fixture.node("b", spec: ["unschedulable": true])
            try await self.fixture.eventually("ranges") {
                let ranges = Set(self.store.list(.nodes).compactMap { $0["spec"]?["podCIDR"]?.stringValue })
                return ranges == ["127.64.1.0/24", "127.64.2.0/24"]
            }
            func taints(_ name: String) -> [String] {
                (self.fixture.find(.nodes, name)?["spec"]?["taints"]?.arrayValue ?? [])
                    .compactMap {
                        $0["key"]?.stringValue
                    }
            }
            try await self.fixture.eventually("tainted") { taints("b") == ["node.kubernetes.io/unschedulable"] }
            try self.store.mutate(.nodes, name: "b") { value in value[path: ["spec", "unschedulable"]] = nil }
            try await self.fixture.eventually("untainted") { taints("b").isEmpty }
        }
    }

    @Test func `a silent node is unreachable: its pods are not ready, and go unless they tolerate it`() async throws {
        var configuration = BuiltInControllers.Configuration()
        configuration.nodeMonitorGracePeriod = .milliseconds(50)
        try await self.fixture.withControllers(configuration) {
            try self.fixture.node("a")
            let forever: JSONValue = [
                "tolerations": [["key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"]]
            ]
            try self.fixture.pod("stays", on: "a", ready: true, spec: forever)
            try self.fixture.pod("goes", on: "a", ready: true, spec: ["terminationGracePeriodSeconds": 30])
            try await self.fixture.eventually("unknown") {
                let node = self.fixture.find(.nodes, "a")?.value ?? [:]
                return ConditionList.find("Ready", in: node)?["status"] == "Unknown"
            }
            try await self.fixture.eventually("evicted") { self.fixture.find(.pods, "goes")?.isTerminating == true }
            try await self.fixture.eventually("not ready") { self.fixture.find(.pods, "stays")?.isReadyPod == false }
            #expect(self.fixture.find(.pods, "stays")?.isTerminating == false)
        }
    }

    @Test func `a node that renews its lease stays ready`() throws {
        let time = ManualTime()
        var configuration = BuiltInControllers.Configuration()
        configuration.nodeMonitorGracePeriod = .seconds(40)
        configuration.clock = ControllerClock(now: { time.now }, sleep: { _ in })
        let controller = NodeController(writer: self.fixture.writer, configuration: configuration)
        try self.fixture.node("a")
        try self.store.create(
            .namespaces,
            ["metadata": ["name": "kube-node-lease"], "spec": ["finalizers": ["kubernetes"]]]
        )
        try self.store.create(.leases, ["metadata": ["name": "a", "namespace": "kube-node-lease"], "spec": [:]])
        let key = self.fixture.key(.nodes, "a")
        func isReady() -> Bool { ConditionList.isTrue("Ready", in: self.fixture.find(.nodes, "a")?.value ?? [:]) }
        for round in 0..<5 {
            try self.store.mutate(.leases, namespace: "kube-node-lease", name: "a") { value in
                value[path: ["spec", "renewTime"]] = .string("2026-01-01T00:00:0\(round).000000Z")
            }
            _ = try controller.reconcile(key)
            time.advance(by: .seconds(30))
            #expect(try controller.reconcile(key) == .seconds(10))
            #expect(isReady())
        }
        time.advance(by: .seconds(10))
        #expect(try controller.reconcile(key) == nil)
        #expect(!isReady())
    }

    @Test func `pods of a node that is gone are removed after a while`() async throws {
        var configuration = BuiltInControllers.Configuration()
        configuration.orphanedPodDelay = .milliseconds(20)
        try self.fixture.pod("lost", on: "nowhere", ready: true)
        try await self.fixture.withControllers(configuration) {
            try await self.fixture.eventually("removed") { self.fixture.find(.pods, "lost") == nil }
        }
    }
}

private final class ManualTime: @unchecked Sendable {
    private let lock = NSLock()
    private var time = Duration.zero

    var now: Duration { self.lock.withLock { self.time } }

    func advance(by duration: Duration) { self.lock.withLock { self.time += duration } }
}
