public import InstanceAPI
public import PostgresClusterAPI

/// Where the API of a pooler is.
public enum PoolerAPIPath {
    /// `GET`: ``PoolerStatus``.
    public static let status = "/v1/status"
    /// `POST`: ``PauseRequest``, ``PauseResponse``.
    public static let pause = "/v1/pause"
    /// `POST`: ``ResumeRequest``, ``PoolerStatus``.
    public static let resume = "/v1/resume"

    /// No body is longer; bytes.
    public static let maximumBodySize = 64 * 1024
}

/// Asks a pooler to hold its clients while the primary changes: a lease on a pause, which ends by itself.
///
/// Transactions under way go on to their end; what comes after waits. Idempotent: asked again for the same transition,
/// it answers how it is, and the lease does not get longer.
public struct PauseRequest: Codable, Hashable, Sendable {
    /// The term of the primary now.
    public var term: Int64
    /// Names the transition, by when it began: its end, seen in the cluster's status, ends the pause.
    public var transition: String
    /// After so long, from when the request arrives, clients go on, whatever has happened.
    ///
    /// The pooler's own bound is `spec.pooler.maximumPauseSeconds`, the smaller one counts.
    public var leaseMilliseconds: Int64
    /// How long transactions under way get; the answer comes then at the latest.
    public var drainMilliseconds: Int64
    /// What happens when they have not ended by then: under `Wait` all clients go on, under `Abort` the others are
    /// held further, and whoever stops the primary ends them.
    public var longTransactions: LongTransactions

    /// Makes a request.
    public init(
        term: Int64,
        transition: String,
        leaseMilliseconds: Int64,
        drainMilliseconds: Int64,
        longTransactions: LongTransactions
    ) {
        self.term = term
        self.transition = transition
        self.leaseMilliseconds = leaseMilliseconds
        self.drainMilliseconds = drainMilliseconds
        self.longTransactions = longTransactions
    }
}

/// How a pause stands.
public struct PauseResponse: Codable, Hashable, Sendable {
    /// UID of the pooler's pod.
    public var podUID: String
    /// Whether clients are held now.
    public var isPaused: Bool
    /// Whether no transaction is under way any more.
    public var isDrained: Bool
    /// When clients go on by themselves.
    public var remainingMilliseconds: Int64
    /// Transactions under way, at most 32 of them.
    public var running: [RunningTransaction]

    /// Makes an answer.
    public init(
        podUID: String,
        isPaused: Bool,
        isDrained: Bool,
        remainingMilliseconds: Int64,
        running: [RunningTransaction] = []
    ) {
        self.podUID = podUID
        self.isPaused = isPaused
        self.isDrained = isDrained
        self.remainingMilliseconds = remainingMilliseconds
        self.running = running
    }
}

/// A transaction that keeps a pooler from being drained.
public struct RunningTransaction: Codable, Hashable, Sendable {
    /// The database.
    public var database: String
    /// The role.
    public var user: String
    /// Process identifier of the backend.
    public var backend: Int?

    /// Makes it.
    public init(database: String, user: String, backend: Int? = nil) {
        self.database = database
        self.user = user
        self.backend = backend
    }
}

/// Tells a pooler who is primary, and to let its clients go on there.
///
/// Idempotent.
public struct ResumeRequest: Codable, Hashable, Sendable {
    /// The term of that primary.
    public var term: Int64
    /// The primary's instance.
    public var primary: String
    /// The address of its pod.
    public var address: String

    /// Makes a request.
    public init(term: Int64, primary: String, address: String) {
        self.term = term
        self.primary = primary
        self.address = address
    }
}

/// What a pooler says about itself.
public struct PoolerStatus: Codable, Hashable, Sendable {
    /// UID of its pod.
    public var podUID: String
    /// The highest term it has seen.
    public var term: Int64
    /// Whether clients are held.
    public var isPaused: Bool
    /// The instance that its connections lead to, nil before it knows one.
    public var primary: String?
    /// The address of that instance.
    public var address: String?
    /// Whether PgBouncer runs.
    public var isRunning: Bool
    /// The certificates that it uses; nil before PgBouncer has loaded any, and from versions that do not say.
    public var certificates: LoadedCertificates?

    /// Makes a status.
    public init(
        podUID: String,
        term: Int64,
        isPaused: Bool,
        primary: String?,
        address: String?,
        isRunning: Bool,
        certificates: LoadedCertificates? = nil
    ) {
        self.podUID = podUID
        self.term = term
        self.isPaused = isPaused
        self.primary = primary
        self.address = address
        self.isRunning = isRunning
        self.certificates = certificates
    }
}
