import EventLoop
import JSON
import KubernetesClient
import KubernetesController
import KubernetesServer
import Logging
import Testing

/// The same parts against the embedded API server, over HTTP/2 and TLS.
@Suite(.timeLimit(.minutes(3)))
struct EmbeddedServerTests {
    private func withClient(_ body: (KubernetesClient) async throws -> Void) async throws {
        try await PlaygroundServer.withServer { server in
            let client = KubernetesClient(
                configuration: try KubernetesConfiguration.kubeconfig(yaml: server.kubeconfig()),
                eventLoop: try EventLoop(name: "embedded-test"),
                logger: quiet
            )
            try await body(client)
        }
    }

    private func configMap(_ name: String, _ value: String) -> ConfigMap {
        ConfigMap(metadata: ObjectMeta(name: name, namespace: "default", labels: ["app": "x"]), data: ["v": value])
    }

    @Test func informerFollowsWhatIsWritten() async throws {
        try await self.withClient { client in
            _ = try await client.create(self.configMap("before", "1"))
            let informer = Informer(
                ConfigMap.self,
                client: client,
                namespace: "default",
                selector: Selector(labels: "app=x"),
                indexes: ["value": { [$0.data?["v"] ?? ""] }],
                logger: quiet
            )
            let run = Task { await informer.run() }
            try await informer.waitForSync()
            #expect(informer.store.keys.map(\.name) == ["before"])
            for number in 0..<50 { _ = try await client.create(self.configMap("c-\(number)", "1")) }
            let patched: ConfigMap = try await client.patch(
                ConfigMap.self,
                "before",
                namespace: "default",
                .merge(["data": ["v": "2"]])
            )
            #expect(patched.data == ["v": "2"])
            try await client.delete(ConfigMap.self, "c-7", namespace: "default")
            try await eventually {
                informer.store.count == 50 && informer.store.objects(index: "value", "2").count == 1
            }
            // Leaves the selection: gone, for this informer.
            let _: ConfigMap = try await client.patch(
                ConfigMap.self,
                "c-8",
                namespace: "default",
                .merge(["metadata": ["labels": ["app": nil]]])
            )
            try await eventually { informer.store.get("c-8", namespace: "default") == nil }
            run.cancel()
            await run.value
        }
    }

    @Test func electionOnARealLease() async throws {
        try await self.withClient { client in
            func elector(_ identity: String) -> LeaderElector {
                LeaderElector(
                    configuration: .init(identity: identity, retryPeriod: .milliseconds(100)),
                    access: KubernetesLeaseAccess(
                        client: client,
                        key: ObjectKey(namespace: "default", name: "leader")
                    ),
                    logger: quiet
                )
            }
            let (first, second) = (elector("a"), elector("b"))
            let one = Task { try await first.run { try await Task.sleep(for: .seconds(3600)) } }
            try await eventually { first.isLeader }
            let two = Task { try await second.run { try await Task.sleep(for: .seconds(3600)) } }
            try await eventually { second.holder == "a" }
            one.cancel()
            try await one.value
            try await eventually { second.isLeader }
            two.cancel()
            try await two.value
            let lease = try await client.get(Lease.self, "leader", namespace: "default")
            #expect(lease.spec?.holderIdentity == "")
            #expect(lease.spec?.leaseTransitions == 1)
        }
    }

    @Test func verbsAndTheirErrors() async throws {
        try await self.withClient { client in
            let created = try await client.create(self.configMap("a", "1"))
            #expect(created.metadata.uid != nil)
            await #expect(throws: KubernetesError.self) { try await client.create(self.configMap("a", "1")) }
            let applied = try await client.apply(
                ConfigMap.self,
                "b",
                namespace: "default",
                ["data": ["k": "v"]],
                fieldManager: "drover"
            )
            #expect(applied.data == ["k": "v"])
            do throws(KubernetesError) {
                let stolen: JSONValue = ["data": ["k": "other"]]
                _ = try await client.apply(
                    ConfigMap.self,
                    "b",
                    namespace: "default",
                    stolen,
                    fieldManager: "somebody"
                )
                Issue.record("taken without force")
            } catch {
                #expect(error.code == .conflict)
            }
            do throws(KubernetesError) {
                try await client.delete(
                    ConfigMap.self,
                    "a",
                    namespace: "default",
                    options: DeleteOptions(preconditions: Preconditions(uid: "another"))
                )
                Issue.record("deleted in spite of its precondition")
            } catch {
                #expect(error.code == .conflict)
            }
            let list = try await client.list(ConfigMap.self, namespace: "default", pageSize: 1)
            #expect(list.items.map(\.key.name).filter { $0 != "kube-root-ca.crt" } == ["a", "b"])
        }
    }
}
