import ClusterPlanning
import Foundation
import KubernetesClient
import PostgresClusterAPI
import Testing

struct FailoverTests {
    /// Something that may have happened to a primary.
    struct Loss: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var reason: TransitionReason
        /// After how many seconds without a primary the failover begins.
        var after: Double
        var happen: @Sendable (inout ClusterFacts) -> Void
    }

    static let losses: [Loss] = [
        Loss(testDescription: "postmaster died", reason: .postmasterDied, after: 3) { facts in
            facts.reports["orders-1"]?.role = .stopped
            facts.reports["orders-1"]?.exit = .init(reason: "PostgresEnded")
        },
        Loss(testDescription: "disk full", reason: .diskFull, after: 0) { facts in
            facts.reports["orders-1"]?.role = .stopped
            facts.reports["orders-1"]?.exit = .init(reason: "DiskFull", hasGivenUp: true)
        },
        Loss(testDescription: "data corrupt", reason: .dataCorrupt, after: 0) { facts in
            facts.reports["orders-1"]?.role = .stopped
            facts.reports["orders-1"]?.exit = .init(reason: "DataCorrupt", hasGivenUp: true)
        },
        Loss(testDescription: "instance died", reason: .instanceDied, after: 3) { facts in
            facts.reports["orders-1"] = nil
            facts.pods["orders-1"]?.isContainerDown = true
        },
        Loss(testDescription: "container gone with its pod", reason: .podDeleted, after: 0) { facts in
            facts.reports["orders-1"] = nil
            facts.pods["orders-1"]?.isContainerDown = true
            facts.pods["orders-1"]?.isTerminating = true
        },
        Loss(testDescription: "pod deleted by force", reason: .podDeleted, after: 0) { facts in
            facts.reports["orders-1"] = nil
            facts.pods["orders-1"] = nil
            facts.status.instances = [.init(name: "orders-1", podUID: "uid-1", node: "node-a")]
        },
        Loss(testDescription: "pod replaced", reason: .podDeleted, after: 0) { facts in
            facts.pods["orders-1"]?.uid = "uid-9"
            facts.reports["orders-1"] = InstanceFacts(podUID: "uid-9", role: .replica, term: 3)
        },
        Loss(testDescription: "node silent", reason: .nodeSilent, after: 0) { facts in
            facts.reports["orders-1"] = nil
            facts.nodes["node-a"]?.conditions["Ready"] = "Unknown"
        },
        Loss(testDescription: "node removed", reason: .nodeRemoved, after: 0) { facts in
            facts.reports["orders-1"] = nil
            facts.nodes["node-a"] = nil
        },
        Loss(testDescription: "just silent", reason: .primaryLost, after: 3) { facts in
            facts.reports["orders-1"] = nil
        },
    ]

    /// A cluster whose primary has just gone, and of which nobody hears any more.
    private func cluster(_ loss: Loss) -> ClusterFacts {
        var facts = makeCluster()
        loss.happen(&facts)
        facts.assess()
        facts.primaryMissingSince = testNow
        facts.lease?.unchangedFor = .seconds(60)
        for instance in ["orders-2", "orders-3"] {
            facts.reports[instance]?.isStreaming = false
            facts.calls[.hear(instance: instance)] = .answered(
                .heard(facts.reports[instance] ?? InstanceFacts(podUID: "", role: .replica)),
                until: .distantFuture
            )
        }
        return facts
    }

    @Test("Causes are told apart; what can come back in place has a moment to do so", arguments: losses)
    func causes(loss: Loss) {
        let facts = self.cluster(loss)
        if loss.after > 0 {
            #expect(plan(facts, after: loss.after - 0.1).decision == nil)
            #expect(plan(facts).wakeAt != nil)
        }
        let begun = plan(facts, after: loss.after)
        #expect(begun.status.transition?.kind == .failover)
        #expect(begun.status.transition?.reason == loss.reason)
        #expect(begun.status.transition?.phase == .fencing)
        #expect(begun.status.term == 3, "nothing is decided yet")
        #expect(begun.status.primary == "orders-1")
        #expect(begun.decision?.event?.reason == "FailoverStarted")
    }

    @Test(
        "A primary of which somebody hears is alive, whoever else cannot reach it",
        arguments: ["streams", "asked", "renewed", "not asked yet"]
    )
    func onlyWeCannotReachIt(how: String) throws {
        var facts = self.cluster(Self.losses[9])
        let hear = InstanceCall.hear(instance: "orders-2")
        var report = try #require(facts.reports["orders-2"])
        switch how {
        case "streams": report.isStreaming = true
        case "asked": report.lastAskAgo = .seconds(2)
        case "renewed": facts.lease?.unchangedFor = .seconds(1)
        default: break
        }
        facts.calls[hear] = how == "not asked yet" ? nil : .answered(.heard(report), until: .distantFuture)
        #expect(plan(facts, after: 100).decision == nil)
        #expect(plan(facts, after: 100).calls.contains(hear) == (how == "not asked yet"))
    }

    /// The pod was deleted by force; its container got SIGTERM, and the primary in it goes on for a while.
    private func departed() -> ClusterFacts {
        var facts = makeCluster()
        facts.pods["orders-1"] = nil
        facts.reports["orders-1"] = nil
        facts.status.instances = [.init(name: "orders-1", podUID: "uid-1", address: "10.0.0.1", node: "node-a")]
        facts.lease = LeaseFacts(holder: "orders-1/uid-1/n/3")
        return facts
    }

    @Test("A primary whose pod is gone is asked to stop while others stream", arguments: ["gone", "replaced"])
    func departedPrimary(how: String) {
        var facts = self.departed()
        if how == "replaced" {
            facts.pods["orders-1"] = makeCluster().pods["orders-1"]
            facts.pods["orders-1"]?.uid = "uid-9"
            facts.pods["orders-1"]?.address = "10.0.0.9"
        }
        let begun = plan(facts)
        #expect(begun.status.transition?.reason == .podDeleted)
        #expect(begun.status.transition?.phase == .fencing)
        #expect(begun.status.instance(named: "orders-1")?.address == "10.0.0.1", "where it can be asked")
        facts.status = begun.status
        facts.calls[.withhold(instance: "orders-2", term: 4)] = self.withheld(0)
        let asked = plan(facts)
        #expect(asked.calls.contains(.demote(instance: "orders-1", term: 3)))
        #expect(asked.leaseTakeover == nil, "it writes until it says that it does not")
        facts.calls[.demote(instance: "orders-1", term: 3)] = .done(nil)
        #expect(plan(facts).leaseTakeover == 4)
    }

    @Test(
        "Who cannot be asked, or to whom nobody listens, is waited for",
        arguments: ["unknown address", "another pod's address", "an older term", "nobody streams", "nobody reports"]
    )
    func notAsked(how: String) {
        var facts = self.departed()
        switch how {
        case "unknown address": facts.status.instances[0].address = nil
        case "another pod's address": facts.status.instances[0].podUID = "uid-0"
        case "an older term": facts.lease?.holder = "orders-1/uid-1/n/2"
        case "nobody streams": for other in ["orders-2", "orders-3"] { facts.reports[other]?.isStreaming = false }
        default: for other in ["orders-2", "orders-3"] { facts.reports[other] = nil }
        }
        #expect(plan(facts).decision == nil)
    }

    @Test("What a primary whose pod is gone has given back need not be waited for")
    func leftForGood() {
        var facts = self.departed()
        facts.lease = LeaseFacts(holder: "", shutdownTerm: 3)
        #expect(plan(facts).status.transition?.reason == .podDeleted)
        facts.lease = LeaseFacts(holder: "", shutdownTerm: 2)
        #expect(plan(facts).decision == nil)
    }

    @Test("With nobody else there, the primary comes back in place")
    func nobodyElse() {
        var facts = self.cluster(Self.losses[0])
        facts.pods["orders-2"] = nil
        facts.pods["orders-3"]?.isTerminating = true
        #expect(plan(facts, after: 100).decision == nil)
    }

    // MARK: Fencing

    /// A cluster in the middle of a failover.
    private func fencing(_ loss: Loss = losses[9]) -> ClusterFacts {
        var facts = self.cluster(loss)
        facts.status = plan(facts, after: loss.after).status
        facts.calls = [:]
        return facts
    }

    @Test("The others withhold their promises, and the budgets are frozen; the Lease is left alone meanwhile")
    func withholds() {
        let result = plan(self.fencing())
        #expect(
            Set(result.calls) == [
                .withhold(instance: "orders-2", term: 4), .withhold(instance: "orders-3", term: 4),
            ]
        )
        #expect(result.budgets.isFrozen)
        #expect(result.leaseTakeover == nil)
    }

    private func withheld(_ seconds: Double) -> CallState {
        .answered(.withheld(promiseExpiresIn: .seconds(seconds)), until: .distantFuture)
    }

    @Test("A silent primary may write until the Lease was watched for a whole duration and one promise has lapsed")
    func lapse() {
        var facts = self.fencing()
        facts.calls[.withhold(instance: "orders-2", term: 4)] = self.withheld(3)
        #expect(plan(facts).leaseTakeover == nil, "it may live on promises")
        facts.calls[.withhold(instance: "orders-2", term: 4)] = self.withheld(0)
        #expect(plan(facts).leaseTakeover == 4)
        facts.lease?.unchangedFor = .seconds(14)
        #expect(plan(facts).leaseTakeover == nil, "it may live on the Lease")
        facts.lease?.duration = .seconds(30)
        facts.lease?.unchangedFor = .seconds(20)
        #expect(plan(facts).leaseTakeover == nil, "the longer duration counts")
    }

    @Test(
        "What was given back need not be waited for",
        arguments: ["lease", "demoted", "gave up", "container ended for good"]
    )
    func givenBack(how: String) {
        var facts = self.fencing()
        facts.lease = LeaseFacts(holder: "orders-1/uid-1/n/3")
        #expect(plan(facts).leaseTakeover == nil)
        var report = InstanceFacts(podUID: "uid-1", role: .stopped, term: 3)
        report.incarnation = "n"
        switch how {
        case "lease": facts.lease = LeaseFacts(holder: "", shutdownTerm: 3)
        case "demoted": report.demotedTerm = 3
        case "gave up": report.exit = .init(reason: "DiskFull", hasGivenUp: true)
        default:
            facts.pods["orders-1"]?.isContainerDown = true
            #expect(plan(facts).leaseTakeover == nil, "it may be started again")
            facts.pods["orders-1"]?.isTerminating = true
        }
        if how != "lease", how != "container ended for good" { facts.reports["orders-1"] = report }
        #expect(plan(facts).leaseTakeover == 4)
    }

    @Test(
        "What looks given back and is not",
        arguments: ["older term", "new Lease", "another pod", "another life", "same life"]
    )
    func notGivenBack(how: String) {
        var facts = self.fencing()
        facts.lease = LeaseFacts(holder: "orders-1/uid-1/n/3")
        switch how {
        case "older term": facts.lease = LeaseFacts(holder: "", shutdownTerm: 2)
        case "new Lease": facts.lease = LeaseFacts(holder: "")
        case "another pod":
            facts.pods["orders-1"]?.uid = "uid-9"
            facts.reports["orders-1"] = InstanceFacts(podUID: "uid-9", role: .replica, term: 3)
            facts.reports["orders-1"]?.incarnation = "m"
        case "another life":
            // It may be the one before, and the one that took the Lease since then is primary.
            facts.reports["orders-1"] = InstanceFacts(podUID: "uid-1", role: .starting, term: 3)
            facts.reports["orders-1"]?.incarnation = "m"
        default:
            facts.reports["orders-1"] = InstanceFacts(podUID: "uid-1", role: .starting, term: 3)
            facts.reports["orders-1"]?.incarnation = "n"
        }
        #expect(plan(facts).leaseTakeover == nil)
    }

    @Test("An instance that lives without its PostgreSQL is asked to give its right back")
    func asksToGiveUp() {
        let facts = self.fencing(Self.losses[0])
        #expect(plan(facts, after: 3).calls.contains(.demote(instance: "orders-1", term: 3)))
    }

    @Test("A primary that comes back before the Lease is taken goes on, in a new term")
    func comesBack() {
        var facts = self.fencing(Self.losses[0])
        facts.reports["orders-1"] = makeCluster().reports["orders-1"]
        let result = plan(facts, after: 4)
        #expect(result.status.term == 4)
        #expect(result.status.primary == "orders-1")
        #expect(result.status.transition?.kind == .rollback)
    }

    // MARK: Comparing

    private static func standing(_ end: UInt64, timeline: Int64 = 2, term: Int64 = 2) -> CallState {
        .answered(
            .standingStill(Standstill(timeline: timeline, timelineTerm: term, end: LSN(rawValue: end))),
            until: .distantFuture
        )
    }

    /// A cluster whose Lease the operator has taken for the next term.
    private func comparing() -> ClusterFacts {
        var facts = self.fencing()
        facts.lease = LeaseFacts(holder: "drover-operator/me/n/4")
        return facts
    }

    @Test("Positions are compared only when nothing more is received, and of all who may answer")
    func standstill() {
        var facts = self.comparing()
        let calls: Set<InstanceCall> = [
            .standstill(instance: "orders-2", term: 4), .standstill(instance: "orders-3", term: 4),
        ]
        #expect(Set(plan(facts).calls) == calls)
        facts.calls[.standstill(instance: "orders-2", term: 4)] = Self.standing(1000)
        #expect(plan(facts).decision == nil)
        facts.calls[.standstill(instance: "orders-3", term: 4)] = Self.standing(1010)
        let result = plan(facts)
        #expect(result.status.primary == "orders-3")
        #expect(result.status.term == 4)
        #expect(result.status.transition?.phase == .promoting)
        #expect(result.status.transition?.to == "orders-3")
        #expect(result.decision?.guards == [.leaseUnchanged])
    }

    @Test("One that never answers is waited for only so long; one that is not ready and failed is not waited for")
    func doesNotAnswer() {
        var facts = self.comparing()
        facts.calls[.standstill(instance: "orders-2", term: 4)] = Self.standing(1000)
        facts.calls[.standstill(instance: "orders-3", term: 4)] = .failed(reason: "x", retryAt: testNow)
        #expect(plan(facts).decision == nil)
        facts.lease?.unchangedFor = .seconds(3)
        #expect(plan(facts).status.primary == "orders-2")
        facts.lease?.unchangedFor = .zero
        facts.pods["orders-3"]?.isReady = false
        #expect(plan(facts).status.primary == "orders-2")
    }

    @Test("The newest history counts before the longest, and the lost primary counts when it is up again")
    func newestHistory() {
        var facts = self.comparing()
        facts.calls[.standstill(instance: "orders-2", term: 4)] = Self.standing(5000, timeline: 2, term: 2)
        facts.calls[.standstill(instance: "orders-3", term: 4)] = Self.standing(1000, timeline: 2, term: 3)
        #expect(plan(facts).status.primary == "orders-3")
        facts.calls[.standstill(instance: "orders-2", term: 4)] = Self.standing(1000, timeline: 2, term: 3)
        facts.reports["orders-1"] = InstanceFacts(podUID: "uid-1", role: .replica, term: 3)
        facts.calls[.standstill(instance: "orders-1", term: 4)] = Self.standing(1100, timeline: 2, term: 3)
        #expect(plan(facts).status.primary == "orders-1")
        #expect(plan(facts).status.transition?.kind == .rollback)
    }

    @Test(
        "Among equals the one goes first that no promise binds any longer; more WAL and a better node count before that"
    )
    func boundByPromise() {
        var facts = self.comparing()
        for instance in ["orders-2", "orders-3"] {
            facts.calls[.standstill(instance: instance, term: 4)] = Self.standing(1000)
        }
        facts.calls[.withhold(instance: "orders-3", term: 4)] = self.withheld(9)
        #expect(plan(facts).status.primary == "orders-2")
        facts.calls[.withhold(instance: "orders-2", term: 4)] = self.withheld(10)
        #expect(plan(facts).status.primary == "orders-3")
        facts.calls[.standstill(instance: "orders-2", term: 4)] = Self.standing(1001)
        #expect(plan(facts).status.primary == "orders-2")
        facts.calls[.standstill(instance: "orders-2", term: 4)] = Self.standing(1000)
        facts.cordon("node-c")
        #expect(plan(facts).status.primary == "orders-2")
    }

    @Test("A loss beyond the limit is refused with the reason; a person may accept it, naming the term")
    func loss() {
        var facts = self.comparing()
        facts.status.transition?.lastKnownLSN = LSN(rawValue: 1000 + (1 << 20) + 1)
        facts.calls[.standstill(instance: "orders-2", term: 4)] = Self.standing(1000)
        facts.calls[.standstill(instance: "orders-3", term: 4)] = Self.standing(900)
        let refused = plan(facts)
        #expect(refused.decision == nil)
        #expect(refused.status.conditions[.degraded]?.reason == .lossTooLarge)
        // Instances read from the condition that their namespace ends: nothing may hide it.
        facts.obstacle = Obstacle(reason: .namespaceTerminating, message: "it is being terminated")
        #expect(plan(facts).status.conditions[.degraded]?.reason == .namespaceTerminating)
        facts.obstacle = nil
        #expect(refused.events.contains { $0.reason == "FailoverRefused" && $0.message.contains("LossTooLarge") })
        facts.requestedFailover = RequestedFailover("orders-3@2")
        #expect(plan(facts).decision == nil, "it was meant for another loss")
        facts.requestedFailover = RequestedFailover("orders-3@3")
        #expect(plan(facts).status.primary == "orders-3")
        facts.requestedFailover = nil
        facts.status.transition?.lastKnownLSN = LSN(rawValue: 1000 + (1 << 20))
        #expect(plan(facts).status.primary == "orders-2")
    }

    @Test("One that has never joined gives its place to a lost primary that finds no other and is needed")
    func makesRoom() {
        var facts = self.comparing()
        facts.status.joining = ["orders-4"]
        facts.status.lastInstanceNumber = 4
        facts.status.transition?.lastKnownLSN = LSN(rawValue: 1000 + (1 << 20) + 1)
        facts.pods["orders-1"]?.node = nil
        facts.pods["orders-1"]?.isUnschedulable = true
        facts.volumes["orders-4"] = VolumeFacts(instance: "orders-4", uid: "pvc-4")
        facts.pods["orders-4"] = PodFacts(instance: "orders-4", uid: "uid-4", node: "node-a")
        facts.calls[.standstill(instance: "orders-2", term: 4)] = Self.standing(1000)
        #expect(plan(facts).decision == nil, "the other replica may have it all")
        facts.calls[.standstill(instance: "orders-3", term: 4)] = Self.standing(900)
        let result = plan(facts)
        #expect(result.status.joining.isEmpty)
        #expect(result.decision?.event?.reason == "InstanceStuck")
        facts.status.joining = []
        #expect(plan(facts).removals == ["orders-4"])
        facts.pods["orders-1"]?.isUnschedulable = false
        #expect(plan(facts).removals.isEmpty, "during a transition nothing else is taken away")
    }

    @Test("One that streamed across a promotion without taking note of it counts for what it has, and hides nothing")
    func uncertainTerm() {
        func standing(_ end: UInt64, timeline: Int64, term: Int64, isCertain: Bool) -> CallState {
            let stand = Standstill(
                timeline: timeline,
                timelineTerm: term,
                isTermCertain: isCertain,
                end: LSN(rawValue: end)
            )
            return .answered(.standingStill(stand), until: .distantFuture)
        }
        var facts = self.comparing()
        facts.spec.isSynchronousRequired = true
        facts.spec.synchronousCount = 1
        facts.status.synchronous = Synchronous(SynchronousSetting(standbys: ["orders-2", "orders-3"], count: 1))
        // Both know of term 2 only; one has the next timeline, and so everything that the other has.
        facts.calls[.standstill(instance: "orders-2", term: 4)] = standing(5000, timeline: 3, term: 2, isCertain: false)
        facts.calls[.standstill(instance: "orders-3", term: 4)] = standing(1000, timeline: 2, term: 2, isCertain: true)
        #expect(plan(facts).status.primary == "orders-2")
        // Nobody can tell which of these has the last commit.
        facts.calls[.standstill(instance: "orders-3", term: 4)] = standing(1000, timeline: 3, term: 3, isCertain: true)
        #expect(plan(facts).status.transition?.phase == .fencing)
        #expect(plan(facts).failoverObstacle?.reason == .quorumMissing)
        // The lost primary can: it is up again.
        facts.reports["orders-1"] = InstanceFacts(podUID: "uid-1", role: .replica, term: 3)
        facts.calls[.standstill(instance: "orders-1", term: 4)] = standing(5100, timeline: 3, term: 3, isCertain: true)
        #expect(plan(facts).status.primary == "orders-1")
    }

    @Test("Under Required, enough of those who may have acknowledged the last commits must answer")
    func quorum() {
        var facts = self.comparing()
        facts.spec.synchronousCount = 1
        facts.spec.isSynchronousRequired = true
        facts.status.synchronous = Synchronous(SynchronousSetting(standbys: ["orders-2", "orders-3"], count: 1))
        facts.calls[.standstill(instance: "orders-2", term: 4)] = Self.standing(1000)
        facts.pods["orders-3"] = nil
        let refused = plan(facts)
        #expect(refused.decision == nil)
        #expect(refused.status.conditions[.degraded]?.reason == .quorumMissing)
        // Only one may have acknowledged: it is enough.
        facts.status.synchronous = Synchronous(SynchronousSetting(standbys: ["orders-2"], count: 1))
        let decided = plan(facts)
        #expect(decided.status.primary == "orders-2")
        #expect(decided.status.synchronous?.standbys.contains("orders-2") == false)
        #expect(decided.status.synchronous?.count == 1, "commits wait rather than being less safe")
        #expect(decided.status.synchronous?.previous == [SynchronousSetting(standbys: ["orders-2"], count: 1)])
        // What was demanded before may be what the last commits rest on.
        facts.status.synchronous?.previous = [SynchronousSetting(standbys: ["orders-3"], count: 1)]
        #expect(plan(facts).decision == nil)
    }

    @Test("Another leader goes on from the objects alone")
    func newLeader() {
        var facts = self.comparing()
        facts.calls = [:]
        facts.primaryMissingSince = nil
        #expect(plan(facts).calls.contains(.standstill(instance: "orders-2", term: 4)))
        facts.lease = LeaseFacts(holder: "orders-1/uid-1/n/3")
        #expect(plan(facts).calls.contains(.withhold(instance: "orders-2", term: 4)))
        #expect(plan(facts).leaseTakeover == nil)
    }

    @Test("Requests are read strictly", arguments: ["orders-2", "orders-2@", "@3", "orders-2@3@4", "orders-2@x", ""])
    func malformedRequests(text: String) {
        #expect(RequestedFailover(text) == nil)
    }
}
