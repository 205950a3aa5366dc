internal import PostgresClusterAPI

/// Who becomes primary in the place of one that is lost, from where those who answer stand.
struct FailoverChoice {
    /// Where each of those who answer stands; the lost primary among them when it is up again.
    var standing: [String: Standstill]
    /// The lost primary.
    var lost: String
    /// What commits rest on.
    var synchronous: Synchronous?
    /// Whether nothing acknowledged may be lost.
    var isRequired: Bool
    /// How far the lost one is known to have written.
    var lastKnownLSN: LSN?
    /// Bytes of WAL that may be lost where nothing better is known.
    var maximumLoss: Int64
    /// Whom a person wants, whatever is missing there.
    var requested: String?
    /// The ranks of their nodes.
    var ranks: [String: NodeRank] = [:]
    /// How long those who answer are still bound by a promise to the lost primary, where that is known: until then they
    /// cannot be promoted.
    var bound: [String: Duration] = [:]

    enum Verdict: Hashable {
        case chosen(String, Standstill)
        case refused(Obstacle)
    }

    func verdict() -> Verdict {
        if let requested, let standing = self.standing[requested] { return .chosen(requested, standing) }
        guard let best = self.standing.max(by: { self.key($0) < self.key($1) }) else {
            return .refused(
                Obstacle(reason: .noSuccessor, message: "no member answers that could become primary")
            )
        }
        if self.isRequired,
            let missing = self.settings.first(where: { $0.count > 0 && !self.isSatisfied($0, by: best.key) })
        {
            return .refused(
                Obstacle(
                    reason: .quorumMissing,
                    message:
                        "\(missing.quorum) of \(missing.standbys.joined(separator: ", ")) must answer so that nothing "
                        + "acknowledged is lost; bring them back, or name one with \(Annotations.failoverTo)"
                )
            )
        }
        let isComplete = self.settings.allSatisfy { $0.count > 0 && self.isSatisfied($0, by: best.key) }
        if !isComplete, let known = self.lastKnownLSN {
            let loss = known.bytes(after: best.value.end)
            if loss > self.maximumLoss {
                return .refused(
                    Obstacle(
                        reason: .lossTooLarge,
                        message: "\(best.key) lacks \(loss) bytes of WAL, failover.maximumLagBytes is "
                            + "\(self.maximumLoss); bring \(self.lost) back, or accept the loss with "
                            + "\(Annotations.failoverTo)"
                    )
                )
            }
        }
        return .chosen(best.key, best.value)
    }

    /// What commits rest on; asynchronous when nothing is said.
    private var settings: [SynchronousSetting] { self.synchronous?.possible ?? [.none] }

    /// Whether one who has every commit that was acknowledged under a setting is among those who answer.
    ///
    /// One whose newest term nobody can tell may have more than the one that seems to be best.
    private func isSatisfied(_ setting: SynchronousSetting, by best: String) -> Bool {
        // The lost primary itself has everything.
        if self.standing[self.lost] != nil { return true }
        return setting.standbys.count { name in
            self.standing[name].map { $0.isTermCertain || name == best } ?? false
        } >= setting.quorum
    }

    /// The newest history first, then the most of it; the same timeline number may come from two terms.
    ///
    /// Among equals the better node, then who may begin soonest.
    private func key(_ entry: (key: String, value: Standstill)) -> (Int64, Int64, UInt64, Int, Duration, String) {
        let (name, standing) = entry
        return (
            standing.timelineTerm, standing.timeline, standing.end.rawValue,
            -(self.ranks[name] ?? .leaving).rawValue, .zero - (self.bound[name] ?? .zero), name
        )
    }
}
