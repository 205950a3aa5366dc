import JSON
import KubernetesClient
import PostgresClusterAPI
import Testing

@Suite struct ReadingTests {
    private func cluster(spec: JSONValue, status: JSONValue? = nil) throws -> PostgresCluster {
        var document: JSONValue = [
            "apiVersion": "drover.dev/v1", "kind": "PostgresCluster",
            "metadata": ["name": "orders", "namespace": "shop"],
        ]
        document["spec"] = spec
        document["status"] = status
        return try document.decode(PostgresCluster.self)
    }

    @Test func aSpecOfTheWrongShapeIsAProblemNotAnError() throws {
        let cluster = try self.cluster(spec: ["instances": "three", "storage": ["size": "1Gi"]])
        let problems = cluster.validate()
        #expect(problems.map(\.field) == ["spec.instances"])
        #expect(cluster.isStatusReadable)
    }

    @Test func namesTheElementOfAListThatIsWrong() throws {
        let cluster = try self.cluster(spec: ["postgres": ["hba": ["host all all all md5", 5]]])
        #expect(cluster.validate().map(\.field) == ["spec.postgres.hba[1]"])
    }

    @Test(arguments: [.null, "text", 5, []] as [JSONValue])
    func aSpecThatIsNoObjectIsAProblem(_ spec: JSONValue) throws {
        let cluster = try self.cluster(spec: spec)
        #expect(!cluster.validate().isEmpty)
    }

    @Test func aStatusOfAnotherVersionIsNotTakenForNone() throws {
        let cluster = try self.cluster(
            spec: ["storage": ["size": "1Gi"]],
            status: ["term": 3, "transition": ["kind": "Teleport", "from": "a", "reason": "X", "phase": "Preparing"]]
        )
        #expect(cluster.status == nil)
        #expect(!cluster.isStatusReadable)
        #expect(cluster.validate().map(\.field) == ["status.transition.kind"])
    }

    @Test func writesApiVersionAndKind() throws {
        let cluster = try self.cluster(spec: ["storage": ["size": "1Gi"]])
        let document = try JSONValue(encoding: cluster)
        #expect(document["apiVersion"] == "drover.dev/v1")
        #expect(document["kind"] == "PostgresCluster")
        #expect(document["spec"] == ["storage": ["size": "1Gi"]])
        #expect(document["status"] == nil)
        #expect(try document.decode(PostgresCluster.self) == cluster)
    }
}
