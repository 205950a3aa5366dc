/// Who can be reached from whom.
///
/// Endpoints are numbers: 0 is the API server, then the operators, then the machines.
struct Network {
    static let api = 0
    static let capacity = 24
    private var blocked = [Bool](repeating: false, count: Self.capacity * Self.capacity)
    /// The share of messages that get lost, and of requests that arrive twice, where nothing else is wrong.
    var loss = 0.0
    /// The share of messages that take seconds.
    var lateness = 0.0

    func isBlocked(_ from: Int, _ to: Int) -> Bool { self.blocked[from * Self.capacity + to] }

    mutating func block(_ from: Int, _ to: Int, _ isBlocked: Bool) {
        self.blocked[from * Self.capacity + to] = isBlocked
    }

    mutating func heal() {
        self.blocked = [Bool](repeating: false, count: Self.capacity * Self.capacity)
        self.loss = 0
        self.lateness = 0
    }
}

extension World {
    /// How long a message takes.
    func latency() -> Int {
        if self.network.lateness > 0, self.random.chance(self.network.lateness) {
            return self.random.between(Self.second / 10, 4 * Self.second)
        }
        return self.random.between(Self.millisecond / 5, 3 * Self.millisecond)
    }

    /// Brings a message over, or not.
    func send(from: Int, to: Int, mayRepeat: Bool = false, _ deliver: @escaping () -> Void) {
        guard !self.network.isBlocked(from, to) else { return }
        if self.network.loss > 0 {
            if self.random.chance(self.network.loss) { return }
            if mayRepeat, self.random.chance(self.network.loss) { self.arrive(from, to, deliver) }
        }
        self.arrive(from, to, deliver)
    }

    private func arrive(_ from: Int, _ to: Int, _ deliver: @escaping () -> Void) {
        self.after(self.latency()) {
            guard !self.network.isBlocked(from, to) else { return }
            deliver()
        }
    }

    /// Asks and waits for the answer: nil when there was none in time, whether the request arrived or not.
    func ask<Answer>(
        from: Int,
        to: Int,
        timeout: Int,
        mayRepeat: Bool = false,
        _ handle: @escaping (@escaping (Answer) -> Void) -> Void,
        answered: @escaping (Answer?) -> Void
    ) {
        let question = Question()
        self.send(from: from, to: to, mayRepeat: mayRepeat) {
            handle { answer in
                self.send(from: to, to: from) {
                    guard !question.isOver else { return }
                    question.isOver = true
                    answered(answer)
                }
            }
        }
        self.after(timeout) {
            guard !question.isOver else { return }
            question.isOver = true
            answered(nil)
        }
    }

    private final class Question {
        var isOver = false
    }
}
