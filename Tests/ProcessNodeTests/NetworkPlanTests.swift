import Foundation
import JSON
import Testing

@testable import ProcessNode

struct NetworkPlanTests {
    private let plan = NetworkPlan(id: "abc123", podPrefix: "10.131")

    @Test func addressesOfHostServerNodesAndServicesDoNotOverlap() throws {
        let plan = try #require(self.plan)
        #expect(plan.hostAddress == "10.131.0.1")
        #expect(plan.serverAddress == "10.131.0.2")
        #expect(plan.nodeAddress(7) == "10.131.7.1")
        let ranges = try IPv4Range.parse([plan.range(0), plan.range(1), plan.range(200), plan.serviceRange])
        for (index, range) in ranges.enumerated() {
            for other in ranges[(index + 1)...] { #expect(!range.overlaps(other)) }
        }
        // What a node takes its own and its pods' addresses from.
        #expect(AddressPool(cidr: plan.range(7))?.node.description == plan.nodeAddress(7))
    }

    @Test func everyCandidateIsAPlanAndNoTwoShareAddresses() {
        let plans = NetworkPlan.candidates(id: "abc123")
        #expect(plans.count == 32)
        #expect(Set(plans.flatMap { [$0.podPrefix, $0.servicePrefix] }).count == 64)
    }

    @Test(arguments: ["a", "abcdefgh", "0"])
    func linkNamesFitTheKernelAndAreReadBack(id: String) throws {
        let plan = try #require(NetworkPlan(id: id, podPrefix: "10.131"))
        #expect(plan.bridge.utf8.count <= 15)
        for index in [1, 9, 42, NetworkPlan.nodeLimit] {
            #expect(plan.link(index).utf8.count <= 15)
            #expect(plan.index(ofLink: plan.link(index)) == index)
        }
    }

    @Test(arguments: ["dvabc123n0", "dvabc123n007", "dvabc123n201", "dvabc124n1", "dvabc123n", "eth0", "dvabc123n-1"])
    func linksOfOthersAreLeftAlone(name: String) throws {
        #expect(try #require(self.plan).index(ofLink: name) == nil)
    }

    @Test(arguments: ["", "ABC", "abc-1", "abcdefghi", "a b", "../x"])
    func idsThatCouldMeanSomethingElseAreRefused(id: String) {
        #expect(NetworkPlan(id: id, podPrefix: "10.131") == nil)
    }

    @Test(arguments: ["10", "10.300", "127.5", "10.1.2", "x.y", "10.-1"])
    func prefixesThatAreNoneAreRefused(prefix: String) {
        #expect(NetworkPlan(id: "abc", podPrefix: prefix) == nil)
    }

    @Test func randomIDsAreIDs() {
        for _ in 0..<100 { #expect(NetworkPlan.isID(NetworkPlan.randomID())) }
    }

    @Test func aCutIsHealedByItsOwnWords() throws {
        let plan = try #require(self.plan)
        let cut = plan.cut(plan.range(3), device: "eth0")
        let heal = plan.heal(plan.range(3), device: "eth0")
        #expect(cut.contains("10.131.3.0/24") && cut.contains(NetworkPlan.cutProtocol))
        #expect(heal.contains("10.131.3.0/24") && heal.contains(NetworkPlan.cutProtocol))
        #expect(plan.healAll(device: "eth0").contains(NetworkPlan.cutProtocol))
    }

    @Test func membersAreReadFromTheirLinks() throws {
        let plan = try #require(self.plan)
        let member = NodeNamespace.member(plan, ["ifname": "dvabc123n3", "ifalias": "drover-node node-a 4711"])
        #expect(member == NodeNamespace.Member(name: "node-a", index: 3, process: 4711))
        #expect(NodeNamespace.member(plan, ["ifname": "dvabc123n3"]) == nil)
        #expect(NodeNamespace.member(plan, ["ifname": "dvother1n3", "ifalias": "drover-node node-a 4711"]) == nil)
        #expect(NodeNamespace.member(plan, ["ifname": "dvabc123n3", "ifalias": "somebody's else 1"]) == nil)
    }

    @Test func anOwnerIsKnownToHaveEndedOnlyWhenItHas() throws {
        let own = HostNetwork.Owner.thisProcess
        #expect(HostNetwork.Owner(alias: own.alias) == own)
        #expect(!own.isKnownToHaveEnded)
        var reused = own
        reused.startTime = "1"
        #expect(reused.isKnownToHaveEnded)
        var elsewhere = reused
        elsewhere.processNamespace = "pid:[1]"
        #expect(!elsewhere.isKnownToHaveEnded)
        #expect(HostNetwork.Owner(alias: "my own bridge") == nil)
    }

    @Test(arguments: [
        ("10.96.0.0/12", "10.96.0.0", true), ("10.96.0.0/12", "10.111.255.255", true),
        ("10.96.0.0/12", "10.112.0.0", false), ("127.0.0.0/8", "127.255.0.1", true), ("0.0.0.0/0", "9.9.9.9", true),
        ("10.0.0.1/32", "10.0.0.1", true), ("10.0.0.1/32", "10.0.0.2", false),
    ])
    func rangesContainWhatTheySay(range: String, address: String, isInside: Bool) throws {
        #expect(try #require(IPv4Range(range)).contains(try #require(IPv4Address(address))) == isInside)
    }

    @Test(arguments: ["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/-1", "10.0.0.0/8/8", "a/8"])
    func textsThatAreNoRangesAreRefused(text: String) {
        #expect(IPv4Range(text) == nil)
        #expect(throws: ProcessNodeError.self) { try IPv4Range.parse([text]) }
    }
}
