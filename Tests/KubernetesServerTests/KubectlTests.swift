import Foundation
import JSON
@testable import KubernetesServer
import Testing

private let widgetDefinition = """
    apiVersion: apiextensions.k8s.io/v1
    kind: CustomResourceDefinition
    metadata: {name: widgets.example.com}
    spec:
      group: example.com
      scope: Namespaced
      names: {plural: widgets, kind: Widget, shortNames: [wg]}
      versions:
      - name: v1
        served: true
        storage: true
        subresources: {status: {}, scale: {specReplicasPath: .spec.size, statusReplicasPath: .status.size}}
        additionalPrinterColumns:
        - {name: Size, type: integer, jsonPath: .spec.size}
        - {name: Colour, type: string, jsonPath: .spec.colour}
        schema:
          openAPIV3Schema:
            type: object
            properties:
              spec:
                type: object
                description: What is wanted of a widget.
                required: [size]
                properties:
                  size: {type: integer, minimum: 1}
                  colour: {type: string, default: blue}
              status:
                type: object
                properties:
                  size: {type: integer}
    """

private let widget = """
    apiVersion: example.com/v1
    kind: Widget
    metadata: {name: w, namespace: default}
    spec: {size: 3}
    """

/// kubectl as it is, against the server as it is.
@Suite(
    .enabled(if: Kubectl.isUsable, Comment(rawValue: Kubectl.obstacle ?? "kubectl is usable")),
    .timeLimit(.minutes(5)),
    .serialized
)
struct KubectlTests {
    private func withKubectl(
        _ configuration: PlaygroundConfiguration = PlaygroundConfiguration(),
        _ body: (PlaygroundServer, Kubectl) async throws -> Void
    ) async throws {
        try await PlaygroundServer.withServer(configuration: configuration) { server in
            try await Kubectl.with(server) { kubectl in try await body(server, kubectl) }
        }
    }

    private func succeed(_ output: Kubectl.Output, location: SourceLocation = #_sourceLocation) -> String {
        #expect(output.isSuccess, "\(output.text)", sourceLocation: location)
        return output.output
    }

    @Test func getsTablesAndDocuments() async throws {
        try await self.withKubectl { _, kubectl in
            let namespaces = self.succeed(try await kubectl("get", "namespaces"))
            #expect(namespaces.contains("NAME") && namespaces.contains("STATUS") && namespaces.contains("AGE"))
            #expect(namespaces.contains("kube-system") && namespaces.contains("Active"))
            let document = self.succeed(try await kubectl("get", "serviceaccount", "default", "-o", "yaml"))
            #expect(document.contains("kind: ServiceAccount"))
            #expect(document.contains("resourceVersion:"))
            let missing = try await kubectl("get", "pod", "nobody")
            #expect(!missing.isSuccess)
            #expect(missing.error.contains("pods \"nobody\" not found"))
            let resources = self.succeed(try await kubectl("api-resources"))
            #expect(resources.contains("poddisruptionbudgets"))
        }
    }

    @Test func appliesFromTheClientSide() async throws {
        try await self.withKubectl { _, kubectl in
            let first = """
                apiVersion: v1
                kind: ConfigMap
                metadata: {name: settings, namespace: default}
                data: {a: "1", b: "2"}
                """
            #expect(self.succeed(try await kubectl("apply", "-f", "-", input: first)).contains("created"))
            #expect(self.succeed(try await kubectl("apply", "-f", "-", input: first)).contains("unchanged"))
            let second = """
                apiVersion: v1
                kind: ConfigMap
                metadata: {name: settings, namespace: default}
                data: {a: "3"}
                """
            #expect(self.succeed(try await kubectl("apply", "-f", "-", input: second)).contains("configured"))
            let data = self.succeed(try await kubectl("get", "cm", "settings", "-o", "jsonpath={.data}"))
            #expect(data == "{\"a\":\"3\"}")
            #expect(try await kubectl("diff", "-f", "-", input: second).isSuccess)
        }
    }

