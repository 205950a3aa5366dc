public import PostgresClusterAPI
public import struct Foundation.Date

/// Something to ask of an instance.
///
/// Every one may be asked again: it then does, or answers, the same.
public enum InstanceCall: Sendable, Hashable {
    /// `CHECKPOINT`, so many times; answers with the position of the log afterwards.
    case checkpoint(instance: String, count: Int)
    /// Get ready to become primary: reserve slots for these instances.
    case prepare(instance: String, term: Int64, slots: [String])
    /// Load what is hot on that primary, as far as time allows.
    case warm(instance: String, primary: String, term: Int64)
    /// Wait until this has been replayed.
    case awaitReplay(instance: String, lsn: LSN)
    /// Stop being primary in this term; answers with the end of the shutdown checkpoint record.
    case demote(instance: String, term: Int64)
    /// Become primary in this term, if so much has been replayed.
    case promote(instance: String, term: Int64, minimumLSN: LSN?)
    /// Say what speaks against a planned stop; answers with an ``Inspection``.
    case inspect(instance: String)
    /// Say how things are right now; answers with ``InstanceFacts``.
    case hear(instance: String)
    /// Promise nothing more to primaries of terms before this one; answers with what is promised still.
    case withhold(instance: String, term: Int64)
    /// Receive nothing more from primaries of terms before this one; answers with a ``Standstill``.
    case standstill(instance: String, term: Int64)
    /// Start PostgreSQL again in place where settings wait for that.
    case restart(instance: String, term: Int64, asPrimary: Bool)

    /// Whom it is asked of.
    public var instance: String {
        switch self {
        case .checkpoint(let instance, _), .prepare(let instance, _, _), .warm(let instance, _, _),
            .awaitReplay(let instance, _), .demote(let instance, _), .promote(let instance, _, _),
            .inspect(let instance),
            .hear(let instance), .withhold(let instance, _), .standstill(let instance, _),
            .restart(let instance, _, _):
            instance
        }
    }
}

/// How a call stands.
///
/// The shell keeps this in memory only: a leader that knows nothing asks again.
public enum CallState: Sendable, Hashable {
    /// Under way.
    case running
    /// Done; with a position of the log when the call answers with one.
    case done(LSN?)
    /// Done, with an answer that is good until then.
    case answered(CallAnswer, until: Date)
    /// Failed, and may be tried again from then on.
    case failed(reason: String, retryAt: Date)

    /// Whether it is done.
    public var isDone: Bool {
        switch self {
        case .done, .answered: true
        case .running, .failed: false
        }
    }
}

/// What a call answers that is more than a position of the log.
public enum CallAnswer: Sendable, Hashable {
    /// To ``InstanceCall/inspect(instance:)``.
    case inspected(Inspection)
    /// To ``InstanceCall/hear(instance:)``.
    case heard(InstanceFacts)
    /// To ``InstanceCall/withhold(instance:term:)``: for how long something is promised yet to an older primary; zero
    /// when nothing is, or it was given back.
    case withheld(promiseExpiresIn: Duration)
    /// To ``InstanceCall/standstill(instance:term:)``.
    case standingStill(Standstill)
    /// To ``InstanceCall/restart(instance:term:asPrimary:)``: PostgreSQL has stopped, or had no need to.
    case restarting
}

/// Where a replica is that receives nothing any more.
public struct Standstill: Sendable, Hashable {
    /// The timeline of its newest WAL.
    public var timeline: Int64
    /// The term under which that timeline began: two promotions may have picked the same number.
    ///
    /// When it does not know, because it streamed across a promotion that it had no time to take note of, the newest term
    /// that it knows of its history: it began in that one, or later.
    public var timelineTerm: Int64
    /// Whether ``timelineTerm`` is that of the timeline itself.
    public var isTermCertain: Bool
    /// The end of its WAL, replayed or not.
    public var end: LSN
    /// PostgreSQL's system identifier.
    public var systemIdentifier: String?

    /// Makes it.
    public init(
        timeline: Int64,
        timelineTerm: Int64,
        isTermCertain: Bool = true,
        end: LSN,
        systemIdentifier: String? = nil
    ) {
        self.timeline = timeline
        self.timelineTerm = timelineTerm
        self.isTermCertain = isTermCertain
        self.end = end
        self.systemIdentifier = systemIdentifier
    }
}
