internal import EventLoop
internal import Glibc
internal import KubernetesClient
internal import PostgresClient
internal import PostgresClusterAPI
internal import ProcessNode
internal import Synchronization
internal import Workload

/// A PostgresCluster under Drover whose primary, node or API server can be hurt.
final class BenchDroverUnderFire: BenchPatient {
    private let stage: BenchStage
    private let drover: BenchDrover
    /// What the last fault has frozen.
    private let frozen = Lock<Int32?>(nil)
    /// The node that is cut off.
    private let isolated = Lock<String?>(nil)

    init(stage: BenchStage, drover: BenchDrover) {
        self.stage = stage
        self.drover = drover
    }

    func configuration(_ route: BenchRoute) async throws -> PostgresConfiguration {
        try await self.drover.configuration(route)
    }

    func switchover() async throws { try await self.drover.switchover() }
    func settle() async throws { try await self.drover.settle() }
    func end() async { await self.drover.end() }

    func inflict(_ fault: BenchFault) async throws {
        let status = try await self.drover.cluster.read().status
        guard let primary = status?.primary, let nodeName = status?.primaryNode,
            let node = self.stage.node(nodeName)
        else { throw DemoError("the cluster has no primary to hurt") }
        let (instance, postmaster) = try Self.processes(of: primary, below: node.pid)
        switch fault {
        case .postmasterKilled:
            try await Self.end(postmaster) { kill(postmaster, SIGKILL) }
        case .instanceKilled:
            // The first process of its namespace takes all others with it.
            try await Self.end(postmaster) { kill(instance, SIGKILL) }
        case .podDeleted:
            try await Self.end(postmaster) {
                try await self.stage.client.delete(
                    Pod.self,
                    primary,
                    namespace: self.drover.cluster.namespace,
                    options: DeleteOptions(gracePeriodSeconds: 0)
                )
            }
        case .nodeSilent:
            if let partition = self.stage.partition {
                self.isolated.withLock { $0 = nodeName }
                try await partition.isolate(nodeName)
            } else {
                self.freeze(node.pid)
            }
        case .apiServerAway:
            self.freeze(self.stage.server.pid)
        }
    }

    func relieve(_ fault: BenchFault) async throws {
        let pid = self.frozen.withLock { frozen in
            defer { frozen = nil }
            return frozen
        }
        if let pid { ProcessTree.thaw(below: pid) }
        let node = self.isolated.withLock { isolated in
            defer { isolated = nil }
            return isolated
        }
        if let node { try await self.stage.partition?.rejoin(node) }
    }

    private func freeze(_ pid: Int32) {
        self.frozen.withLock { $0 = pid }
        ProcessTree.freeze(below: pid)
    }

    /// Finds an instance's first process and its postmaster among all below a node.
    private static func processes(of instance: String, below node: Int32) throws -> (instance: Int32, postmaster: Int32)
    {
        let tree = ProcessTree()
        // The sandbox carries the pod's name as its host name.
        for entry in tree.descendants(of: node) where entry.program == "bwrap" && entry.command.contains(instance) {
            let inside = tree.descendants(of: entry.pid)
            if let first = inside.first(where: { $0.program == "drover-instance" }),
                let postmaster = tree.postmaster(below: first.pid)
            {
                return (first.pid, postmaster.pid)
            }
        }
        throw DemoError("the processes of \(instance) are not to be found")
    }

    /// Does what ends a process, and waits until it has ended.
    private static func end(_ pid: Int32, _ body: () async throws -> Void) async throws {
        try await body()
        let deadline = ContinuousClock.now + .seconds(30)
        while kill(pid, 0) == 0 {
            guard ContinuousClock.now < deadline else { throw DemoError("the process \(pid) does not end") }
            try await Task.sleep(for: .milliseconds(1))
        }
    }
}
