/// A rule of the fence or of the switchover that is broken on purpose, to see that the simulator notices.
public enum Mutation: String, CaseIterable, Sendable {
    /// A primary goes on writing although its deadline is over.
    case noSelfStop
    /// A Lease that somebody holds is taken at once, not watched for a whole duration.
    case leaseNotWatched
    /// The status is not read again after the Lease was taken.
    case statusNotReadAgain
    /// A demotion is not on disk before PostgreSQL stops.
    case demotionNotPersisted
    /// A standby follows whoever is primary, without a look at the terms of the promotions.
    case termsNotCompared
    /// A standby follows whoever is primary, without a look at where its log ends.
    case positionsNotCompared
    /// The budgets are changed, but nobody waits until the disruption controller has seen it.
    case freezeNotAwaited
    /// A candidate becomes primary without having replayed the end of the old primary's log.
    case endNotAwaited
    /// The new primary is labelled before the old one has lost its label.
    case labelsReversed
    /// The deadline is counted from the answer, not from before the question.
    case deadlineFromAnswer
    /// An instance is promoted although its own promise to an older primary has not lapsed.
    case ownPromiseIgnored
    /// A restarted instance does not assume that it had just promised.
    case promiseForgotten
    /// A promise is counted from when it was given.
    case promiseFromAnswer
    /// A give-back cancels whatever was asked, also what was asked after it.
    case giveBackWithoutNumber
    /// One that joins may be promoted before the primary has said that it needs its promise.
    case joiningNotAcknowledged
    /// A promise is given to a primary of an older term, too.
    case staleTermPromised
    /// A changed Lease duration counts at once, also a shorter one.
    case durationForgotten
    /// A new setting of who acknowledges commits takes the place of the old one before the primary has applied it.
    case synchronousForgotten
    /// A failover does not ask for enough of those who may have acknowledged the last commits.
    case quorumNotAwaited
    /// A failover takes the Lease although the lost primary may still write.
    case fenceNotAwaited
    /// A failover takes place whatever is lost.
    case lossNotBounded
    /// A status is written over whatever there is by now.
    case statusOverwritten
    /// Nobody stops PostgreSQL when the supervisor is stopped.
    case noWatchdog
}

extension Mutation {
    /// What has to go wrong for the rule to matter, and whether decisions have to be mad, too.
    var focus: Focus {
        let cuts: [Fault] = [.machineCutOff, .controlPlaneCutOff, .peersCutOff, .pairCutOff, .oneWayCutOff]
        switch self {
        case .noSelfStop: return Focus(faults: cuts + [.supervisorFrozen], isOperatorMad: true)
        case .noWatchdog: return Focus(faults: [.supervisorFrozen], isOperatorMad: true)
        case .leaseNotWatched:
            return Focus(faults: [.peersCutOff, .pairCutOff, .supervisorFrozen, .messagesLate], isOperatorMad: true)
        case .statusNotReadAgain: return Focus(faults: [.watchLags, .messagesLate, .pairCutOff], isOperatorMad: true)
        case .demotionNotPersisted:
            // It comes back while the candidate has yet to say that it has everything.
            return Focus(faults: [.nodeCordoned, .instanceKilled, .instanceKilled, .messagesLate], pause: 600)
        case .termsNotCompared:
            return Focus(
                faults: [.instanceKilled, .supervisorFrozen, .machineCutOff, .machineCrashed],
                isOperatorMad: true
            )
        case .positionsNotCompared:
            return Focus(faults: [.instanceKilled, .machineCutOff, .machineCrashed], isOperatorMad: true)
        case .freezeNotAwaited: return Focus(faults: [.nodeCordoned, .everythingEvicted])
        case .endNotAwaited: return Focus(faults: [.nodeCordoned, .peersCutOff, .pairCutOff, .messagesLate])
        case .labelsReversed: return Focus(faults: [.nodeCordoned])
        case .deadlineFromAnswer, .promiseFromAnswer:
            return Focus(faults: cuts + [.messagesLate, .messagesLate], isOperatorMad: true)
        case .ownPromiseIgnored: return Focus(faults: [.machineCutOff], isOperatorMad: true, pause: 8000)
        case .promiseForgotten: return Focus(faults: [.controlPlaneCutOff, .instanceKilled], isOperatorMad: true)
        case .giveBackWithoutNumber:
            return Focus(faults: [.messagesLate, .controlPlaneCutOff, .postgresKilled], isOperatorMad: true)
        case .joiningNotAcknowledged:
            return Focus(faults: [.apiCutOff, .scaled, .peersCutOff, .machineCutOff], isOperatorMad: true, pause: 5000)
        case .durationForgotten: return Focus(faults: cuts + [.durationChanged, .durationChanged], isOperatorMad: true)
        case .synchronousForgotten:
            return Focus(faults: [.messagesLate, .instanceKilled, .machineCrashed], isSynchronous: true)
        case .quorumNotAwaited:
            return Focus(faults: cuts + [.instanceKilled, .machineCrashed, .operatorCutOff], isSynchronous: true)
        case .fenceNotAwaited: return Focus(faults: [.machineCutOff, .controlPlaneCutOff], pause: 5000)
        case .lossNotBounded:
            return Focus(faults: [.machineCrashed, .machineCutOff, .peersCutOff, .peersCutOff], pause: 4000)
        case .statusOverwritten: return Focus(faults: [.twoLeaders, .operatorCutOff, .watchLags, .nodeCordoned])
        case .staleTermPromised: return Focus(faults: [.controlPlaneCutOff, .machineCutOff], isOperatorMad: true)
        }
    }
}
