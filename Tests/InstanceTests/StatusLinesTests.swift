import InstanceAPI
import PostgresClusterAPI
import Testing

@testable import Instance

@Suite
struct StatusLinesTests {
    private func status(_ role: InstanceStatus.Role = .primary, at position: UInt64) -> InstanceStatus {
        InstanceStatus(
            instance: "db-1",
            podUID: "uid",
            incarnation: "abc",
            term: 3,
            role: role,
            state: .running,
            currentLSN: role == .primary ? LSN(rawValue: position) : nil,
            lease: InstanceStatus.Lease(held: true, term: 3, expiresInMilliseconds: Int64(position)),
            replication: [
                InstanceStatus.Standby(
                    name: "db-2",
                    state: "streaming",
                    syncState: "async",
                    replayLSN: LSN(rawValue: position)
                )
            ]
        )
    }

    private func text(_ line: StatusLines.Line) -> String {
        switch line {
        case .status(let status): "status \(status.term) \(status.currentLSN?.description ?? "-")"
        case .position(let position): "position \(position)"
        case .empty: "empty"
        }
    }

    @Test
    func `on a brief stream a primary that only writes says how far`() {
        let lines = StatusLines(isBrief: true)
        lines.send(self.status(at: 1))
        lines.send(self.status(at: 2))
        #expect(self.text(lines.next()) == "status 3 0/2")
        #expect(self.text(lines.next()) == "empty")
        lines.send(self.status(at: 3))
        lines.send(self.status(at: 4))
        #expect(self.text(lines.next()) == "position 0/4")
        lines.send(self.status(at: 5), isComplete: true)
        #expect(self.text(lines.next()) == "status 3 0/5")
    }

    @Test
    func `any other change is said whole, with the newest position`() {
        let lines = StatusLines(isBrief: true)
        lines.send(self.status(at: 1))
        _ = lines.next()
        var changed = self.status(at: 2)
        changed.term = 4
        lines.send(changed)
        changed.currentLSN = LSN(rawValue: 3)
        lines.send(changed)
        #expect(self.text(lines.next()) == "status 4 0/3")
        var demoted = self.status(.demoted, at: 4)
        demoted.term = 4
        lines.send(demoted)
        #expect(self.text(lines.next()) == "status 4 -")
    }

    @Test
    func `who has not asked for brief positions is told all`() {
        let lines = StatusLines()
        for position: UInt64 in 1...3 {
            lines.send(self.status(at: position))
            #expect(self.text(lines.next()) == "status 3 0/\(position)")
        }
    }
}
