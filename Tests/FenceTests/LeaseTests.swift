import JSON
import PostgresClusterAPI
import Testing

@testable import Fence

@Suite
struct LeaseTests {
    private static let second: UInt64 = 1_000_000_000

    private func observe(
        _ holder: String?,
        givenBackIn term: Int? = nil,
        seconds: UInt64,
        isNew: Bool = false
    ) -> RoleFacts.Lease {
        var lease = PrimaryLease(cluster: "db", namespace: "x")
        lease.document[path: ["spec"]] = ["holderIdentity": .string(holder ?? ""), "leaseDurationSeconds": 20]
        if let term { lease.annotate(Annotations.shutdownTerm, String(term)) }
        let observation = LeaseObservation(
            lease: holder == nil ? nil : lease,
            since: BootTime(nanoseconds: 100 * Self.second)
        )
        return observation.state(
            instance: "db-1",
            podUID: "u",
            duration: .seconds(15),
            isNewCluster: isNew,
            now: BootTime(nanoseconds: (100 + seconds) * Self.second)
        )
    }

    @Test
    func aLeaseThatWasGivenBackIsToBeHadAtOnce() {
        #expect(self.observe("", givenBackIn: 3, seconds: 0) == .obtainable(term: 3))
    }

    @Test
    func aLeaseMadeAnewIsWatchedAsIfItWereMissing() {
        #expect(self.observe("", seconds: 19) == .taken(term: 0))
        #expect(self.observe("", seconds: 20) == .obtainable(term: 0))
        #expect(self.observe("", seconds: 0, isNew: true) == .obtainable(term: 0))
    }

    @Test
    func aHeldLeaseIsWatchedForTheLongerDuration() {
        #expect(self.observe("db-2/x/n/4", seconds: 16) == .taken(term: 4))
        #expect(self.observe("db-2/x/n/4", seconds: 20) == .obtainable(term: 4))
        #expect(self.observe("stranger", seconds: 19) == .taken(term: 0))
    }

    @Test
    func anEarlierLifeInTheSamePodIsOver() {
        #expect(self.observe("db-1/u/old/4", seconds: 0) == .obtainable(term: 4))
        #expect(self.observe("db-1/other-pod/old/4", seconds: 0) == .taken(term: 4))
    }

    @Test
    func theOperatorKeepsItsPlaceForWhomeverStatusNames() {
        #expect(self.observe("drover-operator/op-1/n/4", seconds: 0) == .obtainable(term: 4))
    }

    @Test
    func aMissingLeaseCountsAsHeldUnlessThereNeverWasAPrimary() {
        #expect(self.observe(nil, seconds: 14) == .taken(term: 0))
        #expect(self.observe(nil, seconds: 15) == .obtainable(term: 0))
        #expect(self.observe(nil, seconds: 0, isNew: true) == .obtainable(term: 0))
    }

    @Test
    func theHolderNamesOneIncarnation() {
        let holder = LeaseHolder(instance: "db-1", podUID: "u", nonce: "n", term: 3)
        #expect(LeaseHolder(holder.description) == holder)
        for text in ["", "a/b/c", "a/b/c/0", "a/b/c/x", "a//c/1", "a/b/c/1/2"] {
            #expect(LeaseHolder(text) == nil)
        }
    }

    @Test
    func givingBackKeepsWhatOthersWrote() {
        var lease = PrimaryLease(cluster: "db", namespace: "x")
        lease.annotate("other", "kept")
        let holder = LeaseHolder(instance: "db-1", podUID: "u", nonce: "n", term: 3)
        lease.hold(by: holder, duration: .seconds(15), now: "t")
        lease.giveBack(shutdownLSN: LSN(rawValue: 0x5000028), by: holder, newestAsk: 12, now: "t")
        #expect(lease.holderIdentity.isEmpty)
        #expect(lease.givenBack?.holder == holder && lease.givenBack?.ask == 12)
        #expect(lease.shutdownLSN == LSN(rawValue: 0x5000028))
        #expect(lease.term == 3)
        #expect(lease.annotation("other") == "kept")
        // The next holder begins its own life.
        lease.hold(
            by: LeaseHolder(instance: "db-2", podUID: "v", nonce: "m", term: 4),
            duration: .seconds(15),
            now: "t"
        )
        #expect(lease.shutdownLSN == nil && lease.givenBack == nil)
        #expect(lease.document[path: ["spec", "leaseTransitions"]] == 2)
    }
}
