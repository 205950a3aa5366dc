import JSON
import Testing

@testable import KubernetesServer

@Suite(.timeLimit(.minutes(3)))
struct AccessTests {
    private let configMaps = "/api/v1/namespaces/default/configmaps"
    private let rbac = "/apis/rbac.authorization.k8s.io/v1"

    private func token(_ api: APIFixture, _ spec: JSONValue = [:]) async throws -> String {
        _ = try await api(
            "POST",
            "/api/v1/namespaces/default/serviceaccounts",
            ["apiVersion": "v1", "kind": "ServiceAccount", "metadata": ["name": "robot"]]
        )
        let answer = try await api(
            "POST",
            "/api/v1/namespaces/default/serviceaccounts/robot/token",
            ["apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec]
        )
        return try #require(answer.body[path: ["status", "token"]]?.stringValue, "\(answer.body)")
    }

    private func grant(_ api: APIFixture, _ rules: JSONValue) async throws {
        _ = try await api(
            "POST",
            "\(self.rbac)/namespaces/default/roles",
            ["apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": ["name": "r"], "rules": rules]
        )
        _ = try await api(
            "POST",
            "\(self.rbac)/namespaces/default/rolebindings",
            [
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": ["name": "r"],
                "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"],
                "subjects": [["kind": "ServiceAccount", "name": "robot", "namespace": "default"]],
            ]
        )
    }

    @Test func strangersAreTurnedAway() async throws {
        let api = try APIFixture()
        #expect(try await api("GET", self.configMaps, token: nil).status == 403)
        #expect(try await api("GET", self.configMaps, token: "nonsense").status == 401)
        #expect(try await api("GET", self.configMaps, token: "a.b.c").status == 401)
    }

    @Test func accountsMayDoWhatTheirRolesSay() async throws {
        let api = try APIFixture()
        let token = try await self.token(api)
        let refused = try await api("GET", self.configMaps, token: token)
        #expect(refused.status == 403)
        #expect(refused.message.contains("system:serviceaccount:default:robot"))
        try await self.grant(api, [["apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]]])
        #expect(try await api("GET", self.configMaps, token: token).status == 200)
        #expect(try await api("GET", "/api/v1/namespaces/kube-system/configmaps", token: token).status == 403)
        #expect(try await api("GET", "/api/v1/configmaps", token: token).status == 403)
        let object: JSONValue = ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "a"]]
        #expect(try await api("POST", self.configMaps, object, token: token).status == 403)
        #expect(try await api("GET", "/apis", token: token).status == 200)
    }

    @Test func namedResourcesAreTheOnlyOnes() async throws {
        let api = try APIFixture()
        let token = try await self.token(api)
        let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
        for name in ["mine", "other"] {
            _ = try await api(
                "POST",
                leases,
                ["apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": ["name": .string(name)]]
            )
        }
        try await self.grant(
            api,
            [
                [
                    "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": ["mine"],
                    "verbs": ["get", "watch", "list"],
                ]
            ]
        )
        #expect(try await api("GET", "\(leases)/mine", token: token).status == 200)
        #expect(try await api("GET", "\(leases)/other", token: token).status == 403)
        #expect(try await api("GET", leases, token: token).status == 403)
        #expect(try await api("GET", "\(leases)?fieldSelector=metadata.name%3Dmine", token: token).status == 200)
        #expect(
            try await api("GET", "\(leases)?watch=1&fieldSelector=metadata.name%3Dmine", token: token).body == "stream"
        )
    }

    @Test func subresourcesNeedTheirOwnPermission() async throws {
        let api = try APIFixture()
        let token = try await self.token(api)
        try await self.grant(api, [["apiGroups": [""], "resources": ["pods"], "verbs": ["*"]]])
        let path = "/api/v1/namespaces/default/pods/p/eviction"
        #expect(try await api("POST", path, ["metadata": ["name": "p"]], token: token).status == 403)
        #expect(try await api("GET", "/api/v1/namespaces/default/pods/p", token: token).status == 404)
    }

    @Test func tokensEndWithWhatTheyAreBoundTo() async throws {
        let api = try APIFixture()
        _ = try await api(
            "POST",
            "/api/v1/namespaces/default/pods",
            [
                "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "p"],
                "spec": ["containers": [["name": "c", "image": "i:1"]]],
            ]
        )
        let token = try await self.token(
            api,
            ["boundObjectRef": ["kind": "Pod", "apiVersion": "v1", "name": "p"]]
        )
        let review: JSONValue = [
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": ["token": .string(token)],
        ]
        let path = "/apis/authentication.k8s.io/v1/tokenreviews"
        let known = try await api("POST", path, review)
        #expect(known.body[path: ["status", "authenticated"]] == true)
        #expect(known.body[path: ["status", "user", "username"]] == "system:serviceaccount:default:robot")
        _ = try await api("DELETE", "/api/v1/namespaces/default/pods/p")
        #expect(try await api("POST", path, review).body[path: ["status", "authenticated"]] == false)
        #expect(try await api("GET", "/apis", token: token).status == 401)
    }

    @Test func reviewsAnswerWhatAMayDo() async throws {
        let api = try APIFixture()
        let token = try await self.token(api)
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        let review: JSONValue = [
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": ["resourceAttributes": ["namespace": "default", "verb": "get", "resource": "configmaps"]],
        ]
        #expect(try await api("POST", path, review, token: token).body[path: ["status", "allowed"]] == false)
        #expect(try await api("POST", path, review).body[path: ["status", "allowed"]] == true)
    }
}
