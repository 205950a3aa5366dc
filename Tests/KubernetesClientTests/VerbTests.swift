import JSON
import KubernetesClient
import ScriptedServer
import Testing

@Suite(.timeLimit(.minutes(3)))
struct VerbTests {
    private static let pod =
        #"{"metadata":{"name":"p","namespace":"n","uid":"u","resourceVersion":"7"},"spec":{"nodeName":"a"}}"#

    /// Performs one call and gives what the server saw of it.
    private func seen(
        answer: String = VerbTests.pod,
        status: Int = 200,
        _ call: @escaping @Sendable (KubernetesClient) async throws -> Void
    ) async throws -> ScriptedRequest {
        let requests = Requests()
        try await withAPIServer { connection in
            while let request = try await connection.next() {
                requests.append(request)
                try await connection.answer(status, answer)
            }
        } _: { client in
            try await call(client)
        }
        return try #require(requests.all.first)
    }

    @Test func getReadsTheObjectAtItsPath() async throws {
        let request = try await self.seen { client in
            let pod = try await client.get(Pod.self, "p", namespace: "n")
            #expect(pod.metadata.uid == "u")
            #expect(pod.spec?.nodeName == "a")
        }
        #expect(request.method == "GET")
        #expect(request.target == "/api/v1/namespaces/n/pods/p")
        #expect(request.headers["user-agent"]?.hasPrefix("drover/") == true)
        #expect(request.headers["accept"] == "application/json")
    }

