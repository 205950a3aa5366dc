import ArgumentParser
import ClusterPlanning
import EventLoop
import Foundation
import JSON
import JSONYAML
import KubernetesClient
import KubernetesServer
import Logging
import PostgresClusterAPI
import Synchronization
import Testing

@testable import CLI

/// The commands against the embedded API server, without an operator: what it would write is written by the tests.
@Suite(.timeLimit(.minutes(2)), .serialized)
struct ServerTests {
    /// What a command has written.
    final class Output: Sendable {
        private let lines = Mutex("")
        var text: String { self.lines.withLock { $0 } }
        var printer: Printer { Printer(terminal: .plain) { text in self.lines.withLock { $0 += text } } }

        /// Waits until it contains a text.
        func waitFor(_ text: String) async throws {
            while !self.text.contains(text) { try await Task.sleep(for: .milliseconds(10)) }
        }
    }

    private func withServer(_ body: @Sendable (KubernetesClient) async throws -> Void) async throws {
        try await EmbeddedServer.running { _, client in
            for name in ["node-a", "node-b"] { try await self.addNode(name, client) }
            try await body(client)
        }
    }

    private func addNode(_ name: String, _ client: KubernetesClient) async throws {
        let status: JSONValue = [
            "allocatable": ["cpu": "8", "memory": "16Gi", "pods": "100"],
            "capacity": ["cpu": "8", "memory": "16Gi", "pods": "100"],
            "conditions": [["type": "Ready", "status": "True"]],
        ]
        _ = try await client.createObject(
            Node.resourceType,
            [
                "apiVersion": "v1", "kind": "Node",
                "metadata": ["name": .string(name), "labels": ["topology.kubernetes.io/zone": "zone-1"]],
                "status": status,
            ]
        )
        _ = try await client.patchObject(Node.resourceType, name, .merge(["status": status]), subresource: "status")
    }

    private func addCluster(_ client: KubernetesClient) async throws {
        let sample = FleetSample(instances: 2, spareNodes: 0).cluster
        _ = try await client.createObject(
            PostgresCluster.resourceType,
            [
                "apiVersion": "drover.dev/v1", "kind": "PostgresCluster",
                "metadata": ["name": "orders", "namespace": "shop"],
                "spec": ["instances": 2, "storage": ["size": "1Gi"]],
            ]
        )
        let status = try #require(sample.status)
        _ = try await client.patchObject(
            PostgresCluster.resourceType,
            "orders",
            namespace: "shop",
            .merge(["status": try JSONValue(encoding: status)]),
            subresource: "status"
        )
    }

    /// Adds a pod whose controller is the node itself: one that does not exist would get it collected as garbage.
    private func addPod(_ name: String, _ client: KubernetesClient, isMirror: Bool = false) async throws {
        let owner = try await client.get(Node.self, "node-a").metadata.uid ?? ""
        _ = try await client.createObject(
            Pod.resourceType,
            [
                "apiVersion": "v1", "kind": "Pod",
                "metadata": [
                    "name": .string(name), "namespace": "shop", "labels": ["app": .string(name)],
                    "annotations": isMirror ? ["kubernetes.io/config.mirror": "x"] : [:],
                    "ownerReferences": [
                        [
                            "apiVersion": "v1", "kind": "Node", "name": "node-a", "uid": .string(owner),
                            "controller": true,
                        ]
                    ],
                ],
                "spec": [
                    "nodeName": "node-a", "terminationGracePeriodSeconds": 0,
                    "containers": [["name": "c", "image": "i"]],
                ],
            ],
            namespace: "shop"
        )
        _ = try await client.patchObject(
            Pod.resourceType,
            name,
            namespace: "shop",
            .merge(["status": ["phase": "Running", "conditions": [["type": "Ready", "status": "True"]]]]),
            subresource: "status"
        )
    }

    private func annotate(_ client: KubernetesClient, _ annotations: JSONValue) async throws {
        _ = try await client.patch(Node.self, "node-a", .merge(["metadata": ["annotations": annotations]]))
    }

    private func node(_ client: KubernetesClient) async throws -> Node { try await client.get(Node.self, "node-a") }

    // MARK: status

