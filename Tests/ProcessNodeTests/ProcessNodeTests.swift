import Foundation
import Glibc
import JSON
import KubernetesClient
import ServiceLifecycle
import Testing

@testable import ProcessNode

/// The agent against the embedded API server, with real containers.
@Suite(.timeLimit(.minutes(3)))
struct ProcessNodeTests {
    private static let forever = "trap 'echo stopping; exit 0' TERM; echo running; while :; do sleep 0.05; done"

    @Test func nodeRegistersAndKeepsItsLease() async throws {
        try await NodeFixture.run { fixture in
            try await fixture.withNode(change: { $0.heartbeatInterval = .milliseconds(300) }) { _ in
                let node = try await fixture.client.get(Node.self, "node-a")
                #expect(node.metadata.labels?["topology.kubernetes.io/zone"] == "zone-a")
                #expect(node.metadata.labels?["kubernetes.io/hostname"] == "node-a")
                #expect(node.status?.conditions?.first { $0.type == "Ready" }?.status == "True")
                #expect(node.status?.addresses?.contains { $0.type == "InternalIP" } == true)
                #expect(node.status?.nodeInfo?.kubeletVersion == "v1.34.0-drover")
                #expect((node.status?.daemonEndpoints?.kubeletEndpoint?.port ?? 0) > 0)
                let lease = try await fixture.client.get(Lease.self, "node-a", namespace: "kube-node-lease")
                try await eventually {
                    let now = try await fixture.client.get(Lease.self, "node-a", namespace: "kube-node-lease")
                    return now.spec?.renewTime != lease.spec?.renewTime
                }
                let storage = try await fixture.client.get(StorageClass.self, "playground")
                #expect(storage.volumeBindingMode == "WaitForFirstConsumer")
            }
        }
    }

    @Test func nodeThatWasCalledUnreachableSaysThatItIsNot() async throws {
        try await NodeFixture.run { fixture in
            try await fixture.withNode(change: { $0.heartbeatInterval = .milliseconds(100) }) { _ in
                let silent: JSONValue = [
                    "status": ["conditions": [["type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"]]]
                ]
                _ = try await fixture.client.patchObject(
                    Node.resourceType,
                    "node-a",
                    .strategic(silent),
                    subresource: "status"
                )
                try await eventually {
                    let node = try await fixture.client.get(Node.self, "node-a")
                    return node.status?.conditions?.first { $0.type == "Ready" }?.status == "True"
                }
            }
        }
    }

    @Test func podThatWasCalledUnreadySaysThatItIsReady() async throws {
        try await NodeFixture.run { fixture in
            try await fixture.withNode { _ in
                try await fixture.createPod("p", script: Self.forever)
                let isReady = { (pod: JSONValue?) in
                    pod?["status"]?["conditions"]?.arrayValue?
                        .contains { $0["type"]?.stringValue == "Ready" && $0["status"]?.stringValue == "True" } ?? false
                }
                try await eventually { isReady(try await fixture.pod("p")) }
                let unready: JSONValue = ["status": ["conditions": [["type": "Ready", "status": "False"]]]]
                _ = try await fixture.client.patchObject(
                    Pod.resourceType,
                    "p",
                    namespace: "default",
                    .strategic(unready),
                    subresource: "status"
                )
                try await eventually { isReady(try await fixture.pod("p")) }
            }
        }
    }

    @Test func podRunsShowsItsLogAndEndsGracefully() async throws {
        try await NodeFixture.run { fixture in
            try await fixture.withNode { _ in
                try await fixture.createPod(
                    "p",
                    script: "echo I am $POD_NAME at $POD_IP; ls $SECRETS; " + Self.forever,
                    container: [
                        "env": [
                            ["name": "POD_NAME", "valueFrom": ["fieldRef": ["fieldPath": "metadata.name"]]],
                            ["name": "POD_IP", "valueFrom": ["fieldRef": ["fieldPath": "status.podIP"]]],
                            ["name": "SECRETS", "value": "/var/run/secrets/kubernetes.io/serviceaccount"],
                        ]
                    ]
                )
                let pod = try await fixture.wait(for: "p", "became ready") { $0.isReady && $0.phase == "Running" }
                #expect(pod.containerStatus["state"]?["running"] != nil)
                #expect(pod.containerStatus["containerID"]?.stringValue?.hasPrefix("process://") == true)
                let address = try #require(pod["status"]?["podIP"]?.stringValue)
                try await eventually {
                    let log = try await fixture.log("p").text
                    return log == "I am p at \(address)\nca.crt\nnamespace\ntoken\nrunning\n"
                }
                #expect(try await fixture.log("p", query: "?tailLines=1").text == "running\n")

                // Seen from outside: terminating, then gone, with the last status in between.
                try await fixture.delete("p")
                try await eventually { try await fixture.pod("p") == nil }
            }
        }
    }

