import InstanceAPI
import PostgresClusterAPI
import Testing

@testable import Fleet

@Suite(.timeLimit(.minutes(1)))
struct FleetClusterTests {
    private func cluster() -> FleetCluster {
        var cluster = FleetCluster()
        var status = PostgresClusterStatus()
        status.term = 1
        status.primary = "db-1"
        status.members = ["db-1"]
        _ = cluster.observed(status)
        let makesDatabase = ["db-1", "db-2"].map { cluster.started(self.instance($0)) }
        #expect(makesDatabase == [true, false])
        _ = cluster.promoted("db-1", term: 1, at: 0)
        status.systemIdentifier = cluster.report(of: "db-1")?.systemIdentifier
        _ = cluster.observed(status)
        return cluster
    }

    private func instance(_ name: String) -> FleetInstance {
        FleetInstance(
            name: name,
            podUID: "uid-\(name)",
            address: "127.64.0.1",
            identity: FleetIdentity(authority: "", certificate: "", key: "")
        )
    }

    @Test
    func `the first instance makes the database, and the others stream from it`() {
        var cluster = self.cluster()
        let (primary, replica) = (cluster.report(of: "db-1"), cluster.report(of: "db-2"))
        #expect(primary?.role == .primary)
        #expect(primary?.timeline == 1)
        #expect(primary?.replication?.map(\.name) == ["db-2"])
        #expect(replica?.streaming == true)
        #expect(replica?.upstream == "db-1")
        #expect(replica?.replayedLSN == primary?.currentLSN)
    }

    @Test
    func `a primary says whom it has taken note of when that changes, and only then`() {
        var cluster = self.cluster()
        var status = PostgresClusterStatus()
        status.term = 1
        status.primary = "db-1"
        status.members = ["db-1"]
        status.joining = ["db-2"]
        status.systemIdentifier = "1"
        let (first, second) = (cluster.observed(status), cluster.observed(status))
        let report = cluster.report(of: "db-1")
        #expect(first == ["db-1"])
        #expect(second.isEmpty)
        #expect(report?.fence?.acknowledgedMembers?.joining == ["db-2"])
    }

    @Test
    func `a switchover ends one term and begins another on a new timeline`() {
        var cluster = self.cluster()
        let wrong = cluster.demote("db-1", term: 2)
        let (demoted, again) = (cluster.demote("db-1", term: 1), cluster.demote("db-1", term: 1))
        let stopped = cluster.report(of: "db-1")
        #expect(wrong == nil)
        #expect(demoted != nil)
        #expect(demoted == again)
        #expect(stopped?.role == .demoted)
        #expect(cluster.position == demoted?.shutdownLSN)
        let promoted = cluster.promoted("db-2", term: 2, at: 0)
        let (old, new) = (cluster.report(of: "db-1"), cluster.report(of: "db-2"))
        #expect(promoted.timeline == 2)
        #expect(new?.role == .primary)
        #expect(old?.role == .replica)
        #expect(old?.timeline == 2)
    }

    @Test
    func `the end of an older pod does not end its successor`() {
        var cluster = self.cluster()
        cluster.stopped("db-2", podUID: "another")
        let before = cluster.report(of: "db-2")
        cluster.stopped("db-2", podUID: "uid-db-2")
        let after = cluster.report(of: "db-2")
        #expect(before != nil)
        #expect(after == nil)
    }
}
