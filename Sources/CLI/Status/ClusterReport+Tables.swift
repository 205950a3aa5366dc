internal import ClusterPlanning
internal import Foundation
internal import KubernetesClient
internal import PostgresClusterAPI

extension Table {
    /// The fleet: one line for each cluster.
    static func fleet(_ reports: [ClusterReport], now: Date) -> Table {
        var table = Table([
            "NAMESPACE", "NAME", "READY", "PRIMARY", "NODE", "ZONE", "STATE", "REASON", "LAST MOVE", "GAP",
            .wide("WHY"), .wide("TERM"), .wide("VERSION"), .wide("HOLD"), .wide("AGE"),
        ])
        table.rows = reports.map { report in
            let last = report.lastTransition
            return [
                Cell(report.namespace), Cell(report.name, .strong),
                Cell("\(report.ready)/\(report.wanted)", report.ready < report.wanted ? .warning : .plain),
                Cell(report.primary), Cell(report.primaryNode), Cell(report.primaryZone),
                Cell(report.state, report.stateTone), Cell(report.reason),
                Cell(Age.text(since: last?.finishedAt, now: now).map { "\($0) ago" }),
                Cell(last?.writeGapMilliseconds.map { "\($0) ms" }),
                Cell(last?.reason.rawValue), Cell("\(report.term)"), Cell("\(report.postgresVersion)"),
                Cell(report.hold), Cell(Age.text(since: report.created, now: now)),
            ]
        }
        return table
    }

    /// The instances of one cluster.
    static func instances(_ report: ClusterReport) -> Table {
        var table = Table([
            "INSTANCE", "ROLE", "READY", "NODE", "ZONE", "NODE IS", "BECAUSE", "TIMELINE", "SYNC", "LAG",
            .wide("MEMBER"),
            .wide("NODE'S DEADLINE"),
        ])
        table.rows = report.instances.map { instance in
            let isLeaving = instance.nodeRank == "\(NodeRank.leaving)" || instance.nodeRank == "\(NodeRank.announced)"
            let isPrimary = instance.name == report.primary
            return [
                Cell(instance.name, isPrimary ? .strong : .plain),
                Cell(instance.role ?? (instance.isMember ? nil : "joining")),
                Cell(instance.ready ? "yes" : "no", instance.ready ? .plain : .bad),
                Cell(instance.node), Cell(instance.zone), Cell(instance.nodeRank, isLeaving ? .warning : .plain),
                Cell(instance.nodeSignal), Cell(instance.timeline.map(String.init)), Cell(instance.syncState),
                Cell(instance.lagText, (instance.lagBytes ?? 0) > 0 ? .warning : .plain),
                Cell(instance.isMember ? "yes" : "no"), Cell(instance.evictionDeadline?.rawValue),
            ]
        }
        return table
    }

    /// The conditions of one cluster.
    static func conditions(_ report: ClusterReport, now: Date) -> Table {
        var table = Table(["CONDITION", "STATUS", "REASON", "FOR", "MESSAGE"])
        table.rows = report.conditions.map { condition in
            let isBad = condition.status != (Self.isGoodWhenFalse(condition.type) ? .false : .true)
            return [
                Cell(condition.type.rawValue), Cell(condition.status.rawValue, isBad ? .warning : .good),
                Cell(condition.reason.rawValue), Cell(Age.text(since: condition.lastTransitionTime, now: now)),
                Cell(condition.message),
            ]
        }
        return table
    }

    private static func isGoodWhenFalse(_ type: ConditionType) -> Bool { type == .progressing || type == .degraded }
}

extension ClusterReport {
    /// What a person should read first, before the tables.
    func summary(now: Date) -> [(String, Tone)] {
        var lines: [(String, Tone)] = [
            (
                "\(self.namespace)/\(self.name): PostgreSQL \(self.postgresVersion), term \(self.term), "
                    + "\(self.ready) of \(self.wanted) instances ready", .strong
            )
        ]
        let primary = self.primary.map { "\($0) on \(self.primaryNode ?? "no node")" } ?? "none"
        lines.append(("primary: \(primary)\(self.primaryZone.map { ", zone \($0)" } ?? "")", .plain))
        lines.append(("state: \(self.state)\(self.reason.map { " (\($0))" } ?? "")", self.stateTone))
        if let hold { lines.append(("planned moves are held: \(hold)", .warning)) }
        if let transition {
            let since = Age.text(since: transition.startedAt, now: now).map { ", begun \($0) ago" } ?? ""
            lines.append(
                (
                    "\(transition.kind.rawValue): \(transition.from) to \(transition.to ?? "?"), "
                        + "\(transition.phase.rawValue), because \(transition.reason.rawValue)\(since)", .warning
                )
            )
        }
        if let last = self.lastTransition {
            let since = Age.text(since: last.finishedAt, now: now).map { "\($0) ago" } ?? last.finishedAt.rawValue
            let gap = last.writeGapMilliseconds.map { ", nobody could write for \($0) ms" } ?? ""
            lines.append(
                (
                    "last change: \(last.kind.rawValue) from \(last.from) to \(last.to), "
                        + "\(last.reason.rawValue), \(since)\(gap)", .plain
                )
            )
        }
        if let eviction = self.conditions[.readyForEviction], eviction.status == .false, eviction.reason != .moving {
            let cluster = "\(self.name) -n \(self.namespace)"
            lines.append(("the move is blocked: \(eviction.reason.rawValue): \(eviction.message)", .bad))
            lines.append(("what helps: \(Remedy.text(for: eviction.reason, cluster: cluster))", .plain))
        }
        return lines
    }
}

extension ClusterReport.Instance {
    /// How far its replay is behind, as coarsely as it is known; nil when it does not stream.
    var lagText: String? {
        guard let lagBytes else { return nil }
        let steps = ReplicationLag.steps
        guard let index = steps.firstIndex(of: lagBytes) else { return "\(lagBytes >> 20) MiB" }
        if index == 0 { return "< \(steps[1] >> 20) MiB" }
        return lagBytes >= 1 << 30 ? "> \(lagBytes >> 30) GiB" : "> \(lagBytes >> 20) MiB"
    }
}