    @Test func appliesFromTheServerSideWithOwnership() async throws {
        try await self.withKubectl { _, kubectl in
            let object = """
                apiVersion: v1
                kind: ConfigMap
                metadata: {name: settings, namespace: default}
                data: {a: "1"}
                """
            _ = self.succeed(
                try await kubectl("apply", "--server-side", "--field-manager=one", "-f", "-", input: object)
            )
            let other = object.replacing("a: \"1\"", with: "a: \"2\"")
            let conflict = try await kubectl("apply", "--server-side", "--field-manager=two", "-f", "-", input: other)
            #expect(!conflict.isSuccess)
            #expect(conflict.error.contains("conflict"), "\(conflict.error)")
            _ = self.succeed(
                try await kubectl(
                    "apply",
                    "--server-side",
                    "--force-conflicts",
                    "--field-manager=two",
                    "-f",
                    "-",
                    input: other
                )
            )
            let value = self.succeed(try await kubectl("get", "cm", "settings", "-o", "jsonpath={.data.a}"))
            #expect(value == "2")
        }
    }

    @Test func customResourcesAreDefaultedValidatedAndShown() async throws {
        try await self.withKubectl { _, kubectl in
            _ = self.succeed(try await kubectl("apply", "-f", "-", input: widgetDefinition))
            _ = self.succeed(
                try await kubectl("wait", "--for=condition=Established", "crd/widgets.example.com", "--timeout=60s")
            )
            _ = self.succeed(try await kubectl("apply", "-f", "-", input: widget))
            let table = self.succeed(try await kubectl("get", "wg"))
            #expect(table.contains("SIZE") && table.contains("COLOUR") && table.contains("blue"), "\(table)")
            let unknown = try await kubectl(
                "apply",
                "-f",
                "-",
                input: widget.replacing("size: 3", with: "size: 3, wings: 2")
            )
            #expect(!unknown.isSuccess)
            #expect(unknown.error.contains("unknown field \"spec.wings\""), "\(unknown.error)")
            let invalid = try await kubectl("apply", "-f", "-", input: widget.replacing("size: 3", with: "size: 0"))
            #expect(!invalid.isSuccess)
            #expect(invalid.error.contains("spec.size"), "\(invalid.error)")
            _ = self.succeed(try await kubectl("scale", "widget/w", "--replicas=5"))
            let size = self.succeed(try await kubectl("get", "widget", "w", "-o", "jsonpath={.spec.size}"))
            #expect(size == "5")
            let explanation = self.succeed(try await kubectl("explain", "widgets.spec"))
            #expect(explanation.contains("What is wanted of a widget."), "\(explanation)")
            _ = self.succeed(
                try await kubectl("patch", "widget", "w", "--type=merge", "-p", "{\"spec\":{\"colour\":\"red\"}}")
            )
            let description = self.succeed(try await kubectl("describe", "widget", "w"))
            #expect(description.contains("red"), "\(description)")
            _ = self.succeed(try await kubectl("delete", "widget", "w"))
            #expect(!(try await kubectl("get", "widget", "w").isSuccess))
        }
    }

