import SeededRandom
import Testing

@testable import Fence

@Suite
struct RoleMachineTests {
    private static func disk(
        bootstrapped: Bool = true,
        highest: Int = 3,
        own: Int = 0,
        promoted: Bool = true,
        demoted: Int? = nil
    ) -> PersistentState {
        var disk = PersistentState()
        disk.isBootstrapped = bootstrapped
        disk.highestTerm = highest
        disk.ownTerm = own
        if own > 0, promoted { disk.promotions = [.init(term: own, timeline: 2, switchLSN: 1)] }
        disk.demotion = demoted.map { .init(term: $0) }
        return disk
    }

    private static func facts(
        _ disk: PersistentState,
        _ status: RoleFacts.Status?,
        lease: RoleFacts.Lease = .obtainable(term: 0),
        promised: Int? = nil,
        hasPromised: Bool = false,
        isNew: Bool = false,
        asked: Bool = true,
        postmaster: RoleFacts.Postmaster = .stopped,
        upstream: RoleFacts.Upstream? = nil
    ) -> RoleFacts {
        RoleFacts(
            instance: "a",
            disk: disk,
            status: status,
            lease: lease,
            promisedTerm: promised,
            hasPromised: hasPromised,
            isNew: isNew,
            hasAsked: asked,
            postmaster: postmaster,
            upstream: upstream
        )
    }

    private static func chosen(_ term: Int, initialized: Bool = true) -> RoleFacts.Status {
        .init(term: term, primary: "a", members: initialized ? ["a", "b"] : ["a"], isInitialized: initialized)
    }

    private static let other = RoleFacts.Status(term: 3, primary: "b", members: ["a", "b"])

