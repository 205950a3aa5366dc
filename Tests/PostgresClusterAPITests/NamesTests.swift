import PostgresClusterAPI
import Testing

@Suite struct NamesTests {
    @Test(arguments: ["a", "orders", "orders-2", "a1-b2", String(repeating: "a", count: 50)])
    func acceptsNamesThatLeaveRoom(_ name: String) {
        #expect(Names.problem(withClusterName: name) == nil)
        let names = Names(cluster: name)
        let derived = [
            names.replicasService, names.primaryBudget, names.authoritySecret, names.applicationSecret,
            names.instance(999_999), "\(name)-pooler-99",
        ]
        for name in derived {
            #expect(name.utf8.count <= 63, "\(name)")
        }
        // A common name of a certificate has at most 64 characters.
        #expect(names.instance(999_999_999).utf8.count <= 63)
    }

    @Test(arguments: [
        "", "1orders", "-orders", "orders-", "Orders", "or_ders", "or.ders", "örders", "orders-replicas",
        "orders-pooler", String(repeating: "a", count: 51), String(repeating: "a", count: 1_000_000),
    ])
    func refusesOthers(_ name: String) {
        #expect(Names.problem(withClusterName: name) != nil)
    }

    @Test func readsTheNumberOfItsOwnInstancesOnly() {
        let names = Names(cluster: "orders")
        #expect(names.number(ofInstance: "orders-1") == 1)
        #expect(names.number(ofInstance: names.instance(42)) == 42)
        for other in ["orders", "orders-", "orders-0", "orders-01", "orders-x", "orders-1-2", "orders-2-1", "order-1"] {
            #expect(names.number(ofInstance: other) == nil, "\(other)")
        }
        #expect(names.number(ofInstance: "orders-99999999999999999999") == nil)
    }

    @Test func slotsAreValidAndDiffer() {
        #expect(Names.slot(ofInstance: "or-ders-12") == "or_ders_12")
    }

    @Test func labelsOfBudgetsDoNotOverlap() {
        let master = Labels.selector(cluster: "orders", role: .master)
        let replica = Labels.selector(cluster: "orders", role: .replica)
        #expect(master != replica)
        #expect(master["role"] == "master" && master["application"] == "orders")
        #expect(master["drover.dev/cluster"] == "orders")
        #expect(Labels.instance("orders-1", cluster: "orders")[Labels.role] == nil)
    }
}
