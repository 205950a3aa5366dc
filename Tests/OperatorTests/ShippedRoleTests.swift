import Foundation
import JSON
import KubernetesClient
import PostgresClusterAPI
import Testing

/// The role in `manifests`: what it lists is needed, and what is needed it lists.
@Suite(.timeLimit(.minutes(5)))
struct ShippedRoleTests {
    private static let user = "system:serviceaccount:drover-system:drover-operator"

    /// What no request of the operator shows, and why it is in the role all the same.
    private static let needless: Set<String> = [
        // Asked for by an admission plugin when an owner reference blocks the owner's deletion.
        "update postgresclusters/finalizers.drover.dev"
    ]

    private func listed() throws -> Set<String> {
        let role = try #require(try OperatorFixture.manifest("cluster-role").first)
        var listed: Set<String> = []
        for rule in role["rules"]?.arrayValue ?? [] {
            let strings = { (key: String) in rule[key]?.arrayValue?.compactMap(\.stringValue) ?? [] }
            #expect(strings("resourceNames").isEmpty)
            for group in strings("apiGroups") {
                for resource in strings("resources") {
                    for verb in strings("verbs") {
                        listed.insert("\(verb) \(resource)" + (group.isEmpty ? "" : ".\(group)"))
                    }
                }
            }
        }
        return listed
    }

    private func used(_ fixture: OperatorFixture) async throws -> Set<String> {
        let document = try await fixture.client.raw(method: "GET", path: "/debug/used-permissions")
        return Set((document[Self.user]?.arrayValue ?? []).compactMap(\.stringValue))
    }

    private func announce(_ fixture: OperatorFixture, _ nodes: [String]) async throws {
        for node in nodes {
            _ = try await fixture.client.patch(
                Node.self,
                node,
                .merge(["metadata": ["labels": ["lifecycle-status": "decommission-pending"]]])
            )
        }
    }

    private func createClaim(_ fixture: OperatorFixture, _ name: String) async throws -> String {
        _ = try await fixture.client.createObject(
            PersistentVolumeClaim.resourceType,
            [
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": ["name": .string(name), "namespace": .string(OperatorFixture.namespace)],
                "spec": [
                    "accessModes": ["ReadWriteOnce"], "storageClassName": "elsewhere", "volumeName": "nowhere",
                    "resources": ["requests": ["storage": "1Gi"]],
                ],
            ]
        )
        return name
    }

    private func patch(_ fixture: OperatorFixture, _ patch: JSONValue) async throws {
        _ = try await fixture.client.patch(
            PostgresCluster.self,
            "orders",
            namespace: OperatorFixture.namespace,
            .merge(patch)
        )
    }

    @Test func hasNoVerbThatNobodyUses() async throws {
        let listed = try self.listed()
        #expect(!listed.contains { $0.contains("*") })
        try await OperatorFixture.with(shippedRole: true) { fixture in
            // Somebody else's, where one of ours is to be: the operator looks whose it is.
            let stranger = try await self.createClaim(fixture, "orders-2")
            try await fixture.createCluster("orders", extra: ["pooler": ["instances": 2]])
            try await fixture.withOperator(leaseNamespace: "drover-system") {
                try await fixture.waitFor("orders", "a name that is taken") { status in
                    status.conditions[.degraded]?.reason == .nameTaken
                }
                try await fixture.client.delete(
                    PersistentVolumeClaim.self,
                    stranger,
                    namespace: OperatorFixture.namespace
                )
                let home = try #require(try await fixture.waitUntilReady("orders").primaryNode)
                fixture.instances.loadCertificates(.all)
                // Twice the same event: the second is counted at the first.
                try await self.patch(fixture, ["metadata": ["annotations": [Annotations.hold: "closing"]]])
                for _ in 1...2 {
                    try await fixture.cordon(home)
                    try await fixture.waitFor("orders", "Held") { status in
                        status.conditions[.readyForEviction]?.reason == .held
                    }
                    try await fixture.cordon(home, false)
                    try await fixture.waitFor("orders", "nothing to move") { status in
                        status.conditions[.readyForEviction]?.reason == .nothingToMove
                    }
                }
                try await self.patch(fixture, ["metadata": ["annotations": [Annotations.hold: nil]]])
                try await fixture.cordon(home)
                try await fixture.waitFor("orders", "another primary") { status in
                    status.transition == nil && status.primaryNode != home && status.primaryNode != nil
                }
                try await fixture.cordon(home, false)
                try await fixture.waitUntilReady("orders")
                // All nodes are announced, and there is room on a fresh one: a replica goes there first.
                try await fixture.addNode("node-d", zone: "a")
                try await self.announce(fixture, ["node-a", "node-b", "node-c"])
                try await fixture.waitFor("orders", "the primary on the fresh node") { status in
                    status.transition == nil && status.primaryNode == "node-d"
                }
                // Without poolers, and with an instance less; what is left grows.
                try await self.patch(
                    fixture,
                    ["spec": ["pooler": nil, "instances": 2, "storage": ["size": "2Gi"]]]
                )
                try await fixture.waitFor("orders", "two instances") { status in
                    status.members.count == 2 && status.joining.isEmpty
                }
                // What comes last is noted a moment later.
                let deadline = ContinuousClock.now + .seconds(60)
                while ContinuousClock.now < deadline {
                    if try await listed.subtracting(Self.needless).isSubset(of: self.used(fixture)) { break }
                    try await Task.sleep(for: .milliseconds(50))
                }
            }
            let used = try await self.used(fixture)
            let idle = listed.subtracting(Self.needless).subtracting(used)
            #expect(idle.isEmpty, "listed in manifests/cluster-role.yaml and never used: \(idle.sorted())")
            let missing = used.subtracting(listed).filter { !$0.hasPrefix("create selfsubject") }
            #expect(missing.isEmpty, "used and not listed: \(missing.sorted())")
        }
    }
}
