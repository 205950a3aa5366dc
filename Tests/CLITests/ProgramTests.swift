import Foundation
import JSON
import KubernetesClient
import KubernetesServer
import PostgresClusterAPI
import Testing

/// The plugin as a shell sees it: what it exits with, and what it completes.
@Suite(.timeLimit(.minutes(2)), .serialized)
struct ProgramTests {
    private func run(_ arguments: [String]) throws -> (status: Int32, output: String) {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        let process = Process()
        process.executableURL = URL(fileURLWithPath: own).deletingLastPathComponent()
            .appendingPathComponent("kubectl-drover")
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }

    @Test(
        "There is a completion script for every shell, and it knows the commands",
        arguments: ["bash", "zsh", "fish"]
    )
    func completes(shell: String) throws {
        let (status, output) = try self.run(["--generate-completion-script", shell])
        #expect(status == 0)
        for command in ["status", "preflight", "plan", "drain", "roll", "switchover", "hold", "release"] {
            #expect(output.contains(command))
        }
    }

    @Test("plan exits with 0 when nothing blocks, 1 when something does, and 2 when it cannot say")
    func exitsWithWhatItFound() async throws {
        let directory = NSTemporaryDirectory() + "/drover-program-\(UInt32.random(in: .min ... .max))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let kubeconfig = "\(directory)/kubeconfig"
        try await EmbeddedServer.running { server, client in
            try server.kubeconfig().write(toFile: kubeconfig, atomically: true, encoding: .utf8)
            try await self.fill(client)
            for (arguments, status, text) in [
                (["node-b"], 0, "no instance"), (["node-a"], 1, "SingleInstance"), (["node-x"], 2, "no node node-x"),
                (["node-a", "-o", "json"], 1, "\"blocked\""),
            ] as [([String], Int32, String)] {
                let found = try self.run(["plan", "--kubeconfig", kubeconfig, "-n", "shop"] + arguments)
                #expect(found.status == status, "\(arguments): \(found.output)")
                #expect(found.output.contains(text), "\(arguments): \(found.output)")
            }
        }
    }

    /// Two nodes, and a cluster of one on the first that may not be moved.
    private func fill(_ client: KubernetesClient) async throws {
        for name in ["node-a", "node-b"] {
            _ = try await client.createObject(
                Node.resourceType,
                ["apiVersion": "v1", "kind": "Node", "metadata": ["name": .string(name)]]
            )
        }
        let sample = FleetSample(instances: 1, spareNodes: 1)
        _ = try await client.createObject(
            PostgresCluster.resourceType,
            [
                "apiVersion": "drover.dev/v1", "kind": "PostgresCluster",
                "metadata": ["name": "orders", "namespace": "shop"],
                "spec": [
                    "instances": 1, "storage": ["size": "1Gi"], "maintenance": ["singleInstance": "Block"],
                ],
            ]
        )
        let status = try JSONValue(encoding: try #require(sample.cluster.status))
        _ = try await client.patchObject(
            PostgresCluster.resourceType,
            "orders",
            namespace: "shop",
            .merge(["status": status]),
            subresource: "status"
        )
        let owner = try await client.get(Node.self, "node-a").metadata.uid ?? ""
        var labels = Labels.instance("orders-1", cluster: "orders")
        labels[Labels.role] = "master"
        _ = try await client.createObject(
            Pod.resourceType,
            [
                "apiVersion": "v1", "kind": "Pod",
                "metadata": [
                    "name": "orders-1", "namespace": "shop", "labels": .object(labels.mapValues { .string($0) }),
                    "ownerReferences": [
                        [
                            "apiVersion": "v1", "kind": "Node", "name": "node-a", "uid": .string(owner),
                            "controller": true,
                        ]
                    ],
                ],
                "spec": ["nodeName": "node-a", "containers": [["name": "c", "image": "i"]]],
            ],
            namespace: "shop"
        )
        _ = try await client.patchObject(
            Pod.resourceType,
            "orders-1",
            namespace: "shop",
            .merge(["status": ["phase": "Running", "conditions": [["type": "Ready", "status": "True"]]]]),
            subresource: "status"
        )
    }
}
