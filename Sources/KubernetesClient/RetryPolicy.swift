/// How often, and how long apart, a request that is safe to repeat is repeated.
public struct RetryPolicy: Sendable, Hashable {
    /// Tries in all; 1 repeats nothing.
    public var maximumAttempts: Int
    /// The longest wait before the second try; it doubles with each further one.
    public var baseDelay: Duration
    /// No wait is longer, unless the server asks for it.
    public var maximumDelay: Duration
    /// A server that asks for a longer wait than this gets no further try.
    public var maximumRetryAfter: Duration

    /// Makes a policy.
    public init(
        maximumAttempts: Int = 5,
        baseDelay: Duration = .milliseconds(100),
        maximumDelay: Duration = .seconds(3),
        maximumRetryAfter: Duration = .seconds(10)
    ) {
        self.maximumAttempts = maximumAttempts
        self.baseDelay = baseDelay
        self.maximumDelay = maximumDelay
        self.maximumRetryAfter = maximumRetryAfter
    }

    /// One try only.
    public static let never = RetryPolicy(maximumAttempts: 1)

    /// What may be repeated of a request.
    struct Safety: Sendable, Hashable {
        /// Carrying it out twice leaves what once would.
        var isIdempotent: Bool
        /// A 429 means "come again", not "no" (as for an eviction).
        var waitsWhenTooMany = true
    }

    /// The wait before the next try, or nil when there is to be none.
    ///
    /// `attempt` counts the tries made, from 1; `random` is from 0 to 1.
    func delay(after error: KubernetesError, attempt: Int, safety: Safety, random: Double) -> Duration? {
        guard attempt < self.maximumAttempts, Self.isSafe(error, safety) else { return nil }
        if let asked = error.retryAfter {
            guard asked <= self.maximumRetryAfter else { return nil }
            // A little later than asked, and not all at the same moment.
            return asked + self.baseDelay * random
        }
        let doubled = self.baseDelay * Double(1 << min(attempt - 1, 20))
        return min(doubled, self.maximumDelay) * (0.5 + random / 2)
    }

    private static func isSafe(_ error: KubernetesError, _ safety: Safety) -> Bool {
        switch error.code {
        case .tooManyRequests: safety.waitsWhenTooMany
        case .unreachable, .timeout, .serverError, .serviceUnavailable:
            safety.isIdempotent || !error.mayHaveBeenCarriedOut
        case .notFound, .alreadyExists, .conflict, .expired, .forbidden, .unauthorized, .invalid, .badRequest,
            .methodNotAllowed, .unsupportedMediaType, .requestTooLarge, .untrusted, .malformedAnswer, .cancelled,
            .configuration, .other:
            false
        }
    }
}