    @Test func followedLogEndsWithTheContainer() async throws {
        try await NodeFixture.run { fixture in
            try await fixture.withNode { _ in
                try await fixture.createPod("p", script: Self.forever)
                try await fixture.wait(for: "p", "became ready") { $0.isReady }
                let text = try await fixture.followLog("p") { begun in
                    if begun == "running\n" { try await fixture.delete("p") }
                }
                #expect(text == "running\nstopping\n")
            }
        }
    }

    @Test func endedContainersAreRestartedAndTheirEndIsTold() async throws {
        try await NodeFixture.run { fixture in
            try await fixture.withNode { _ in
                try await fixture.createPod("p", script: "echo once; exit 3")
                let pod = try await fixture.wait(for: "p", "was restarted") {
                    ($0.containerStatus["restartCount"]?.intValue ?? 0) >= 1
                        && $0.containerStatus["lastState"]?["terminated"] != nil
                }
                let ended = pod.containerStatus["lastState"]?["terminated"]
                #expect(ended?["exitCode"]?.intValue == 3)
                #expect(ended?["reason"]?.stringValue == "Error")
                #expect(ended?["containerID"]?.stringValue?.isEmpty == false)
                #expect(ended?["finishedAt"]?.dateValue != nil)
                try await fixture.wait(for: "p", "was held back") {
                    $0.containerStatus["state"]?["waiting"]?["reason"]?.stringValue == "CrashLoopBackOff"
                }
                try await fixture.delete("p", grace: 5)
                try await eventually { try await fixture.pod("p") == nil }
            }
        }
    }

    @Test(arguments: [("Never", 0, "Succeeded"), ("Never", 4, "Failed"), ("OnFailure", 0, "Succeeded")])
    func podsThatAreDoneStay(_ policy: String, _ code: Int, _ phase: String) async throws {
        try await NodeFixture.run { fixture in
            try await fixture.withNode { _ in
                try await fixture.createPod("p", script: "exit \(code)", spec: ["restartPolicy": .string(policy)])
                let pod = try await fixture.wait(for: "p", "ended") { $0.phase == phase }
                #expect(pod.containerStatus["state"]?["terminated"]?["exitCode"]?.intValue == Int64(code))
                #expect(pod.condition("Ready") == "False")
                try await fixture.delete("p")
                try await eventually { try await fixture.pod("p") == nil }
            }
        }
    }

    @Test func programThatIgnoresTermIsKilledAfterItsGrace() async throws {
        try await NodeFixture.run { fixture in
            try await fixture.withNode { _ in
                let marker = "\(UInt32.random(in: 100_000..<1_000_000_000))"
                try await fixture.createPod(
                    "p",
                    script: "trap '' TERM; sleep \(marker) & echo up; while :; do sleep 0.1; done"
                )
                try await fixture.wait(for: "p", "became ready") { $0.isReady }
                try await eventually { ContainerRuntimeTests.isRunning(["sleep", marker]) }
                try await fixture.delete("p", grace: 1)
                try await eventually { try await fixture.pod("p") == nil }
                #expect(!ContainerRuntimeTests.isRunning(["sleep", marker]))
            }
        }
    }

    @Test func forceDeletedPodHasItsUsualTimeAndIsKilled() async throws {
        try await NodeFixture.run { fixture in
            try await fixture.withNode { _ in
                // One that ends when it is told to, although its object is gone already.
                let obedient = "\(UInt32.random(in: 100_000..<1_000_000_000))"
                try await fixture.createPod("o", script: "trap 'exit 0' TERM; sleep \(obedient) & wait")
                try await eventually { ContainerRuntimeTests.isRunning(["sleep", obedient]) }
                try await fixture.delete("o", grace: 0)
                try await eventually { !ContainerRuntimeTests.isRunning(["sleep", obedient]) }

                let marker = "\(UInt32.random(in: 100_000..<1_000_000_000))"
                try await fixture.createPod(
                    "p",
                    script: "trap '' TERM; sleep \(marker) & wait",
                    spec: ["terminationGracePeriodSeconds": 3]
                )
                try await eventually { ContainerRuntimeTests.isRunning(["sleep", marker]) }
                try await fixture.delete("p", grace: 0)
                try await eventually { !ContainerRuntimeTests.isRunning(["sleep", marker]) }
                #expect(try await fixture.pod("p") == nil)
            }
        }
    }

