import JSON
import Testing

@testable import KubernetesServer

@Suite(.timeLimit(.minutes(3)))
struct EvictionTests {
    private let pods = "/api/v1/namespaces/default/pods"

    private func addPod(_ api: APIFixture, _ name: String = "p", phase: String = "Running", ready: Bool = true) throws {
        try api.store.create(
            .pods,
            [
                "apiVersion": "v1", "kind": "Pod",
                "metadata": ["name": .string(name), "namespace": "default", "labels": ["app": "db"]],
                "spec": ["nodeName": "node-a", "containers": [["name": "c", "image": "i"]]],
                "status": [
                    "phase": .string(phase),
                    "conditions": [["type": "Ready", "status": ready ? "True" : "False"]],
                ],
            ]
        )
    }

    private func addBudget(
        _ api: APIFixture,
        _ name: String = "b",
        allowed: Int64,
        healthy: Int64 = 1,
        desired: Int64 = 1,
        policy: String? = nil,
        isObserved: Bool = true
    ) throws {
        var spec: JSONValue = ["minAvailable": 1, "selector": ["matchLabels": ["app": "db"]]]
        spec["unhealthyPodEvictionPolicy"] = policy.map { .string($0) }
        try api.store.create(
            .podDisruptionBudgets,
            [
                "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
                "metadata": ["name": .string(name), "namespace": "default"], "spec": spec,
                "status": [
                    "disruptionsAllowed": .int(allowed), "currentHealthy": .int(healthy),
                    "desiredHealthy": .int(desired), "expectedPods": 1, "observedGeneration": isObserved ? 1 : 0,
                ],
            ]
        )
    }

    private func evict(
        _ api: APIFixture,
        _ name: String = "p",
        options: JSONValue? = nil,
        query: String = ""
    ) async throws -> APIFixture.Answer {
        var eviction: JSONValue = [
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": ["name": .string(name), "namespace": "default"],
        ]
        eviction["deleteOptions"] = options
        return try await api("POST", "\(self.pods)/\(name)/eviction\(query)", eviction)
    }

    private func budget(_ api: APIFixture) -> StoredObject? {
        api.store.find(.podDisruptionBudgets, namespace: "default", name: "b")
    }

    private func isTerminating(_ api: APIFixture, _ name: String = "p") -> Bool? {
        api.store.find(.pods, namespace: "default", name: name)?.isTerminating
    }

    @Test func withoutBudgetPodsGo() async throws {
        let api = try APIFixture()
        try self.addPod(api)
        let answer = try await self.evict(api)
        #expect(answer.status == 201)
        #expect(answer.body["status"] == "Success")
        let pod = try #require(api.store.find(.pods, namespace: "default", name: "p"))
        #expect(pod.isTerminating)
        let conditions = pod[path: ["status", "conditions"]]?.arrayValue ?? []
        #expect(conditions.contains { $0["type"] == "DisruptionTarget" && $0["reason"] == "EvictionByEvictionAPI" })
        #expect(try await self.evict(api, "nobody").status == 404)
    }

    @Test func anAllowedDisruptionIsTakenFromTheBudget() async throws {
        let api = try APIFixture()
        try self.addPod(api)
        try self.addPod(api, "q")
        try self.addBudget(api, allowed: 1)
        #expect(try await self.evict(api).status == 201)
        let budget = try #require(self.budget(api))
        #expect(budget[path: ["status", "disruptionsAllowed"]] == 0)
        #expect(budget[path: ["status", "disruptedPods", "p"]]?.stringValue != nil)
        #expect(budget.generation == 1)
        #expect(self.isTerminating(api) == true)
        let second = try await self.evict(api, "q")
        #expect(second.status == 429)
        #expect(self.isTerminating(api, "q") == false)
    }

    @Test func anExhaustedBudgetRefusesWithItsCause() async throws {
        let api = try APIFixture()
        try self.addPod(api)
        try self.addBudget(api, allowed: 0)
        let answer = try await self.evict(api)
        #expect(answer.status == 429)
        #expect(answer.reason == "TooManyRequests")
        #expect(answer.message == "Cannot evict pod as it would violate the pod's disruption budget.")
        let cause = answer.body["details"]?["causes"]?[0]
        #expect(cause?["reason"] == "DisruptionBudget")
        #expect(cause?["message"] == "The disruption budget b needs 1 healthy pods and has 1 currently")
        #expect(self.isTerminating(api) == false)
    }

