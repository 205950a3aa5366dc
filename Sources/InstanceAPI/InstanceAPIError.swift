/// A refusal of the instance API: the body of every answer with status 400 or above.
public struct InstanceAPIError: Error, Codable, Hashable, Sendable, CustomStringConvertible {
    /// Why: a CamelCase word.
    public var reason: InstanceAPIReason
    /// The same for people, with what to do.
    public var message: String

    /// Makes a refusal.
    public init(_ reason: InstanceAPIReason, _ message: String) {
        self.reason = reason
        self.message = message
    }

    /// Reason and message.
    public var description: String { "\(self.reason.rawValue): \(self.message)" }
}

/// Why the instance API refused something: a CamelCase word.
public struct InstanceAPIReason: RawRepresentable, Codable, Hashable, Sendable {
    /// The word.
    public var rawValue: String

    /// Makes a reason from its word.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The request cannot be read.
    public static let badRequest = InstanceAPIReason(rawValue: "BadRequest")
    /// The client's certificate does not allow this.
    public static let forbidden = InstanceAPIReason(rawValue: "Forbidden")
    /// There is nothing at this path.
    public static let notFound = InstanceAPIReason(rawValue: "NotFound")
    /// The path knows no such method.
    public static let methodNotAllowed = InstanceAPIReason(rawValue: "MethodNotAllowed")
    /// The body is too long.
    public static let tooLarge = InstanceAPIReason(rawValue: "TooLarge")
    /// The term is older than one the instance has seen.
    public static let staleTerm = InstanceAPIReason(rawValue: "StaleTerm")
    /// Only a primary can do this.
    public static let notPrimary = InstanceAPIReason(rawValue: "NotPrimary")
    /// Only a replica can do this.
    public static let notReplica = InstanceAPIReason(rawValue: "NotReplica")
    /// The cluster's status names another primary, or this instance is no member.
    public static let notChosen = InstanceAPIReason(rawValue: "NotChosen")
    /// Somebody else holds the Lease.
    public static let leaseHeld = InstanceAPIReason(rawValue: "LeaseHeld")
    /// It has been asked not to promise anything to terms as old as this one.
    public static let withheld = InstanceAPIReason(rawValue: "Withheld")
    /// It accepts writes itself, in a term at least as new.
    public static let isPrimary = InstanceAPIReason(rawValue: "IsPrimary")
    /// It has promised something to another, or its own promise to an older primary still holds.
    public static let promised = InstanceAPIReason(rawValue: "Promised")
    /// It has not replayed what it must have.
    public static let replayBehind = InstanceAPIReason(rawValue: "ReplayBehind")
    /// PostgreSQL does not run.
    public static let notRunning = InstanceAPIReason(rawValue: "NotRunning")
    /// The instance has been told to stop.
    public static let terminating = InstanceAPIReason(rawValue: "Terminating")
    /// It is doing something that excludes this; ask again.
    public static let busy = InstanceAPIReason(rawValue: "Busy")
    /// It could not be done in the time given; it may still be going on, ask again.
    public static let deadlineExceeded = InstanceAPIReason(rawValue: "DeadlineExceeded")
    /// The API server does not answer.
    public static let apiUnreachable = InstanceAPIReason(rawValue: "APIUnreachable")
    /// PostgreSQL refused a command.
    public static let postgresFailed = InstanceAPIReason(rawValue: "PostgresFailed")
    /// A fault of ours.
    public static let `internal` = InstanceAPIReason(rawValue: "Internal")

    /// Every reason this version gives.
    public static let all: [InstanceAPIReason] = [
        .badRequest, .forbidden, .notFound, .methodNotAllowed, .tooLarge, .staleTerm, .notPrimary, .notReplica,
        .notChosen, .leaseHeld, .withheld, .isPrimary, .promised, .replayBehind, .notRunning, .terminating, .busy,
        .deadlineExceeded, .apiUnreachable,
        .postgresFailed, .internal,
    ]

    /// The HTTP status that goes with a reason.
    public var httpStatus: Int {
        switch self {
        case .badRequest: 400
        case .forbidden: 403
        case .notFound: 404
        case .methodNotAllowed: 405
        case .tooLarge: 413
        case .staleTerm, .notPrimary, .notReplica, .notChosen, .leaseHeld, .withheld, .isPrimary, .promised,
            .replayBehind:
            409
        case .notRunning, .terminating, .busy, .apiUnreachable: 503
        case .deadlineExceeded: 504
        default: 500
        }
    }
}