    @Test func statusShowsTheFleetAndOneCluster() async throws {
        try await self.withServer { client in
            try await self.addCluster(client)
            try await self.annotate(client, [Annotations.plannedEviction: "now"])
            let fleet = Output()
            try await StatusCommand.asyncParse(["-A"]).show(client, contextNamespace: "default", fleet.printer)
            #expect(fleet.text.contains("shop        orders   2/2     orders-1   node-a   zone-a   Ready"))
            let one = Output()
            try await StatusCommand.asyncParse(["orders", "-n", "shop"])
                .show(client, contextNamespace: "default", one.printer)
            #expect(one.text.contains("shop/orders: PostgreSQL 15, term 3, 2 of 2 instances ready"))
            #expect(one.text.contains("leaving   PlannedEviction"))
            let none = Output()
            try await StatusCommand.asyncParse([]).show(client, contextNamespace: "default", none.printer)
            #expect(none.text == "no clusters in namespace default\n")
            let json = Output()
            try await StatusCommand.asyncParse(["-n", "shop", "-o", "json"])
                .show(client, contextNamespace: "default", json.printer)
            let value = try JSONValue(parsing: json.text)
            #expect(value["clusters"]?[0]?["primary"] == "orders-1")
            let yaml = Output()
            try await StatusCommand.asyncParse(["-n", "shop", "-o", "yaml"])
                .show(client, contextNamespace: "default", yaml.printer)
            #expect(try JSONValue.documents(yaml: yaml.text) == [value])
        }
    }

    @Test func nodesAreShownAsTheOperatorJudgesThem() async throws {
        try await self.withServer { client in
            try await self.addCluster(client)
            func text(_ arguments: [String] = []) async throws -> String {
                let output = Output()
                try await StatusCommand.asyncParse(["orders", "-n", "shop"] + arguments)
                    .show(client, contextNamespace: "default", output.printer)
                return output.text
            }
            _ = try await client.patch(
                Node.self,
                "node-a",
                .merge(["metadata": ["labels": ["example.org/reboot": "soon"]]])
            )
            #expect(try await text().contains("fresh"))
            #expect(try await !text().contains("announced"))

            let list = #"{"signals": [{"place": "label", "key": "example.org/reboot", "level": 2}]}"#
            _ = try await client.create(Namespace(metadata: ObjectMeta(name: "drover-system")))
            _ = try await client.create(
                ConfigMap(
                    metadata: ObjectMeta(name: Fleet.rankingConfigMap, namespace: "drover-system"),
                    data: [Fleet.rankingKey: list]
                )
            )
            #expect(try await text().contains("announced   NodeLabelled"))
            #expect(try await !text(["--operator-namespace", "elsewhere"]).contains("announced"))
            let path = NSTemporaryDirectory() + "/drover-ranking-\(UInt32.random(in: .min ... .max)).json"
            defer { try? FileManager.default.removeItem(atPath: path) }
            try #"{"signals": []}"#.write(toFile: path, atomically: true, encoding: .utf8)
            #expect(try await !text(["--node-ranking", path]).contains("announced"))
            try "[]".write(toFile: path, atomically: true, encoding: .utf8)
            await #expect(throws: PluginError.self) { _ = try await text(["--node-ranking", path]) }
        }
    }

