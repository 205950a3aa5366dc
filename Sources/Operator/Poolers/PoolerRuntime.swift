internal import ClusterPlanning
internal import EventLoop
internal import Foundation
internal import PoolerAPI
internal import PostgresClusterAPI
internal import Synchronization

/// What was asked of the poolers of one cluster, and what became of it; nothing that matters if it is lost.
final class PoolerRuntime: Sendable {
    private struct State {
        var talks: [String: PoolerTalk] = [:]
        var tasks: [PoolerCall: Task<Void, Never>] = [:]
        var ensuredBase: String?
        var isStopped = false
    }

    private let state = Lock(State())

    /// What is known now; of transitions that are over nothing is.
    func talks(transition: Transition?) -> [String: PoolerTalk] {
        self.state.withLock { state in
            if transition == nil, !state.talks.isEmpty { state.talks = [:] }
            return state.talks
        }
    }

    /// Notes that something is asked.
    ///
    /// Answers whether it should be: the same is not asked twice at once.
    func start(_ call: PoolerCall, perform: () -> Task<Void, Never>) {
        self.state.withLock { state in
            guard !state.isStopped, state.tasks[call] == nil else { return }
            var talk = state.talks[call.podUID] ?? PoolerTalk()
            switch call.request {
            case .pause(_, let transition, _):
                talk.transition = transition
                talk.pause = .running
                // What was said before about going on was about another pause.
                talk.target = nil
                talk.resume = nil
            case .resume(let target):
                talk.target = target
                talk.resume = .running
                if case .held? = talk.pause { talk.pause = nil }
            }
            state.talks[call.podUID] = talk
            state.tasks[call] = perform()
        }
    }

    /// Notes how a request for a pause has ended.
    func finish(_ call: PoolerCall, pause: PoolerTalk.Pause) {
        self.finish(call) { talk in
            if case .pause(_, let transition, _) = call.request, talk.transition == transition { talk.pause = pause }
        }
    }

    /// Notes how a request to go on has ended.
    func finish(_ call: PoolerCall, resume: PoolerTalk.Resume) {
        self.finish(call) { talk in
            if case .resume(let target) = call.request, talk.target == target { talk.resume = resume }
        }
    }

    private func finish(_ call: PoolerCall, _ change: (inout PoolerTalk) -> Void) {
        self.state.withLock { state in
            state.tasks[call] = nil
            guard var talk = state.talks[call.podUID] else { return }
            change(&talk)
            state.talks[call.podUID] = talk
        }
    }

    // MARK: Base objects

    /// Whether the objects that are made once per spec have been made for this version of it.
    func isBaseEnsured(_ version: String) -> Bool { self.state.withLock { $0.ensuredBase == version } }
    func baseEnsured(_ version: String?) { self.state.withLock { $0.ensuredBase = version } }

    /// Ends everything that runs.
    func stop() {
        let tasks = self.state.withLock { state in
            state.isStopped = true
            defer { state.tasks = [:] }
            return Array(state.tasks.values)
        }
        for task in tasks { task.cancel() }
    }
}
