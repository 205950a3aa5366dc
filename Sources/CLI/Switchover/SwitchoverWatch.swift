internal import Foundation
internal import KubernetesClient
internal import PostgresClusterAPI

/// Tells how far a switchover is that was asked for.
struct SwitchoverWatch: Sendable, Hashable {
    enum Verdict: Sendable, Hashable {
        /// Not over yet; how it stands, for people.
        case waiting(String)
        /// Somebody else is primary now.
        case done(String)
        /// It has come to another end.
        case failed(String)
        /// Nothing has begun within the time.
        case refused(String)
    }

    /// The primary, and its term, when it was asked for.
    let primary: String
    let term: Int64
    /// Who should be primary; nil for anybody.
    let to: String?
    /// Until when it must have begun.
    let giveUpAt: Date

    /// The value of the annotation that asks for it.
    var request: String { "\(self.to ?? "")@\(self.term)" }

    func look(_ cluster: PostgresCluster, now: Date) -> Verdict {
        guard let status = cluster.status else { return .waiting("no status") }
        if let transition = status.transition, transition.phase > .preparing || status.term > self.term {
            return .waiting("\(transition.from) to \(transition.to ?? "?"): \(transition.phase.rawValue)")
        }
        if status.term > self.term {
            guard let now = status.primary, now != self.primary else {
                let reason = status.lastTransition?.reason.rawValue ?? "taken back"
                return .failed("\(self.primary) is primary again: \(reason)")
            }
            if let to, now != to { return .failed("\(now) is primary, not \(to)") }
            return .done(now)
        }
        let text: String
        if let transition = status.transition {
            text = "\(transition.from) to \(transition.to ?? "?"): \(transition.phase.rawValue)"
        } else if let condition = status.conditions[.readyForEviction], condition.status == .false,
            condition.reason != .moving
        {
            text = "\(condition.reason.rawValue): \(condition.message)"
        } else {
            text = "the operator has not begun"
        }
        return now >= self.giveUpAt ? .refused(text) : .waiting(text)
    }
}
