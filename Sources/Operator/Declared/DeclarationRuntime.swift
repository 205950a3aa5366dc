internal import ClusterPlanning
internal import EventLoop
internal import InstanceAPI
internal import PostgresClusterAPI
internal import Synchronization

/// What was declared to the primary of one cluster, and what became of it; if it is lost, the primary is asked again and
/// finds nothing to change.
final class DeclarationRuntime: Sendable {
    /// What a declaration is made from; another one is declared at once.
    struct Subject: Hashable, Sendable {
        var roles: [PostgresClusterSpec.RoleSpec]
        var databases: [PostgresClusterSpec.DatabaseSpec]
        var owner: String
        var database: String
        var term: Int64
        var podUID: String
        /// Versions of the cluster's own Secrets.
        var secrets: [String: String]
    }

    /// What came of one.
    struct Result: Sendable {
        /// What to tell people; nil when nothing is known, and what was told before stays.
        var facts: DeclarationFacts?
        /// What the primary has as declared, apart from what it said could not be.
        var applied: DeclareRequest?
        /// When it was asked last.
        var appliedAt: ContinuousClock.Instant?
        /// When to look again though nothing has changed.
        var again: Duration
    }

    /// What to do now.
    enum Step {
        /// It runs, or there is nothing to do.
        case none
        /// Declare it.
        case begin
        /// Look again then.
        case wait(Duration)
    }

    private struct State {
        var subject: Subject?
        var result: Result?
        var nextAt = ContinuousClock.now
        var failures = 0
        var task: Task<Void, Never>?
        var verifiers: [String: (source: String, verifier: String)] = [:]
        var isStopped = false
    }

    private let state = Lock(State())

    /// What is known of the last one; nil when nothing is.
    var facts: DeclarationFacts? { self.state.withLock { $0.result?.facts } }

    /// What the primary has as declared, when it is still the same.
    func applied(to subject: Subject) -> (
        request: DeclareRequest, at: ContinuousClock.Instant, facts: DeclarationFacts
    )? {
        self.state.withLock { state in
            guard let known = state.subject, known.term == subject.term, known.podUID == subject.podUID,
                let request = state.result?.applied, let at = state.result?.appliedAt, let facts = state.result?.facts
            else { return nil }
            return (request, at, facts)
        }
    }

    /// Whether something is to be declared now.
    func step(_ subject: Subject, now: ContinuousClock.Instant) -> Step {
        self.state.withLock { state in
            guard !state.isStopped, state.task == nil else { return .none }
            if state.subject != subject || now >= state.nextAt { return .begin }
            return .wait(now.duration(to: state.nextAt))
        }
    }

    /// Notes that something is declared.
    ///
    /// Answers whether it is.
    func start(_ perform: () -> Task<Void, Never>) -> Bool {
        self.state.withLock { state in
            guard !state.isStopped, state.task == nil else { return false }
            state.task = perform()
            return true
        }
    }

    /// Takes in what came of a declaration; nil when the primary could not be asked.
    func finish(_ subject: Subject, _ result: Result?, now: ContinuousClock.Instant) {
        self.state.withLock { state in
            state.task = nil
            guard !state.isStopped else { return }
            state.subject = subject
            if let result {
                let isWell = result.facts?.isApplied ?? false
                state.failures = isWell ? 0 : state.failures + 1
                let retry = Self.firstRetry * (1 << min(state.failures, 4))
                state.nextAt = now + (isWell ? result.again : min(result.again, retry))
                state.result = result
            } else {
                state.failures += 1
                state.nextAt = now + min(.seconds(1) * (1 << min(state.failures, 5)), .seconds(30))
                // Nobody knows what was carried out of it.
                state.result?.applied = nil
            }
        }
    }

    private static let firstRetry: Duration = .seconds(5)

    /// The verifier of a role's password, made once for each version of its Secret: it takes some thousand hashes.
    func verifier(of role: String, source: String, make: () -> String) -> String {
        if let known = self.state.withLock({ $0.verifiers[role] }), known.source == source { return known.verifier }
        let verifier = make()
        self.state.withLock { $0.verifiers[role] = (source, verifier) }
        return verifier
    }

    /// Nothing is declared any more.
    func clear() {
        self.state.withLock { state in
            guard state.task == nil, state.subject != nil else { return }
            state = State()
        }
    }

    func stop() {
        let task = self.state.withLock { state in
            state.isStopped = true
            defer { state.task = nil }
            return state.task
        }
        task?.cancel()
    }
}
