/// What is known at one look: all that a decision about this instance's role may rest on.
package struct RoleFacts: Sendable, Hashable {
    /// The part of `PostgresCluster.status` that counts.
    package struct Status: Sendable, Hashable {
        package var term: Int
        package var primary: String?
        package var members: [String]
        /// Set by the operator once it has seen a bootstrapped primary.
        package var isInitialized: Bool

        package init(term: Int, primary: String?, members: [String] = [], isInitialized: Bool = true) {
            self.term = term
            self.primary = primary
            self.members = members
            self.isInitialized = isInitialized
        }
    }

    /// The primary Lease as this instance sees it, on its own clock.
    package enum Lease: Sendable, Hashable {
        /// The API has not answered yet.
        case unknown
        /// Held by this incarnation, for this term, and not run out.
        case mine(term: Int)
        /// Free, run out on our own clock, or left behind by an earlier incarnation in this same pod; `term` is the
        /// newest term it names.
        case obtainable(term: Int)
        /// Held by another, or missing and not yet watched for a whole duration.
        case taken(term: Int)

        /// The newest term that the Lease names.
        package var newestTerm: Int {
            switch self {
            case .unknown: 0
            case .mine(let term), .obtainable(let term), .taken(let term): term
            }
        }
    }

    package enum Postmaster: Sendable, Hashable {
        case stopped
        case standby
        case primary
    }

    /// Whom the running standby follows: verified for that primary in that term.
    package struct Upstream: Sendable, Hashable {
        package var primary: String
        package var term: Int

        package init(primary: String, term: Int) {
            self.primary = primary
            self.term = term
        }
    }

    package var instance: String
    package var disk: PersistentState
    /// Nil until `PostgresCluster` was read once.
    package var status: Status?
    package var lease: Lease
    /// The term in which all others have promised not to be promoted; nil when a promise is missing or there are none.
    package var promisedTerm: Int?
    /// This instance has itself promised, to an older primary, not to be promoted yet.
    package var hasPromised: Bool
    /// It has only just started: the API's or the peers' word will come before PostgreSQL would be up.
    package var isNew: Bool
    /// The others were asked, since it has the Lease, whether they know a newer term.
    package var hasAsked: Bool
    package var postmaster: Postmaster
    package var upstream: Upstream?

    package init(
        instance: String,
        disk: PersistentState,
        status: Status?,
        lease: Lease,
        promisedTerm: Int? = nil,
        hasPromised: Bool = false,
        isNew: Bool = false,
        hasAsked: Bool = true,
        postmaster: Postmaster,
        upstream: Upstream? = nil
    ) {
        self.instance = instance
        self.disk = disk
        self.status = status
        self.lease = lease
        self.promisedTerm = promisedTerm
        self.hasPromised = hasPromised
        self.isNew = isNew
        self.hasAsked = hasAsked
        self.postmaster = postmaster
        self.upstream = upstream
    }
}

/// The next step towards the role that status gives this instance.
package enum RoleAction: Sendable, Hashable {
    /// Nothing to do until something changes.
    case wait(WaitReason)
    /// Write the term to disk before acting on it.
    case noteTerm(Int)
    case takeLease(term: Int)
    /// Ask the others whether they know a newer term than this instance and the status do.
    case askOthers
    /// Make a new database system (with the Lease held).
    case initialize(term: Int)
    case clone(from: String)
    case startStandby
    /// Go on read-write in one's own, undemoted term, with the Lease or with promises alone; a standby that runs is
    /// stopped first.
    case startPrimary(term: Int)
    /// Leave recovery (with the Lease held).
    case promote(term: Int)
    /// Run on as primary under a newer term (with the Lease held or to be taken over from one's own older term).
    case adopt(term: Int)
    /// Compare histories with the primary, then follow, rewind or clone.
    case verifyAndFollow(primary: String, term: Int)
    /// Stop accepting writes at once.
    case fence(FenceReason)
}

/// Why an instance waits.
package enum WaitReason: String, Sendable, Hashable {
    case running = "Running"
    case following = "Following"
    case statusUnknown = "StatusUnknown"
    case statusStale = "StatusStale"
    case noPrimary = "NoPrimary"
    case leaseUnknown = "LeaseUnknown"
    case leaseTaken = "LeaseTaken"
    case leaseNewer = "LeaseNewerThanStatus"
    case promised = "Promised"
    case demoted = "DemotedInThisTerm"
    case dataMissing = "DataMissing"
}

/// Why a primary must stop at once.
package enum FenceReason: String, Sendable, Hashable {
    case leaseLost = "LeaseLost"
    case superseded = "Superseded"
    case demoted = "Demoted"
}