    @Test func changesLabelsAnnotationsAndPatches() async throws {
        try await self.withKubectl { _, kubectl in
            _ = self.succeed(try await kubectl("create", "-f", "-", input: Self.configMap("v")))
            _ = self.succeed(try await kubectl("label", "cm", "c", "team=db"))
            #expect(self.succeed(try await kubectl("get", "cm", "-l", "team=db", "-o", "name")).contains("configmap/c"))
            _ = self.succeed(try await kubectl("label", "cm", "c", "team-"))
            #expect(
                !self.succeed(try await kubectl("get", "cm", "-l", "team=db", "-o", "name")).contains("configmap/c")
            )
            _ = self.succeed(try await kubectl("annotate", "cm", "c", "drover.dev/hold=weekend"))
            _ = self.succeed(
                try await kubectl(
                    "patch",
                    "cm",
                    "c",
                    "--type=json",
                    "-p",
                    "[{\"op\":\"add\",\"path\":\"/data/x\",\"value\":\"y\"}]"
                )
            )
            _ = self.succeed(try await kubectl("patch", "cm", "c", "-p", "{\"data\":{\"k\":null}}"))
            let object = self.succeed(try await kubectl("get", "cm", "c", "-o", "json"))
            let value = try JSONValue(parsing: object)
            #expect(value["data"] == ["x": "y"])
            #expect(value[path: ["metadata", "annotations"]] == ["drover.dev/hold": "weekend"])
        }
    }

    /// These commands send protobuf bodies.
    @Test func createsFromTheCommandLine() async throws {
        try await self.withKubectl { server, kubectl in
            _ = self.succeed(try await kubectl("create", "namespace", "shop"))
            _ = self.succeed(try await kubectl("create", "configmap", "c", "-n", "shop", "--from-literal=k=v"))
            _ = self.succeed(try await kubectl("create", "secret", "generic", "s", "-n", "shop", "--from-literal=k=v"))
            _ = self.succeed(try await kubectl("create", "serviceaccount", "robot", "-n", "shop"))
            _ = self.succeed(
                try await kubectl("create", "pdb", "b", "-n", "shop", "--selector=app=db", "--min-available=1")
            )
            _ = self.succeed(
                try await kubectl("create", "role", "r", "-n", "shop", "--verb=get,list", "--resource=configmaps")
            )
            _ = self.succeed(
                try await kubectl(
                    "create",
                    "rolebinding",
                    "r",
                    "-n",
                    "shop",
                    "--role=r",
                    "--serviceaccount=shop:robot"
                )
            )
            #expect(server.store.find(.configMaps, namespace: "shop", name: "c")?["data"] == ["k": "v"])
            #expect(server.store.find(.secrets, namespace: "shop", name: "s")?["data"] == ["k": "dg=="])
            let budget = server.store.find(.podDisruptionBudgets, namespace: "shop", name: "b")
            #expect(budget?["spec"] == ["minAvailable": 1, "selector": ["matchLabels": ["app": "db"]]])
            let token = self.succeed(try await kubectl("create", "token", "robot", "-n", "shop"))
            #expect(token.split(separator: ".").count == 3)
            #expect(self.succeed(try await kubectl("auth", "can-i", "get", "pods")).contains("yes"))
            #expect(self.succeed(try await kubectl("auth", "whoami")).contains("kubernetes-admin"))
        }
    }

    @Test func comesBackAfterARestart() async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("server-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: directory) }
        var configuration = PlaygroundConfiguration()
        configuration.dataDirectory = directory.path
        let (config, port) = try await PlaygroundServer.withServer(configuration: configuration) { server in
            try await Kubectl.with(server) { kubectl in
                _ = self.succeed(try await kubectl("apply", "-f", "-", input: widgetDefinition))
                _ = self.succeed(try await kubectl("apply", "-f", "-", input: widget))
                return (server.kubeconfig(), try await server.waitUntilListening())
            }
        }
        // On another port: somebody else may have got the first one by now.
        try await PlaygroundServer.withServer(configuration: configuration) { server in
            let again = try await server.waitUntilListening()
            #expect(server.kubeconfig() == config.replacing(":\(port)", with: ":\(again)"))
            try await Kubectl.with(server) { kubectl in
                let table = self.succeed(try await kubectl("get", "widgets"))
                #expect(table.contains("blue"), "\(table)")
            }
        }
    }

    @Test func editsWithAnEditor() async throws {
        try await self.withKubectl { _, kubectl in
            _ = self.succeed(try await kubectl("create", "-f", "-", input: Self.configMap("old")))
            let editor = try kubectl.file("editor", "#!/bin/sh\nsed -i 's/k: old/k: new/' \"$1\"\n", isExecutable: true)
            let edited = try await kubectl("edit", "cm", "c", environment: ["KUBE_EDITOR": editor])
            #expect(self.succeed(edited).contains("edited"))
            #expect(self.succeed(try await kubectl("get", "cm", "c", "-o", "jsonpath={.data.k}")) == "new")
        }
    }

    private static func configMap(_ value: String) -> String {
        """
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: c, namespace: default}
        data: {k: \(value)}
        """
    }

    private static let budget = """
        apiVersion: policy/v1
        kind: PodDisruptionBudget
        metadata: {name: db, namespace: default}
        spec: {minAvailable: 1, selector: {matchLabels: {app: db}}}
        """

    private static let node = """
        {"apiVersion":"v1","kind":"Node","metadata":{"name":"node-a","labels":{"kubernetes.io/hostname":"node-a"}},
         "status":{"conditions":[{"type":"Ready","status":"True"}]}}
        """

    private static func pod(_ name: String) -> String {
        """
        {"apiVersion":"v1","kind":"Pod","metadata":{"name":"\(name)","namespace":"default","labels":{"app":"db"},
          "ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"db","uid":"1","controller":true}]},
         "spec":{"nodeName":"node-a","containers":[{"name":"c","image":"i:1"}]}}
        """
    }

    /// What a kubelet would say of a pod that runs.
    private func makeReady(_ name: String, _ kubectl: Kubectl) async throws {
        let status = """
            {"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}
            """
        _ = self.succeed(try await kubectl("patch", "pod", name, "--subresource=status", "--type=merge", "-p", status))
    }

    @Test func cordonsDescribesAndDrains() async throws {
        var configuration = PlaygroundConfiguration()
        configuration.runsControllers = false
        try await PlaygroundServer.withServer(configuration: configuration) { server in
            try await Kubectl.with(server) { kubectl in
                _ = self.succeed(try await kubectl("apply", "-f", "-", input: Self.node))
                _ = self.succeed(try await kubectl("create", "-f", "-", input: Self.pod("p")))
                try await self.makeReady("p", kubectl)
                _ = self.succeed(try await kubectl("cordon", "node-a"))
                #expect(self.succeed(try await kubectl("get", "nodes")).contains("SchedulingDisabled"))
                _ = self.succeed(try await kubectl("uncordon", "node-a"))
                #expect(self.succeed(try await kubectl("describe", "node", "node-a")).contains("node-a"))
                #expect(self.succeed(try await kubectl("describe", "pod", "p")).contains("db"))

                // Nobody is there to end the process, so the node's part is played here.
                async let drained = kubectl("drain", "node-a", "--ignore-daemonsets", "--force", "--timeout=120s")
                var events = try server.store.watch(.pods, namespace: "default").makeAsyncIterator()
                while let event = await events.next() {
                    guard let pod = event.object, pod.isTerminating else { continue }
                    break
                }
                _ = self.succeed(try await kubectl("delete", "pod", "p", "--grace-period=0", "--force", "--wait=false"))
                let output = try await drained
                #expect(output.isSuccess, "\(output.text)")
                #expect(output.output.contains("drained"), "\(output.text)")
            }
        }
    }

    @Test func drainWaitsForTheBudget() async throws {
        var configuration = PlaygroundConfiguration()
        configuration.runsControllers = false
        try await PlaygroundServer.withServer(configuration: configuration) { server in
            try await Kubectl.with(server) { kubectl in
                _ = self.succeed(try await kubectl("apply", "-f", "-", input: Self.node))
                _ = self.succeed(try await kubectl("create", "-f", "-", input: Self.pod("p")))
                try await self.makeReady("p", kubectl)
                _ = self.succeed(try await kubectl("create", "-f", "-", input: Self.budget))
                // What the disruption controller would say; before that the server asks to come back in ten seconds.
                let status = """
                    {"status":{"observedGeneration":1,"disruptionsAllowed":0,"currentHealthy":1,"desiredHealthy":1}}
                    """
                _ = self.succeed(
                    try await kubectl(
                        "patch",
                        "pdb",
                        "db",
                        "--subresource=status",
                        "--type=merge",
                        "-p",
                        status
                    )
                )
                let output = try await kubectl("drain", "node-a", "--force", "--timeout=3s")
                #expect(!output.isSuccess)
                #expect(output.text.contains("disruption budget"), "\(output.text)")
                #expect(server.store.find(.pods, namespace: "default", name: "p")?.isTerminating == false)
            }
        }
    }

    @Test func watchesAsTables() async throws {
        // Controllers watch as well.
        var configuration = PlaygroundConfiguration()
        configuration.runsControllers = false
        try await self.withKubectl(configuration) { server, kubectl in
            async let watched = kubectl.run(
                ["get", "configmaps", "-w", "--field-selector=metadata.name=seen", "--request-timeout=6s"]
            )
            // Whether kubectl connects before or after this, it sees the object.
            try server.store.create(
                .configMaps,
                ["kind": "ConfigMap", "apiVersion": "v1", "metadata": ["name": "seen", "namespace": "default"]]
            )
            let output = try await watched
            #expect(output.output.contains("NAME"), "\(output.text)")
            #expect(output.output.contains("seen"), "\(output.text)")
            // A watcher that is gone is forgotten.
            try await server.store.waitForWatchers(of: .configMaps, toBe: 0)
        }
    }
}