    @Test func aClusterThatDoesNotExistIsAnError() async throws {
        try await self.withServer { client in
            await #expect(throws: KubernetesError.self) {
                try await StatusCommand.asyncParse(["nobody"]).show(client, contextNamespace: "shop", Output().printer)
            }
        }
    }

    // MARK: hold

    @Test func holdAndReleaseWriteTheAnnotationAndNothingElse() async throws {
        try await self.withServer { client in
            try await self.addCluster(client)
            let output = Output()
            let hold = Hold(client: client, namespace: "shop")
            try await hold.set("orders", reason: "closing", output.printer)
            var cluster = try await client.get(PostgresCluster.self, "orders", namespace: "shop")
            #expect(cluster.metadata.annotations == [Annotations.hold: "closing"])
            #expect(cluster.metadata.generation == 1)
            #expect(try await hold.release("orders", output.printer))
            cluster = try await client.get(PostgresCluster.self, "orders", namespace: "shop")
            #expect(cluster.metadata.annotations?[Annotations.hold] == nil)
            #expect(output.text == "shop/orders is held: closing\nshop/orders is released\n")
        }
    }

    @Test func aHoldOfTheSpecIsNotOursToRelease() async throws {
        try await self.withServer { client in
            try await self.addCluster(client)
            _ = try await client.patch(
                PostgresCluster.self,
                "orders",
                namespace: "shop",
                .merge(["spec": ["maintenance": ["hold": "closing"]]])
            )
            let isFree = try await Hold(client: client, namespace: "shop").release("orders", Output().printer)
            #expect(!isFree)
            let output = Output()
            let isReleased = try await Hold(client: client, namespace: "shop", format: .json)
                .release("orders", output.printer)
            #expect(!isReleased)
            let report = try JSONValue(parsing: output.text)
            #expect(report["hold"]?.stringValue == "closing" && report["source"]?.stringValue == "Spec")
            let held = Output()
            try await Hold(client: client, namespace: "shop", format: .yaml).set("orders", reason: "x", held.printer)
            #expect(held.text.contains("source: Annotation"))
        }
    }

    // MARK: drain

    @Test func aDrainWaitsForDroverAndThenEvictsWhatBudgetsAllow() async throws {
        try await self.withServer { client in
            for name in ["one", "two"] { try await self.addPod(name, client) }
            try await self.addPod("mirror", client, isMirror: true)
            _ = try await client.create(
                PodDisruptionBudget(
                    metadata: ObjectMeta(name: "two", namespace: "shop"),
                    spec: PodDisruptionBudgetSpec(
                        minAvailable: 1,
                        selector: LabelSelector(matchLabels: ["app": "two"])
                    )
                )
            )
            let output = Output()
            let run = DrainRun(client: client, node: "node-a", settings: .init(), printer: output.printer)
            async let report = run.run()
            try await output.waitFor("announced")
            var node = try await self.node(client)
            #expect(node.metadata.annotations?[Annotations.plannedEviction] == "now")
            #expect(node.spec?.unschedulable != true, "cordoned before Drover has answered")
            let reply = NodeReply(
                observedAt: Timestamp(Date()),
                primaries: 1,
                moving: 0,
                blocked: [.init(cluster: "shop/orders", reason: .held, since: Timestamp(Date()))]
            )
            try await self.annotate(
                client,
                [Annotations.evictionReady: "false", Annotations.evictionStatus: .string(try reply.annotation())]
            )
            try await output.waitFor("shop/orders is blocked: Held")
            #expect(try await client.list(Pod.self, namespace: "shop").items.count == 3)
            try await self.annotate(client, [Annotations.evictionReady: "true"])
            // The budget refuses, until it is gone.
            try await output.waitFor("shop/two: ")
            try await client.delete(PodDisruptionBudget.self, "two", namespace: "shop")
            let result = try await report
            #expect(result.result == "Empty")
            #expect(result.evicted.sorted() == ["shop/one", "shop/two"])
            #expect(result.refusals >= 1)
            node = try await self.node(client)
            #expect(node.spec?.unschedulable == true)
            let left = try await client.list(Pod.self, namespace: "shop").items.compactMap(\.metadata.name)
            #expect(left == ["mirror"])

            try await DrainCommand.withdraw("node-a", client, output.printer)
            node = try await self.node(client)
            #expect(node.spec?.unschedulable != true)
            #expect(node.metadata.annotations?[Annotations.plannedEviction] == nil)
        }
    }

    @Test func anInterruptedDrainLeavesTheNodeAnnouncedAndGoesOnLater() async throws {
        try await self.withServer { client in
            try await self.addPod("one", client)
            let first = Output()
            let run = DrainRun(client: client, node: "node-a", settings: .init(), printer: first.printer)
            let task = Task { try await run.run() }
            try await first.waitFor("announced")
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(try await self.node(client).metadata.annotations?[Annotations.plannedEviction] == "now")
            #expect(try await client.list(Pod.self, namespace: "shop").items.count == 1)

            try await self.annotate(client, [Annotations.evictionReady: "true"])
            let second = Output()
            let report = try await DrainRun(
                client: client,
                node: "node-a",
                settings: .init(),
                printer: second.printer
            )
            .run()
            #expect(report.isDone)
            #expect(!second.text.contains("announced"))
        }
    }

    @Test func aDrainWithoutAnAnswerEndsAtItsTimeout() async throws {
        try await self.withServer { client in
            try await self.addPod("one", client)
            let settings = DrainMachine.Settings(giveUpAt: Date().addingTimeInterval(0.5))
            let report = try await DrainRun(
                client: client,
                node: "node-a",
                settings: settings,
                printer: Output().printer
            )
            .run()
            #expect(report.result == "TimedOut")
            #expect(report.left == ["shop/one"])
            #expect(try await self.node(client).spec?.unschedulable != true)
        }
    }

    @Test func aSecondRunKeepsTheDeadlineOfTheFirst() async throws {
        let now = Date()
        var node = Node(metadata: ObjectMeta(name: "node-a"))
        let command = try await DrainCommand.asyncParse(["node-a", "--force-after", "10m"])
        #expect(command.limits.settings(for: node, now: now).forceAt == now.addingTimeInterval(600))
        let announced = Timestamp(now.addingTimeInterval(60))
        node.metadata.annotations = [Annotations.evictionDeadline: announced.rawValue]
        #expect(command.limits.settings(for: node, now: now).forceAt == announced.date)
    }

    @Test func aNodeThatDoesNotExistIsAnError() async throws {
        try await self.withServer { client in
            await #expect(throws: KubernetesError.self) {
                _ = try await DrainRun(client: client, node: "x", settings: .init(), printer: Output().printer).run()
            }
        }
    }
}
