public import PostgresClusterAPI
public import struct Foundation.Date

/// What the planner reads of a pooler's pod.
public struct PoolerFacts: Sendable, Hashable {
    /// The pooler, which is also the pod's name.
    public var name: String
    /// The pod's UID.
    public var uid: String
    /// The pod's address, or nil before it has one.
    public var address: String?
    /// Whether the `Ready` condition is true.
    public var isReady: Bool
    /// Whether the pod is being deleted.
    public var isTerminating: Bool
    /// Whether all containers have ended for good.
    public var isFinished: Bool
    /// What the pod was made from, see `Annotations.template`; nil when it does not say.
    public var template: String?
    /// Why a container does not start, in the kubelet's words; nil while none waits.
    public var waiting: String?

    /// Makes a pooler.
    public init(
        name: String,
        uid: String,
        address: String? = nil,
        isReady: Bool = false,
        isTerminating: Bool = false,
        isFinished: Bool = false,
        template: String? = nil,
        waiting: String? = nil
    ) {
        self.name = name
        self.uid = uid
        self.address = address
        self.isReady = isReady
        self.isTerminating = isTerminating
        self.isFinished = isFinished
        self.template = template
        self.waiting = waiting
    }
}

/// What was asked of a pooler last, and what became of it.
///
/// The shell keeps this in memory only, by the pod's UID: a leader that knows nothing asks again.
public struct PoolerTalk: Sendable, Hashable {
    /// How a request for a pause stands.
    public enum Pause: Sendable, Hashable {
        /// Under way.
        case running
        /// Clients are held until then; transactions that have not ended will end with the primary.
        case held(until: Date)
        /// Clients are not held because of transactions that take long; to be tried again from then on.
        case refused(reason: String, retryAt: Date)
        /// There was no answer, or none of use.
        case failed
    }

    /// How a request to go on stands.
    public enum Resume: Sendable, Hashable {
        /// Under way.
        case running
        /// Done.
        case done
        /// Failed, and may be tried again from then on.
        case failed(retryAt: Date)
    }

    /// The transition that the pause was asked for.
    public var transition: String?
    /// How the request for a pause stands.
    public var pause: Pause?
    /// The primary that clients were sent to.
    public var target: PoolerDestination?
    /// How that stands.
    public var resume: Resume?

    /// Makes a talk in which nothing has been said.
    public init() {}
}

/// A primary for poolers to lead to.
public struct PoolerDestination: Sendable, Hashable {
    /// Its term.
    public var term: Int64
    /// The instance.
    public var primary: String
    /// The address of its pod.
    public var address: String

    /// Makes a destination.
    public init(term: Int64, primary: String, address: String) {
        self.term = term
        self.primary = primary
        self.address = address
    }
}

/// Something to ask of a pooler.
public struct PoolerCall: Sendable, Hashable {
    /// What.
    public enum Request: Sendable, Hashable {
        /// Hold clients for a transition, see `TransitionName`.
        case pause(term: Int64, transition: String, longTransactions: LongTransactions)
        /// Let clients go on.
        case resume(PoolerDestination)
    }

    /// The pooler.
    public var pooler: String
    /// Its pod.
    public var podUID: String
    /// The pod's address.
    public var address: String
    /// What.
    public var request: Request
}

/// What to do about the poolers of a cluster now.
public struct PoolerPlan: Sendable, Hashable {
    /// Whether the spec asks for poolers; nil while it is not valid, then all stays as it is.
    public var isWanted: Bool?
    /// Poolers to make.
    public var creations: [String] = []
    /// Pods to delete.
    public var deletions: [PodReference] = []
    /// `minAvailable` of the poolers' budget.
    public var budget: Int = 0
    /// What to ask of poolers; each is started unless it is already under way.
    public var calls: [PoolerCall] = []

    /// Makes a plan that does nothing.
    public init() {}
}