    @Test func aBudgetThatIsNotYetCountedRefuses() async throws {
        let api = try APIFixture()
        try self.addPod(api)
        try self.addBudget(api, allowed: 1, isObserved: false)
        let answer = try await self.evict(api)
        #expect(answer.status == 429)
        #expect(answer.body["details"]?["retryAfterSeconds"] == 10)
        #expect(self.isTerminating(api) == false)
    }

    @Test func twoBudgetsAreTooMany() async throws {
        let api = try APIFixture()
        try self.addPod(api)
        try self.addBudget(api, allowed: 1)
        try self.addBudget(api, "c", allowed: 1)
        let answer = try await self.evict(api)
        #expect(answer.status == 500)
        #expect(answer.message.contains("more than one PodDisruptionBudget"))
        #expect(self.isTerminating(api) == false)
    }

    @Test(arguments: ["Pending", "Succeeded", "Failed"])
    func podsThatServeNobodyNeedNoBudget(phase: String) async throws {
        let api = try APIFixture()
        try self.addPod(api, phase: phase, ready: false)
        try self.addBudget(api, allowed: 0)
        #expect(try await self.evict(api).status == 201)
        #expect(self.budget(api)?[path: ["status", "disruptionsAllowed"]] == 0)
        #expect(self.isTerminating(api) != false)
    }

    @Test func unhealthyPodsMayGoWhenTheBudgetIsHealthy() async throws {
        let api = try APIFixture()
        try self.addPod(api, ready: false)
        try self.addBudget(api, allowed: 0, healthy: 1, desired: 1)
        #expect(try await self.evict(api).status == 201)
        #expect(self.isTerminating(api) == true)
    }

    @Test func unhealthyPodsCountWhenTheBudgetIsShort() async throws {
        let api = try APIFixture()
        try self.addPod(api, ready: false)
        try self.addBudget(api, allowed: 0, healthy: 0, desired: 1)
        #expect(try await self.evict(api).status == 429)
        #expect(self.isTerminating(api) == false)
    }

    @Test func alwaysAllowLetsUnhealthyPodsGo() async throws {
        let api = try APIFixture()
        try self.addPod(api, ready: false)
        try self.addBudget(api, allowed: 0, healthy: 0, desired: 1, policy: "AlwaysAllow")
        #expect(try await self.evict(api).status == 201)
        #expect(self.isTerminating(api) == true)
    }

    @Test func preconditionsMustHold() async throws {
        let api = try APIFixture()
        try self.addPod(api)
        let pod = try #require(api.store.find(.pods, namespace: "default", name: "p"))
        let wrong = try await self.evict(api, options: ["preconditions": ["uid": "other"]])
        #expect(wrong.status == 409)
        let stale = try await self.evict(api, options: ["preconditions": ["resourceVersion": "1"]])
        #expect(stale.status == 409)
        #expect(self.isTerminating(api) == false)
        let right = try await self.evict(
            api,
            options: [
                "preconditions": ["uid": .string(pod.uid), "resourceVersion": .string(String(pod.resourceVersion))]
            ]
        )
        #expect(right.status == 201)
    }

    @Test func dryRunTakesNothing() async throws {
        let api = try APIFixture()
        try self.addPod(api)
        try self.addBudget(api, allowed: 1)
        #expect(try await self.evict(api, query: "?dryRun=All").status == 201)
        #expect(try await self.evict(api, options: ["dryRun": ["All"]]).status == 201)
        #expect(self.isTerminating(api) == false)
        #expect(self.budget(api)?[path: ["status", "disruptionsAllowed"]] == 1)
    }

    @Test func aHundredAtOnceTakeNoMoreThanAllowed() async throws {
        let api = try APIFixture()
        for number in 0..<20 { try self.addPod(api, "p\(number)") }
        try self.addBudget(api, allowed: 3)
        let granted = try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<100 {
                group.addTask { try await self.evict(api, "p\(number % 20)").status == 201 }
            }
            var granted = 0
            for try await isGranted in group where isGranted { granted += 1 }
            return granted
        }
        // A pod that is going already may be evicted again; that takes nothing.
        #expect(granted >= 3)
        let terminating = api.store.list(.pods, namespace: "default").filter(\.isTerminating)
        #expect(terminating.count == 3)
    }
}
