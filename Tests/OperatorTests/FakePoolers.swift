import KubernetesClient
import Operator
import PoolerAPI
import PostgresClusterAPI

/// Poolers that note what they are asked for, and answer what they are told to.
actor FakePoolers: PoolerAccess {
    enum Call: Hashable {
        case pause(String, term: Int64)
        case resume(String, term: Int64, primary: String)
    }

    enum Behaviour {
        case drained
        /// A transaction takes long.
        case busy
        /// No answer of use.
        case silent
    }

    struct Silent: Error {}

    private let instances: FakeInstances
    private(set) var calls: [Call] = []
    /// What instances had been asked for when the last pause was asked for.
    private(set) var instanceCallsAtPause: [String] = []
    var behaviour = Behaviour.drained

    init(instances: FakeInstances) { self.instances = instances }

    func behave(_ behaviour: Behaviour) { self.behaviour = behaviour }

    func pause(_ pooler: PoolerPod, _ request: PauseRequest) async throws -> PauseResponse {
        self.calls.append(.pause(pooler.name, term: request.term))
        self.instanceCallsAtPause = self.instances.calls
        if self.behaviour == .silent { throw Silent() }
        let isPaused = self.behaviour == .drained || request.longTransactions == .abort
        return PauseResponse(
            podUID: pooler.podUID,
            isPaused: isPaused,
            isDrained: self.behaviour == .drained,
            remainingMilliseconds: request.leaseMilliseconds,
            running: isPaused ? [] : [RunningTransaction(database: "app", user: "app", backend: 7)]
        )
    }

    func status(_ pooler: PoolerPod) async throws -> PoolerStatus {
        PoolerStatus(podUID: pooler.podUID, term: 1, isPaused: false, primary: nil, address: nil, isRunning: true)
    }

    func resume(_ pooler: PoolerPod, _ request: ResumeRequest) async throws {
        self.calls.append(.resume(pooler.name, term: request.term, primary: request.primary))
    }
}
