public import PostgresClusterAPI

extension InstanceAPIPath {
    /// `POST` by the primary to another instance: ``PromiseRequest``, ``PromiseResponse``.
    public static let promise = "/v1/promise"
    /// `POST` by the primary to another instance: ``ReleaseRequest``, ``ReleaseResponse``.
    public static let release = "/v1/release"
    /// `POST` by the operator: ``WithholdRequest``, ``WithholdResponse``.
    public static let withhold = "/v1/withhold"
    /// `POST` by the operator: ``StandstillRequest``, ``StandstillResponse``.
    public static let standstill = "/v1/standstill"
}

/// The primary of a term asks another instance for its word not to be promoted for a while.
///
/// The primary counts the promise from **before** it sent this, the other one from when it arrived. Refused with
/// ``InstanceAPIReason/staleTerm``, ``InstanceAPIReason/withheld``, ``InstanceAPIReason/isPrimary`` or
/// ``InstanceAPIReason/promised``.
public struct PromiseRequest: Codable, Hashable, Sendable {
    /// The term of the primary.
    public var term: Int64
    /// Who asks; the name in its certificate.
    public var primary: String
    /// The pod of the one that asks: of two lives in one pod the older is over.
    public var podUID: String
    /// The life of the one that asks.
    public var incarnation: String
    /// Grows with every ask of one life.
    public var ask: Int64
    /// For how long.
    public var durationMilliseconds: Int64
    /// The members as the primary knows them.
    public var members: [String]
    /// Those on their way to become members, as the primary knows them.
    public var joining: [String]

    /// Makes a request.
    public init(
        term: Int64,
        primary: String,
        podUID: String,
        incarnation: String,
        ask: Int64,
        durationMilliseconds: Int64,
        members: [String],
        joining: [String]
    ) {
        self.term = term
        self.primary = primary
        self.podUID = podUID
        self.incarnation = incarnation
        self.ask = ask
        self.durationMilliseconds = durationMilliseconds
        self.members = members
        self.joining = joining
    }
}

/// The word is given.
public struct PromiseResponse: Codable, Hashable, Sendable {
    /// The term of the request.
    public var term: Int64
    /// Who gives it.
    public var instance: String
    /// The life of the one that gives it.
    public var incarnation: String
    /// The ask it answers.
    public var ask: Int64

    /// Makes an answer.
    public init(term: Int64, instance: String, incarnation: String, ask: Int64) {
        self.term = term
        self.instance = instance
        self.incarnation = incarnation
        self.ask = ask
    }
}

/// The primary of a term no longer needs what was promised to it, because it has stopped accepting writes.
public struct ReleaseRequest: Codable, Hashable, Sendable {
    /// The term of the primary.
    public var term: Int64
    /// Who gives back.
    public var primary: String
    /// The life of the one that gives back.
    public var incarnation: String
    /// The newest ask that it sent to this instance: this and every older one is cancelled, also those that arrive later.
    public var ask: Int64
    /// The life of the instance that gave the newest promise; nil when none was given.
    ///
    /// When it is the present one, then whatever an earlier life of the same instance may have promised is cancelled too.
    public var grantor: String?

    /// Makes a request.
    public init(term: Int64, primary: String, incarnation: String, ask: Int64, grantor: String? = nil) {
        self.term = term
        self.primary = primary
        self.incarnation = incarnation
        self.ask = ask
        self.grantor = grantor
    }
}

/// The promise is cancelled.
public struct ReleaseResponse: Codable, Hashable, Sendable {
    /// Who is released.
    public var instance: String
    /// Its life.
    public var incarnation: String
    /// What is still promised to anybody, 0 for nothing.
    public var promiseExpiresInMilliseconds: Int64

    /// Makes an answer.
    public init(instance: String, incarnation: String, promiseExpiresInMilliseconds: Int64) {
        self.instance = instance
        self.incarnation = incarnation
        self.promiseExpiresInMilliseconds = promiseExpiresInMilliseconds
    }
}

/// Prepares a failover: from now on nothing is promised to the primary of an older term.
///
/// It ends when a term at least as new is seen, when it is withdrawn, and with the life of the instance: one that
/// answers with another incarnation must be asked again.
public struct WithholdRequest: Codable, Hashable, Sendable {
    /// The **new** term that is being prepared.
    public var term: Int64
    /// Takes a request for this or an older term back.
    public var withdraw: Bool