    @Test func probesDecideAboutStartReadinessAndLife() async throws {
        try await NodeFixture.run { fixture in
            try await fixture.withNode { _ in
                let volumes: JSONValue = ["volumes": [["name": "v", "emptyDir": [:]]]]
                func probe(_ file: String, failureThreshold: Int64) -> JSONValue {
                    [
                        "exec": ["command": ["test", "-e", .string("/state/\(file)")]], "periodSeconds": 1,
                        "failureThreshold": .int(failureThreshold), "timeoutSeconds": 20,
                    ]
                }
                try await fixture.createPod(
                    "p",
                    script: "touch /state/live; " + Self.forever,
                    container: [
                        "volumeMounts": [["name": "v", "mountPath": "/state"]],
                        "startupProbe": probe("started", failureThreshold: 100),
                        "readinessProbe": probe("ready", failureThreshold: 1),
                        "livenessProbe": probe("live", failureThreshold: 1),
                    ],
                    spec: volumes
                )
                let pod = try await fixture.wait(for: "p", "ran") { $0.containerStatus["state"]?["running"] != nil }
                #expect(pod.containerStatus["started"]?.boolValue == false)
                #expect(!pod.isReady)
                let uid = try #require(pod["metadata"]?["uid"]?.stringValue)
                let state = "\(fixture.directory)/data/nodes/node-a/pods/\(uid)/volumes/v"
                try FileSystem.write([], to: state + "/ready")
                try FileSystem.write([], to: state + "/started")
                try await fixture.wait(for: "p", "became ready") { $0.isReady }
                try FileSystem.remove(state + "/ready")
                try await fixture.wait(for: "p", "became unready") { !$0.isReady && $0.condition("Ready") == "False" }
                try FileSystem.remove(state + "/started")
                try FileSystem.remove(state + "/live")
                try await fixture.wait(for: "p", "was restarted") { $0.containerStatus["restartCount"]?.intValue == 1 }
                try await fixture.delete("p", grace: 1)
                try await eventually { try await fixture.pod("p") == nil }
            }
        }
    }

    @Test func networkProbesReachThePodsAddress() async throws {
        try await NodeFixture.run { fixture in
            try await fixture.withNode { _ in
                let server = """
                    import http.server, os
                    class Handler(http.server.BaseHTTPRequestHandler):
                        def do_GET(self):
                            self.send_response(204 if self.path == "/ok" else 500); self.end_headers()
                        def log_message(self, *a): pass
                    http.server.HTTPServer((os.environ["IP"], 8080), Handler).serve_forever()
                    """
                guard FileSystem.exists("/usr/bin/python3") else { return }
                for (name, path) in [("good", "/ok"), ("bad", "/no")] {
                    try await fixture.createPod(
                        name,
                        script: "exec /usr/bin/python3 -c \"$PROGRAM\"",
                        container: [
                            "env": [
                                ["name": "PROGRAM", "value": .string(server)],
                                ["name": "IP", "valueFrom": ["fieldRef": ["fieldPath": "status.podIP"]]],
                            ],
                            "ports": [["name": "web", "containerPort": 8080]],
                            "startupProbe": ["tcpSocket": ["port": 8080], "periodSeconds": 1, "failureThreshold": 100],
                            "readinessProbe": ["httpGet": ["port": "web", "path": .string(path)], "periodSeconds": 1],
                        ]
                    )
                }
                try await fixture.wait(for: "good", "became ready") { $0.isReady }
                let bad = try await fixture.wait(for: "bad", "started") {
                    $0.containerStatus["started"]?.boolValue == true
                }
                #expect(!bad.isReady)
                for name in ["good", "bad"] { try await fixture.delete(name, grace: 0) }
            }
        }
    }

