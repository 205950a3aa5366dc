public import PostgresClusterAPI

/// What an instance says about itself: the answer of `GET /v1/status` and each line of `GET /v1/status/stream`.
public struct InstanceStatus: Codable, Hashable, Sendable {
    /// Name of the instance.
    public var instance: String
    /// UID of its pod.
    public var podUID: String
    /// Random, new with every start of the supervisor: two answers with different incarnations are of different lives.
    public var incarnation: String
    /// The highest term it has seen.
    public var term: Int64
    /// What PostgreSQL is now.
    public var role: Role
    /// What the supervisor is doing.
    public var state: State
    /// PostgreSQL's timeline, nil before there is a data directory.
    public var timeline: Int64?
    /// PostgreSQL's system identifier, nil before there is a data directory.
    public var systemIdentifier: String?
    /// The postmaster's process, nil while none runs.
    public var postmasterPID: Int32?
    /// On a replica: the end of what it has received and flushed; nil when it never received anything.
    public var receivedLSN: LSN?
    /// On a replica: the end of what it has replayed.
    public var replayedLSN: LSN?
    /// On a primary: the end of what it has written.
    public var currentLSN: LSN?
    /// On a replica: the instance it follows.
    public var upstream: String?
    /// On a replica: whether it receives WAL right now.
    public var streaming: Bool
    /// Whether a changed setting waits for a restart.
    public var pendingRestart: Bool
    /// The term in which it was demoted last and never again starts read-write.
    public var demotedTerm: Int64?
    /// End of its last shutdown checkpoint record, while it is stopped after a demotion.
    public var shutdownLSN: LSN?
    /// What it knows about the primary Lease.
    public var lease: Lease?
    /// What keeps it from doing its work, nil when nothing does.
    public var problem: Problem?
    /// The preparation for becoming primary, nil when none was asked for.
    public var prepare: Preparation?
    /// Whether it has been told to stop.
    public var terminating: Bool
    /// What it has promised, and what was promised to it.
    public var fence: Fence?
    /// PostgreSQL ended without being told to, and has not come back since.
    public var exit: Exit?
    /// On a primary: what `synchronous_standby_names` says.
    public var synchronous: Synchronous?
    /// On a primary: who receives WAL from it; a few seconds old at most.
    public var replication: [Standby]?
    /// On a primary that archives: how that goes.
    public var archive: Archive?
    /// On a primary: the number of prepared transactions.
    public var preparedTransactions: Int?
    /// On a primary: the number of connected logical senders.
    public var logicalSenders: Int?
    /// The certificates that it uses; nil before it has loaded any, and from versions that do not say.
    public var certificates: LoadedCertificates?
    /// How far the settings are as declared; nil in the words of a version that does not tell.
    public var settings: Settings?

    /// Makes a status; what does not apply stays nil.
    public init(
        instance: String,
        podUID: String,
        incarnation: String,
        term: Int64,
        role: Role,
        state: State,
        timeline: Int64? = nil,
        systemIdentifier: String? = nil,
        postmasterPID: Int32? = nil,
        receivedLSN: LSN? = nil,
        replayedLSN: LSN? = nil,
        currentLSN: LSN? = nil,
        upstream: String? = nil,
        streaming: Bool = false,
        pendingRestart: Bool = false,
        demotedTerm: Int64? = nil,
        shutdownLSN: LSN? = nil,
        lease: Lease? = nil,
        problem: Problem? = nil,
        prepare: Preparation? = nil,
        terminating: Bool = false,
        fence: Fence? = nil,
        exit: Exit? = nil,
        synchronous: Synchronous? = nil,
        replication: [Standby]? = nil,
        archive: Archive? = nil,
        preparedTransactions: Int? = nil,
        logicalSenders: Int? = nil,
        certificates: LoadedCertificates? = nil,
        settings: Settings? = nil
    ) {
        self.instance = instance
        self.podUID = podUID
        self.incarnation = incarnation
        self.term = term
        self.role = role
        self.state = state
        self.timeline = timeline
        self.systemIdentifier = systemIdentifier
        self.postmasterPID = postmasterPID
        self.receivedLSN = receivedLSN
        self.replayedLSN = replayedLSN
        self.currentLSN = currentLSN
        self.upstream = upstream
        self.streaming = streaming
        self.pendingRestart = pendingRestart
        self.demotedTerm = demotedTerm
        self.shutdownLSN = shutdownLSN
        self.lease = lease
        self.problem = problem
        self.prepare = prepare
        self.terminating = terminating
        self.fence = fence
        self.exit = exit
        self.synchronous = synchronous
        self.replication = replication
        self.archive = archive
        self.preparedTransactions = preparedTransactions
        self.logicalSenders = logicalSenders
        self.certificates = certificates
        self.settings = settings
    }
}

extension InstanceStatus {
    /// What PostgreSQL is.
    public enum Role: String, Codable, Hashable, Sendable, CaseIterable {
        /// It accepts writes.
        case primary
        /// It is in recovery and follows.
        case replica
        /// It is not up yet.
        case starting
        /// It was primary, was asked to stop, and may not write again in its term.
        case demoted
        /// It does not run.
        case stopped
    }

    /// What the supervisor is doing.
    public enum State: String, Codable, Hashable, Sendable, CaseIterable {
        /// initdb.
        case bootstrapping
        /// A base backup.
        case cloning
        /// PostgreSQL comes up.
        case starting
        /// PostgreSQL accepts connections.
        case running
        /// PostgreSQL goes down.
        case stopping
        /// PostgreSQL is down.
        case stopped
        /// The data directory is brought back in line with the primary.
        case rejoining
        /// It cannot go on; see ``InstanceStatus/problem``.
        case failed
    }

    /// What an instance knows about the primary Lease.
    public struct Lease: Codable, Hashable, Sendable {
        /// Whether it holds it.
        public var held: Bool
        /// The term it holds it in.
        public var term: Int64
        /// Milliseconds until it must stop unless it renews, by its own clock.
        public var expiresInMilliseconds: Int64?

        /// Makes it.
        public init(held: Bool, term: Int64, expiresInMilliseconds: Int64? = nil) {
            self.held = held
            self.term = term
            self.expiresInMilliseconds = expiresInMilliseconds
        }
    }

    /// What keeps an instance from doing its work.
    public struct Problem: Codable, Hashable, Sendable {
        /// A CamelCase word.
        public var reason: String
        /// The same for people.
        public var message: String

        /// Makes a problem.
        public init(reason: String, message: String) {
            self.reason = reason
            self.message = message
        }
    }

    /// How far the preparation for becoming primary is.
    public struct Preparation: Codable, Hashable, Sendable {
        /// The term of the primary at the time it was asked for.
        public var term: Int64
        /// Whether slots are made and the checkpoint is done.
        public var isDone: Bool
        /// The slots that exist for the other replicas.
        public var slots: [String]

        /// Makes it.
        public init(term: Int64, isDone: Bool, slots: [String]) {
            self.term = term
            self.isDone = isDone
            self.slots = slots
        }
    }

    /// The end of the WAL that this instance has in any form: what failover compares.
    public var lastLSN: LSN? {
        [self.currentLSN, self.receivedLSN, self.replayedLSN].compactMap { $0 }.max()
    }
}