    static let cases: [(String, RoleFacts, RoleAction)] = [
        ("a new term is written down first", facts(disk(highest: 2), chosen(3)), .noteTerm(3)),
        (
            "the first primary takes the Lease before initdb",
            facts(disk(bootstrapped: false, highest: 1), chosen(1, initialized: false)), .takeLease(term: 1)
        ),
        (
            "and makes the database system with it",
            facts(disk(bootstrapped: false, highest: 1), chosen(1, initialized: false), lease: .mine(term: 1)),
            .initialize(term: 1)
        ),
        (
            "never initdb where a cluster has existed",
            facts(disk(bootstrapped: false, highest: 1), chosen(1), lease: .mine(term: 1)), .wait(.dataMissing)
        ),
        (
            "never initdb in a later term",
            facts(disk(bootstrapped: false), chosen(3, initialized: false), lease: .mine(term: 3)), .wait(.dataMissing)
        ),
        ("an empty volume is cloned", facts(disk(bootstrapped: false), other), .clone(from: "b")),
        ("without status up as standby", facts(disk(own: 3), nil), .startStandby),
        ("a stale status makes a standby", facts(disk(highest: 4, own: 4), chosen(3)), .startStandby),
        (
            "under a stale status it goes on with the Lease of its own term",
            facts(disk(highest: 4, own: 4), chosen(3), lease: .mine(term: 4), postmaster: .standby),
            .startPrimary(term: 4)
        ),
        (
            "a stale status does not undo a demotion",
            facts(disk(highest: 4, own: 4, demoted: 4), chosen(3), lease: .mine(term: 4)), .startStandby
        ),
        (
            "a stale status does not promote",
            facts(disk(highest: 4), chosen(3), lease: .mine(term: 3), postmaster: .standby), .wait(.statusStale)
        ),
        (
            "with the Lease alone it asks the others before it goes on",
            facts(disk(own: 3), chosen(3), lease: .mine(term: 3), asked: false), .askOthers
        ),
        (
            "also before it is promoted in a term that was its own",
            facts(disk(own: 3), chosen(3), lease: .mine(term: 3), asked: false, postmaster: .standby), .askOthers
        ),
        (
            "also under a stale status",
            facts(disk(highest: 4, own: 4), chosen(3), lease: .mine(term: 4), asked: false, postmaster: .standby),
            .askOthers
        ),
        (
            "promises are the word of all others", facts(disk(own: 3), chosen(3), promised: 3, asked: false),
            .startPrimary(term: 3)
        ),
        (
            "nobody is asked about a term that has had no primary",
            facts(disk(), chosen(3), lease: .mine(term: 3), asked: false, postmaster: .standby), .promote(term: 3)
        ),
        ("goes on in its own term with the Lease only", facts(disk(own: 3), chosen(3)), .takeLease(term: 3)),
        (
            "goes on in its own term", facts(disk(own: 3), chosen(3), lease: .mine(term: 3)), .startPrimary(term: 3)
        ),
        (
            "a Lease of another makes a standby", facts(disk(own: 3), chosen(3), lease: .taken(term: 3)), .startStandby
        ),
        ("an unknown Lease makes a standby", facts(disk(own: 3), chosen(3), lease: .unknown), .startStandby),
        (
            "a promotion that was not finished is done again, not gone on with",
            facts(disk(own: 3, promoted: false), chosen(3), lease: .mine(term: 3)), .startStandby
        ),
        (
            "demoted in this term: standby", facts(disk(own: 3, demoted: 3), chosen(3), lease: .mine(term: 3)),
            .startStandby
        ),
        (
            "demoted in this term: no promotion",
            facts(disk(own: 3, demoted: 3), chosen(3), lease: .mine(term: 3), postmaster: .standby), .wait(.demoted)
        ),
        (
            "demoted earlier: called back by a newer term",
            facts(disk(own: 2, demoted: 2), chosen(3), postmaster: .standby), .takeLease(term: 3)
        ),
        (
            "promotes with the Lease of that term",
            facts(disk(), chosen(3), lease: .mine(term: 3), postmaster: .standby), .promote(term: 3)
        ),
        (
            "not with that of an older one",
            facts(disk(), chosen(3), lease: .mine(term: 2), postmaster: .standby), .takeLease(term: 3)
        ),
        (
            "a newer term in the Lease is written down",
            facts(disk(), chosen(3), lease: .obtainable(term: 4), postmaster: .standby), .noteTerm(4)
        ),
        (
            "and then the older status counts no more",
            facts(disk(highest: 4), chosen(3), lease: .obtainable(term: 4), postmaster: .standby), .wait(.statusStale)
        ),
        (
            "its own promise holds it back",
            facts(disk(), chosen(3), hasPromised: true, postmaster: .standby), .wait(.promised)
        ),
        (
            "promises do not promote",
            facts(disk(), chosen(3), lease: .taken(term: 2), promised: 3, postmaster: .standby), .wait(.leaseTaken)
        ),
        (
            "with promises alone it goes on in its own term",
            facts(disk(own: 3), nil, lease: .unknown, promised: 3), .startPrimary(term: 3)
        ),
        (
            "also as the standby that it came up as",
            facts(disk(own: 3), nil, lease: .unknown, promised: 3, postmaster: .standby), .startPrimary(term: 3)
        ),
        (
            "not when it was demoted in it",
            facts(disk(own: 3, demoted: 3), nil, lease: .unknown, promised: 3), .startStandby
        ),
        (
            "not when a newer term was seen",
            facts(disk(highest: 4, own: 3), nil, lease: .unknown, promised: 3), .startStandby
        ),
        (
            "one that has just started waits for a word", facts(disk(own: 3), nil, lease: .unknown, isNew: true),
            .wait(.statusUnknown)
        ),
        (
            "but only one that may go on", facts(disk(own: 2), nil, lease: .unknown, isNew: true), .startStandby
        ),
        (
            "a primary at rest needs no Lease",
            facts(disk(own: 3), chosen(3), lease: .obtainable(term: 3), promised: 3, postmaster: .primary),
            .wait(.running)
        ),
        (
            "promises of another term carry nothing",
            facts(disk(own: 3), chosen(3), lease: .obtainable(term: 3), promised: 2, postmaster: .primary),
            .fence(.leaseLost)
        ),
        (
            "a primary stops when the Lease has a newer term",
            facts(disk(own: 3), chosen(3), lease: .obtainable(term: 4), promised: 3, postmaster: .primary),
            .fence(.superseded)
        ),
        (
            "a standby compares histories first", facts(disk(), other, postmaster: .standby),
            .verifyAndFollow(primary: "b", term: 3)
        ),
        (
            "following", facts(disk(), other, postmaster: .standby, upstream: .init(primary: "b", term: 3)),
            .wait(.following)
        ),
        (
            "a newer term is compared again",
            facts(disk(), other, postmaster: .standby, upstream: .init(primary: "b", term: 2)),
            .verifyAndFollow(primary: "b", term: 3)
        ),
        (
            "a primary without the Lease stops", facts(disk(own: 3), chosen(3), postmaster: .primary),
            .fence(.leaseLost)
        ),
        (
            "a primary that is superseded stops",
            facts(disk(own: 2), other, lease: .mine(term: 2), postmaster: .primary), .fence(.superseded)
        ),
        (
            "a primary runs on through an outage of the API",
            facts(disk(own: 3), nil, lease: .mine(term: 3), postmaster: .primary), .wait(.running)
        ),
        (
            "a primary runs on when status goes back",
            facts(disk(highest: 4, own: 4), other, lease: .mine(term: 4), postmaster: .primary), .wait(.running)
        ),
        (
            "a primary adopts a newer term",
            facts(disk(own: 2), chosen(3), lease: .mine(term: 2), postmaster: .primary), .adopt(term: 3)
        ),
    ]