    @Test func secretsAndLabelsArriveInRunningPods() async throws {
        try await NodeFixture.run { fixture in
            try await fixture.withNode { _ in
                try await fixture.createPod(
                    "p",
                    script: """
                        trap 'exit 0' TERM; last=
                        while :; do now=$(cat /etc/app/key /etc/info/labels); [ "$now" = "$last" ] || echo "$now"; last=$now; sleep 0.05; done
                        """,
                    container: [
                        "volumeMounts": [
                            ["name": "s", "mountPath": "/etc/app", "readOnly": true],
                            ["name": "d", "mountPath": "/etc/info"],
                        ]
                    ],
                    spec: [
                        "volumes": [
                            ["name": "s", "secret": ["secretName": "app", "defaultMode": 0o640]],
                            [
                                "name": "d",
                                "downwardAPI": [
                                    "items": [["path": "labels", "fieldRef": ["fieldPath": "metadata.labels"]]]
                                ],
                            ],
                        ]
                    ]
                )
                let waiting = try await fixture.wait(for: "p", "waited for its Secret") {
                    $0.containerStatus["state"]?["waiting"]?["message"]?.stringValue?.contains("secret \"app\"") == true
                }
                #expect(waiting.phase == "Pending")
                let secret = try await fixture.client.createObject(
                    Secret.resourceType,
                    ["metadata": ["name": "app", "namespace": "default"], "data": ["key": "b25lCg=="]]
                )
                try await eventually { try await fixture.log("p").text == "one\n" }
                #expect(secret["metadata"]?["uid"] != nil)
                _ = try await fixture.client.patchObject(
                    Secret.resourceType,
                    "app",
                    namespace: "default",
                    .merge(["data": ["key": "dHdvCg=="]])
                )
                try await eventually { try await fixture.log("p").text.hasSuffix("two\n") }
                _ = try await fixture.client.patchObject(
                    Pod.resourceType,
                    "p",
                    namespace: "default",
                    .merge(["metadata": ["labels": ["role": "master"]]])
                )
                try await eventually { try await fixture.log("p").text.hasSuffix("two\nrole=\"master\"\n") }
                try await fixture.delete("p", grace: 0)
            }
        }
    }

    @Test(
        arguments: [
            (["image": "missing/thing"], "ErrImagePull"),
            (
                ["env": [["name": "A", "valueFrom": ["configMapKeyRef": ["name": "none", "key": "k"]]]]],
                "CreateContainerConfigError"
            ),
            (["securityContext": ["runAsUser": 0, "runAsNonRoot": true]], "CreateContainerConfigError"),
        ] as [(JSONValue, String)]
    )
    func containersThatCannotStartSayWhy(_ container: JSONValue, _ reason: String) async throws {
        try await NodeFixture.run { fixture in
            try await fixture.withNode { _ in
                try await fixture.createPod("p", script: "true", container: container)
                let pod = try await fixture.wait(for: "p", "said why") {
                    $0.containerStatus["state"]?["waiting"]?["reason"]?.stringValue == reason
                }
                #expect(pod.phase == "Pending")
                try await fixture.delete("p")
                try await eventually { try await fixture.pod("p") == nil }
            }
        }
    }

    @Test func restartedAgentReportsTheEndOfWhatRanBefore() async throws {
        try await NodeFixture.run { fixture in
            let marker = "\(UInt32.random(in: 100_000..<1_000_000_000))"
            let before = try await fixture.withNode { _ in
                try await fixture.createPod("p", script: "sleep \(marker) & echo up; wait")
                return try await fixture.wait(for: "p", "became ready") { $0.isReady }
            }
            try await eventually { !ContainerRuntimeTests.isRunning(["sleep", marker]) }
            try await fixture.withNode { _ in
                let pod = try await fixture.wait(for: "p", "was started again") {
                    $0.containerStatus["restartCount"]?.intValue == 1 && $0.isReady
                }
                let ended = pod.containerStatus["lastState"]?["terminated"]
                #expect(ended?["containerID"] == before.containerStatus["containerID"])
                #expect(pod.containerStatus["containerID"] != before.containerStatus["containerID"])
                #expect(pod["metadata"]?["uid"] == before["metadata"]?["uid"])
                try await fixture.delete("p", grace: 0)
            }
        }
    }
}

