internal import ClusterPlanning
internal import struct Foundation.Date
internal import PostgresClusterAPI

/// What the operator asks of instances.
extension OperatorModel {
    func start(_ call: InstanceCall, _ facts: ClusterFacts) {
        if case .running? = self.calls[call] { return }
        let departed = facts.departed.flatMap { $0.instance == call.instance ? $0 : nil }
        let pod = self.pods[call.instance]
        guard let uid = departed?.podUID ?? pod?.uid, departed != nil || pod?.address != nil,
            let machine = self.world.machines.first(where: { $0.name == departed?.node ?? pod?.node })
        else { return }
        let attempt = (self.attempts[call] ?? 0) + 1
        self.attempts[call] = attempt
        self.calls[call] = .running
        let epoch = self.epoch
        let life = self.looks
        let spec = facts.spec
        let deadline: Duration =
            switch call {
            case .demote: spec.demoteTimeout
            case .awaitReplay: facts.status.transition?.phase == .demoting ? spec.demoteTimeout : spec.prepareTimeout
            default: .seconds(10)
            }
        let nanoseconds = Int(deadline.components.seconds) * World.second
        self.world.note(self.name, "asks: \(call)")
        self.world.ask(from: self.endpoint, to: machine.endpoint, timeout: nanoseconds + World.second, mayRepeat: true)
        {
            (reply: @escaping (InstanceModel.Answer) -> Void) in
            guard let process = self.world.processes.first(where: { $0.isAlive && $0.podUID == uid }) else {
                return reply(.refused("NotRunning"))
            }
            process.receive { $0.answer(call, deadline: nanoseconds, reply) }
        } answered: { answer in
            self.run {
                guard self.epoch == epoch, self.looks == life else { return }
                let state: CallState
                switch answer {
                case .done(let position): state = .done(position)
                case .answered(let answer):
                    let until = self.machine.clock.wall(self.world.now).addingTimeInterval(self.lifetime(of: answer))
                    state = .answered(answer, until: until)
                case .refused(let reason): state = self.failure(reason, attempt: attempt)
                case nil: state = self.failure("Timeout", attempt: attempt)
                }
                self.world.note(self.name, "hears of \(call): \(state)")
                self.calls[call] = state
                self.wake()
            }
        }
    }

    /// How long an answer is good for, in seconds.
    private func lifetime(of answer: CallAnswer) -> Double {
        switch answer {
        case .inspected: 5
        case .heard: 2
        case .withheld(let left): left > .zero ? min(Double(left / .milliseconds(1)) / 1000, 2) : 2
        case .standingStill: 10
        case .restarting: 5
        }
    }

    private func failure(_ reason: String, attempt: Int) -> CallState {
        let wait = min(0.25 * Double(1 << min(attempt - 1, 4)), 1)
        return .failed(
            reason: reason,
            retryAt: self.machine.clock.wall(self.world.now).addingTimeInterval(wait)
        )
    }
}