    @Test func namesCannotLeadElsewhere() async throws {
        let request = try await self.seen { client in
            _ = try await client.get(Lease.self, "../../a?b#c/d", namespace: "x y")
        }
        #expect(
            request.target
                == "/apis/coordination.k8s.io/v1/namespaces/x%20y/leases/..%2F..%2Fa%3Fb%23c%2Fd"
        )
        try await withAPIServer { _ in
        } _: { client in
            for name in ["", ".", ".."] {
                let failure = await kubernetesError { _ = try await client.get(Node.self, name) }
                #expect(failure?.code == .configuration)
            }
            let failure = await kubernetesError { _ = try await client.get(Pod.self, "p") }
            #expect(failure?.code == .configuration)
        }
    }

    @Test func createPostsTheObjectWithItsKind() async throws {
        let request = try await self.seen(status: 201) { client in
            let pod = Pod(metadata: ObjectMeta(name: "p", namespace: "n"), spec: PodSpec(nodeName: "a"))
            let created = try await client.create(pod)
            #expect(created.metadata.resourceVersion == "7")
        }
        #expect(request.method == "POST")
        #expect(request.target == "/api/v1/namespaces/n/pods")
        #expect(request.headers["content-type"] == "application/json")
        #expect(request.json["kind"] == "Pod")
        #expect(request.json["apiVersion"] == "v1")
        #expect(request.json[path: ["metadata", "name"]] == "p")
        #expect(request.json["status"] == nil, "what is not set is not sent")
    }

    @Test func updatePutsAndStatusGoesToItsSubresource() async throws {
        let lease = Lease(
            metadata: ObjectMeta(name: "l", namespace: "n", resourceVersion: "3"),
            spec: LeaseSpec(holderIdentity: "me")
        )
        let put = try await self.seen(answer: #"{"metadata":{"resourceVersion":"4"}}"#) { client in
            let updated = try await client.update(lease)
            #expect(updated.metadata.resourceVersion == "4")
        }
        #expect(put.method == "PUT")
        #expect(put.target == "/apis/coordination.k8s.io/v1/namespaces/n/leases/l")
        #expect(put.json[path: ["metadata", "resourceVersion"]] == "3")
        let status = try await self.seen { client in
            _ = try await client.updateStatus(Pod(metadata: ObjectMeta(name: "p", namespace: "n")))
        }
        #expect(status.target == "/api/v1/namespaces/n/pods/p/status")
    }

    private static let patches: [(Patch, String, JSONValue)] = [
        (.merge(["a": 1]), "application/merge-patch+json", ["a": 1]),
        (.json([["op": "remove", "path": "/a"]]), "application/json-patch+json", [["op": "remove", "path": "/a"]]),
        (.strategic(["b": nil]), "application/strategic-merge-patch+json", ["b": nil]),
    ]

    @Test(arguments: patches)
    func patchHasTheTypeOfItsKind(_ patch: Patch, _ contentType: String, _ body: JSONValue) async throws {
        let request = try await self.seen { client in
            _ = try await client.patch(Pod.self, "p", namespace: "n", patch, subresource: "status")
        }
        #expect(request.method == "PATCH")
        #expect(request.target == "/api/v1/namespaces/n/pods/p/status")
        #expect(request.headers["content-type"] == contentType)
        #expect(request.json == body)
    }

    @Test func applyNamesTheManagerAndCompletesTheConfiguration() async throws {
        let request = try await self.seen { client in
            _ = try await client.apply(
                Service.self,
                "s",
                namespace: "n",
                ["spec": ["type": "ClusterIP"]],
                fieldManager: "drover operator",
                force: true
            )
        }
        #expect(request.method == "PATCH")
        #expect(request.target == "/api/v1/namespaces/n/services/s?fieldManager=drover%20operator&force=true")
        #expect(request.headers["content-type"] == "application/apply-patch+yaml")
        #expect(
            request.json == [
                "apiVersion": "v1", "kind": "Service", "metadata": ["name": "s", "namespace": "n"],
                "spec": ["type": "ClusterIP"],
            ]
        )
    }

    @Test func deleteSendsItsPreconditions() async throws {
        let request = try await self.seen { client in
            try await client.delete(
                Pod.self,
                "p",
                namespace: "n",
                options: DeleteOptions(
                    gracePeriodSeconds: 0,
                    preconditions: Preconditions(uid: "u"),
                    propagationPolicy: "Foreground"
                )
            )
        }
        #expect(request.method == "DELETE")
        #expect(request.json["preconditions"] == ["uid": "u"])
        #expect(request.json["gracePeriodSeconds"] == 0)
        #expect(request.json["propagationPolicy"] == "Foreground")
    }

    @Test func evictionIsPostedAndItsRefusalIsFinal() async throws {
        let requests = Requests()
        try await withAPIServer { connection in
            while let request = try await connection.next() {
                requests.append(request)
                try await connection.answer(
                    429,
                    headers: [("Retry-After", "0")],
                    status(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.")
                )
            }
        } _: { client in
            let failure = await kubernetesError { try await client.evict(pod: "p", namespace: "n") }
            #expect(failure?.code == .tooManyRequests)
        }
        #expect(requests.count == 1)
        #expect(requests.all.first?.target == "/api/v1/namespaces/n/pods/p/eviction")
        #expect(requests.all.first?.json["kind"] == "Eviction")
        #expect(requests.all.first?.json["apiVersion"] == "policy/v1")
    }

    @Test func tokenIsAskedForOfTheAccount() async throws {
        let request = try await self.seen(answer: #"{"status":{"token":"abc"}}"#, status: 201) { client in
            let answer = try await client.createToken(serviceAccount: "s", namespace: "n")
            #expect(answer.token == "abc")
        }
        #expect(request.target == "/api/v1/namespaces/n/serviceaccounts/s/token")
        #expect(request.json["kind"] == "TokenRequest")
    }

    @Test func listFollowsPagesAndPassesOverWhatDoesNotDecode() async throws {
        let requests = Requests()
        try await withAPIServer { connection in
            while let request = try await connection.next() {
                requests.append(request)
                if request.query("continue") == nil {
                    try await connection.answer(
                        #"{"metadata":{"resourceVersion":"10","continue":"a+b/="},"items":["#
                            + #"{"metadata":{"name":"one"}},{"metadata":{"name":"bad","namespace":"n"},"spec":7}]}"#
                    )
                } else {
                    try await connection.answer(
                        #"{"metadata":{"resourceVersion":"10"},"items":[{"metadata":{"name":"two"}},17]}"#
                    )
                }
            }
        } _: { client in
            let list = try await client.list(
                Pod.self,
                selector: Selector(labels: ["app": "x", "a/b": "c"], fields: "spec.nodeName=a"),
                pageSize: 2
            )
            #expect(list.items.map(\.metadata.name) == ["one", "two"])
            #expect(list.resourceVersion == "10")
        }
        #expect(
            requests.all.first?.target
                == "/api/v1/pods?labelSelector=a%2Fb%3Dc%2Capp%3Dx&fieldSelector=spec.nodeName%3Da&limit=2"
        )
        #expect(requests.all.last?.query("continue") == "a%2Bb%2F%3D")
    }

    @Test(arguments: [#"{"metadata":{},"items":null}"#, #"{"metadata":{}}"#, #"{"metadata":{},"items":[]}"#])
    func emptyListIsEmpty(_ answer: String) async throws {
        _ = try await self.seen(answer: answer) { client in
            let list = try await client.list(Pod.self)
            #expect(list.items.isEmpty)
        }
    }

    @Test func untypedVerbsKeepEveryField() async throws {
        let type = ResourceType(
            group: "example.com",
            version: "v1",
            kind: "Thing",
            plural: "things",
            isNamespaced: true
        )
        let answer = #"{"metadata":{"name":"t","namespace":"n"},"odd":{"deep":[1,2.5,null]}}"#
        let request = try await self.seen(answer: answer) { client in
            let object = try await client.getObject(type, "t", namespace: "n")
            #expect(object[path: ["odd", "deep"]] == [1, 2.5, nil])
            let created = try await client.createObject(type, object)
            #expect(created == object)
        }
        #expect(request.target == "/apis/example.com/v1/namespaces/n/things/t")
    }

    @Test func rawGivesJSONOrText() async throws {
        _ = try await self.seen(answer: #"{"major":"1"}"#) { client in
            let answer = try await client.raw(method: "GET", path: "/version")
            #expect(answer["major"] == "1")
        }
        _ = try await self.seen(answer: "ok") { client in
            let answer = try await client.raw(method: "GET", path: "/livez")
            #expect(answer == "ok")
        }
    }
}