/// Volumes, with the scheduler and the volume binder of the embedded server.
@Suite(.timeLimit(.minutes(3)))
struct VolumeTests {
    private static func claim(_ name: String) -> JSONValue {
        [
            "metadata": ["name": .string(name), "namespace": "default"],
            "spec": ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "1Gi"]]],
        ]
    }

    private static func pod(_ name: String, script: String, node: String? = nil) -> JSONValue {
        var spec: JSONValue = [
            "terminationGracePeriodSeconds": 1,
            "securityContext": ["runAsUser": 5432],
            "containers": [
                [
                    "name": "main", "image": "any", "command": ["sh", "-c", .string(script)],
                    "volumeMounts": [["name": "data", "mountPath": "/var/lib/app"]],
                    "securityContext": ["readOnlyRootFilesystem": true],
                ]
            ],
            "volumes": [["name": "data", "persistentVolumeClaim": ["claimName": "data"]]],
        ]
        if let node { spec["nodeName"] = .string(node) }
        return ["metadata": ["name": .string(name), "namespace": "default"], "spec": spec]
    }

    private static let forever = "trap 'exit 0' TERM; while :; do sleep 0.05; done"

    @Test func volumeFollowsItsPodToAnotherNodeOfTheZoneAndGoesWithItsClaim() async throws {
        try await NodeFixture.run { fixture in
            try await fixture.withNode("node-a", zone: "zone-a") { _ in
                _ = try await fixture.client.createObject(PersistentVolumeClaim.resourceType, Self.claim("data"))
                _ = try await fixture.client.createObject(
                    Pod.resourceType,
                    Self.pod("p", script: "echo kept > /var/lib/app/file; " + Self.forever)
                )
                try await fixture.wait(for: "p", "became ready") { $0.isReady }
                let volumes = try await fixture.client.list(PersistentVolume.self).items
                let zone = volumes.first?.spec?.nodeAffinity?.required?.nodeSelectorTerms.first?.matchExpressions?.first
                #expect(zone?.values == ["zone-a"])

                // While it is in use here, nobody else gets it.
                try await fixture.withNode("node-a2", zone: "zone-a") { _ in
                    _ = try await fixture.client.createObject(
                        Pod.resourceType,
                        Self.pod("q", script: "cat /var/lib/app/file; " + Self.forever, node: "node-a2")
                    )
                    try await fixture.wait(for: "q", "waited for the volume") {
                        $0.containerStatus["state"]?["waiting"]?["message"]?.stringValue?.contains("in use") == true
                    }
                    try await fixture.delete("p")
                    try await fixture.wait(for: "q", "became ready") { $0.isReady }
                    try await eventually { try await fixture.log("q").text == "kept\n" }

                    try await fixture.delete("q")
                    try await eventually { try await fixture.pod("q") == nil }
                    try await fixture.client.delete(PersistentVolumeClaim.self, "data", namespace: "default")
                    try await eventually { try await fixture.client.list(PersistentVolume.self).items.isEmpty }
                    #expect(try FileSystem.names(in: fixture.directory + "/data/volumes").isEmpty)
                }
            }
        }
    }

    @Test func volumeIsNotMountedInAnotherZone() async throws {
        try await NodeFixture.run { fixture in
            try await fixture.withNode("node-a", zone: "zone-a") { _ in
                _ = try await fixture.client.createObject(PersistentVolumeClaim.resourceType, Self.claim("data"))
                _ = try await fixture.client.createObject(Pod.resourceType, Self.pod("p", script: Self.forever))
                try await fixture.wait(for: "p", "became ready") { $0.isReady }
                try await fixture.delete("p")
                try await eventually { try await fixture.pod("p") == nil }
            }
            try await fixture.withNode("node-b", zone: "zone-b") { _ in
                _ = try await fixture.client.createObject(
                    Pod.resourceType,
                    Self.pod("q", script: Self.forever, node: "node-b")
                )
                try await fixture.wait(for: "q", "was refused the volume") {
                    $0.containerStatus["state"]?["waiting"]?["message"]?.stringValue?.contains("cannot be attached")
                        == true
                }
            }
        }
    }

    @Test func nodeShutdownEndsPodsWithoutDeletingThem() async throws {
        try await NodeFixture.run { fixture in
            let bubblewrap = ContainerRuntime.findBubblewrap()
            #expect(bubblewrap != nil)
            var configuration = ProcessNodeConfiguration(
                name: "node-a",
                zone: "zone-a",
                dataDirectory: fixture.directory
            )
            configuration.podCIDR = "127.\(Int.random(in: 128...250)).\(Int.random(in: 1...250)).0/24"
            let node = ProcessNode(
                configuration: configuration,
                kubernetes: fixture.configuration,
                eventLoop: fixture.eventLoop,
                logger: fixture.logger
            )
            let group = ServiceGroup(
                configuration: ServiceGroupConfiguration(services: [node], logger: fixture.logger)
            )
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { try await group.run() }
                await node.waitUntilReady()
                try await fixture.createPod("p", script: Self.forever)
                try await fixture.wait(for: "p", "became ready") { $0.isReady }
                await group.triggerGracefulShutdown()
                try await tasks.next()
            }
            let pod = try #require(try await fixture.pod("p"))
            #expect(pod["metadata"]?["deletionTimestamp"] == nil)
            #expect(pod.phase == "Failed")
            #expect(pod["status"]?["reason"]?.stringValue == "Terminated")
            #expect(pod.containerStatus["state"]?["terminated"]?["exitCode"]?.intValue == 0)
            let state = try await fixture.client.get(Node.self, "node-a")
            #expect(state.status?.conditions?.first { $0.type == "Ready" }?.status == "False")
        }
    }
}
