import ClusterPlanning
import Foundation
import KubernetesClient
import PostgresClusterAPI
import Testing

struct WindowTests {
    private static func date(_ text: String) throws -> Date { try #require(Timestamp(rawValue: text).date) }

    @Test(
        "A window opens on its days, at its time, and may last over midnight",
        arguments: [
            // 2027-01-15 is a Friday.
            ([MaintenanceWindow(start: "02:00", durationMinutes: 60)], "2027-01-15T01:59:59Z", "2027-01-15T02:00:00Z"),
            ([MaintenanceWindow(start: "02:00", durationMinutes: 60)], "2027-01-15T02:00:00Z", nil),
            ([MaintenanceWindow(start: "02:00", durationMinutes: 60)], "2027-01-15T03:00:00Z", "2027-01-16T02:00:00Z"),
            (
                [MaintenanceWindow(days: [.friday], start: "23:30", durationMinutes: 90)], "2027-01-16T00:59:00Z",
                nil
            ),
            (
                [MaintenanceWindow(days: [.friday], start: "23:30", durationMinutes: 90)], "2027-01-16T01:00:00Z",
                "2027-01-22T23:30:00Z"
            ),
            (
                [
                    MaintenanceWindow(days: [.sunday, .monday], start: "04:00", durationMinutes: 30),
                    MaintenanceWindow(days: [.saturday], start: "05:00", durationMinutes: 30),
                ], "2027-01-15T12:00:00Z", "2027-01-16T05:00:00Z"
            ),
            ([MaintenanceWindow(days: [], start: "00:00", durationMinutes: 1440)], "2027-01-15T12:00:00Z", nil),
            ([], "2027-01-15T12:00:00Z", nil),
        ] as [([MaintenanceWindow], String, String?)]
    )
    func opening(windows: [MaintenanceWindow], now: String, expected: String?) throws {
        let found = windows.nextOpening(after: try Self.date(now))
        #expect(try found == expected.map { try Self.date($0) })
    }

    @Test("New pods and restarts wait for a window, and nothing else does")
    func waits() throws {
        var facts = makeCluster()
        facts.generation = 5
        for name in facts.pods.keys { facts.pods[name]?.template = "old" }
        facts.template = "new"
        // It opens an hour after the time of the test.
        let opening = testNow.addingTimeInterval(3600)
        let minute = Int(opening.timeIntervalSince1970 / 60) % 1440
        let start = String(format: "%02d:%02d", minute / 60, minute % 60)
        facts.spec.maintenanceWindows = [MaintenanceWindow(start: start, durationMinutes: 60)]
        let waiting = plan(facts)
        #expect(waiting.deletions.isEmpty && !waiting.isRollingOut)
        let wakeAt = try #require(waiting.wakeAt)
        #expect(wakeAt <= opening && wakeAt > opening.addingTimeInterval(-60))
        let condition = waiting.status.conditions[.progressing]
        #expect(condition?.reason == .rolloutWaits)
        #expect(condition?.message.contains("maintenance window that opens at 20") == true)
        #expect(plan(facts, after: 3600).deletions.map(\.instance) == ["orders-3"])
        #expect(plan(facts, after: 7200).deletions.isEmpty)
        // Somebody wants it now.
        facts.isRolloutNow = true
        #expect(plan(facts).deletions.map(\.instance) == ["orders-3"])
        facts.isRolloutNow = false
        // A restart waits as well, a node that leaves does not.
        for name in facts.pods.keys { facts.pods[name]?.template = "new" }
        for name in facts.pods.keys { facts.reports[name]?.settings = SettingsFacts(generation: 5) }
        facts.reports["orders-1"]?.settings?.pendingRestart = ["max_connections"]
        #expect(plan(facts).status.transition == nil)
        #expect(plan(facts, after: 3600).status.transition?.reason == .restartPending)
        facts.cordon("node-a")
        #expect(plan(facts).status.transition?.reason == .nodeCordoned)
    }
}