    @Test(arguments: Self.cases.indices)
    func decides(_ index: Int) {
        let (what, facts, action) = Self.cases[index]
        #expect(RoleMachine.decide(facts) == action, "\(what)")
    }

    /// Whatever is observed: no writes without the Lease in one's undemoted term, and no new database system over old.
    @Test(arguments: 0..<20)
    func neverAcceptsWritesWithoutTheFence(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<2_000 {
            let term = Int.random(in: 1...4, using: &random)
            let disk = Self.disk(
                bootstrapped: .random(using: &random),
                highest: Int.random(in: 0...4, using: &random),
                own: Int.random(in: 0...4, using: &random),
                promoted: .random(using: &random),
                demoted: Bool.random(using: &random) ? Int.random(in: 1...4, using: &random) : nil
            )
            let leases: [RoleFacts.Lease] = [.unknown, .mine(term: term), .obtainable(term: 2), .taken(term: 3)]
            let postmasters: [RoleFacts.Postmaster] = [.stopped, .standby, .primary]
            let status = RoleFacts.Status(
                term: Int.random(in: 1...4, using: &random),
                primary: [nil, "a", "b"].randomElement(using: &random) ?? nil,
                members: ["a"],
                isInitialized: .random(using: &random)
            )
            let facts = Self.facts(
                disk,
                Bool.random(using: &random) ? status : nil,
                lease: leases.randomElement(using: &random) ?? .unknown,
                promised: Bool.random(using: &random) ? Int.random(in: 1...4, using: &random) : nil,
                hasPromised: .random(using: &random),
                isNew: .random(using: &random),
                asked: .random(using: &random),
                postmaster: postmasters.randomElement(using: &random) ?? .stopped
            )
            switch RoleMachine.decide(facts) {
            case .promote(let term):
                #expect(facts.lease == .mine(term: term))
                #expect(facts.status?.primary == "a" && facts.status?.term == term)
                #expect(!disk.isDemoted(in: term) && term >= disk.highestTerm)
            case .startPrimary(let term):
                #expect(facts.lease == .mine(term: term) || facts.promisedTerm == term)
                // With no status, or one from before, the own term is the newest that is known.
                let isTold = facts.status.map { $0.term >= disk.highestTerm } ?? false
                #expect(!isTold || facts.status?.primary == "a" && facts.status?.term == term)
                #expect(disk.mayGoOn(in: term) && term == disk.highestTerm)
                #expect(facts.hasAsked || facts.promisedTerm == term)
            case .askOthers:
                #expect(!facts.hasAsked && facts.postmaster != .primary)
                guard case .mine(let term) = facts.lease else {
                    Issue.record("nobody asks without the Lease")
                    continue
                }
                #expect(disk.mayGoOn(in: term) && facts.promisedTerm != term)
            case .takeLease(let term):
                guard case .mine = facts.lease else {
                    #expect(!facts.hasPromised)
                    continue
                }
                #expect(facts.status?.term == term)
            case .initialize(let term):
                #expect(facts.lease == .mine(term: term) && term == 1 && facts.status?.isInitialized == false)
                #expect(!disk.isBootstrapped)
            case .wait(.running):
                guard facts.postmaster == .primary else { continue }
                #expect(!disk.isDemoted(in: disk.ownTerm))
                if case .mine = facts.lease { continue }
                #expect(facts.promisedTerm == disk.ownTerm && facts.lease.newestTerm <= disk.ownTerm)
            case .wait, .noteTerm, .clone, .startStandby, .adopt, .verifyAndFollow, .fence:
                break
            }
        }
    }
}