    /// Makes a request.
    public init(term: Int64, withdraw: Bool = false) {
        self.term = term
        self.withdraw = withdraw
    }

    /// Reads a request; without `withdraw` it withholds.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.term = try container.decode(Int64.self, forKey: .term)
        self.withdraw = try container.decodeIfPresent(Bool.self, forKey: .withdraw) ?? false
    }
}

/// What an instance that withholds its promises has promised before.
public struct WithholdResponse: Codable, Hashable, Sendable {
    /// Who answers.
    public var instance: String
    /// Its life.
    public var incarnation: String
    /// The highest term it has seen.
    public var highestTerm: Int64
    /// The term for which promises are withheld, nil when they are not.
    public var withheldTerm: Int64?
    /// What is still promised to primaries of terms older than the request's; 0 when nothing is, or it was given back.
    ///
    /// After a restart it is assumed that a promise had just been given.
    public var promiseExpiresInMilliseconds: Int64
    /// When a primary asked last, whatever the answer was; nil when none did in this life.
    public var lastAskAgoMilliseconds: Int64?
    /// How long this life has lasted.
    public var aliveForMilliseconds: Int64

    /// Makes an answer.
    public init(
        instance: String,
        incarnation: String,
        highestTerm: Int64,
        withheldTerm: Int64?,
        promiseExpiresInMilliseconds: Int64,
        lastAskAgoMilliseconds: Int64?,
        aliveForMilliseconds: Int64
    ) {
        self.instance = instance
        self.incarnation = incarnation
        self.highestTerm = highestTerm
        self.withheldTerm = withheldTerm
        self.promiseExpiresInMilliseconds = promiseExpiresInMilliseconds
        self.lastAskAgoMilliseconds = lastAskAgoMilliseconds
        self.aliveForMilliseconds = aliveForMilliseconds
    }
}

/// Stops a replica's WAL receiver, and keeps it from receiving anything from a primary of an older term, ever again.
///
/// The instance remembers that on its disk. Refused with ``InstanceAPIReason/staleTerm`` when it has seen a newer
/// term, and with ``InstanceAPIReason/notReplica`` when it accepts writes.
public struct StandstillRequest: Codable, Hashable, Sendable {
    /// The **new** term that is being prepared: only its primary, or a later one's, may be followed from now on.
    public var term: Int64

    /// Makes a request.
    public init(term: Int64) { self.term = term }
}

/// Where a replica stands that receives nothing any more.
public struct StandstillResponse: Codable, Hashable, Sendable {
    /// One change of timeline in its history, with the term under which it was made.
    public struct Promotion: Codable, Hashable, Sendable {
        /// The term.
        public var term: Int64
        /// The timeline that began.
        public var timeline: Int64
        /// Where it began.
        public var switchLSN: LSN

        /// Makes a promotion.
        public init(term: Int64, timeline: Int64, switchLSN: LSN) {
            self.term = term
            self.timeline = timeline
            self.switchLSN = switchLSN
        }
    }

    /// Who answers.
    public var instance: String
    /// Its life.
    public var incarnation: String
    /// The term of the request.
    public var term: Int64
    /// PostgreSQL's system identifier.
    public var systemIdentifier: String
    /// The timeline of its newest WAL.
    public var timeline: Int64
    /// What it has received; nil when it has received nothing since PostgreSQL started.
    public var receivedLSN: LSN?
    /// What it has replayed.
    public var replayedLSN: LSN?
    /// The end of its WAL, the greater of both; nothing will be added to it.
    public var end: LSN
    /// Its history, oldest first.
    public var promotions: [Promotion]

    /// Makes an answer.
    public init(
        instance: String,
        incarnation: String,
        term: Int64,
        systemIdentifier: String,
        timeline: Int64,
        receivedLSN: LSN?,
        replayedLSN: LSN?,
        end: LSN,
        promotions: [Promotion]
    ) {
        self.instance = instance
        self.incarnation = incarnation
        self.term = term
        self.systemIdentifier = systemIdentifier
        self.timeline = timeline
        self.receivedLSN = receivedLSN
        self.replayedLSN = replayedLSN
        self.end = end
        self.promotions = promotions
    }
}
