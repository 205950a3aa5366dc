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
}

extension Mutation {
    /// What has to go wrong for the rule to matter, and whether decisions have to be mad, too.
    var focus: (faults: [Fault], isOperatorMad: Bool) {
        let cuts: [Fault] = [.machineCutOff, .controlPlaneCutOff, .peersCutOff, .pairCutOff, .oneWayCutOff]
        switch self {
        case .noSelfStop: return (cuts + [.supervisorFrozen], true)
        case .leaseNotWatched: return ([.peersCutOff, .pairCutOff, .supervisorFrozen, .messagesLate], true)
        case .statusNotReadAgain: return ([.watchLags, .messagesLate, .pairCutOff], true)
        case .demotionNotPersisted: return ([.nodeCordoned, .instanceKilled, .nodeDrained], false)
        case .termsNotCompared: return ([.instanceKilled, .supervisorFrozen, .machineCutOff, .machineCrashed], true)
        case .positionsNotCompared: return ([.instanceKilled, .machineCutOff, .machineCrashed], true)
        case .freezeNotAwaited: return ([.nodeCordoned, .everythingEvicted], false)
        case .endNotAwaited: return ([.nodeCordoned, .peersCutOff, .pairCutOff, .messagesLate], false)
        case .labelsReversed: return ([.nodeCordoned], false)
        case .deadlineFromAnswer: return (cuts + [.messagesLate, .messagesLate], true)
        case .ownPromiseIgnored: return ([.controlPlaneCutOff, .apiDown], true)
        case .promiseForgotten: return ([.controlPlaneCutOff, .instanceKilled], true)
        case .promiseFromAnswer: return (cuts + [.messagesLate, .messagesLate], true)
        case .giveBackWithoutNumber: return ([.messagesLate, .controlPlaneCutOff, .postgresKilled], true)
        case .joiningNotAcknowledged: return ([.watchLags, .controlPlaneCutOff, .podDeleted], true)
        case .staleTermPromised: return ([.controlPlaneCutOff, .machineCutOff], true)
        }
    }
}
