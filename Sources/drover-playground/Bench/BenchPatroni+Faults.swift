internal import EventLoop
internal import Glibc
internal import Synchronization
internal import Workload

extension BenchPatroni: BenchPatient {
    func inflict(_ fault: BenchFault) async throws {
        let leader = try await self.leader()
        guard let container = self.process(of: leader) else { throw DemoError("\(leader.name) does not run") }
        self.victim.withLock { $0 = leader }
        switch fault {
        case .postmasterKilled:
            guard let postmaster = ProcessTree().postmaster(below: container.pid) else {
                throw DemoError("\(leader.name) has no postmaster")
            }
            kill(postmaster.pid, SIGKILL)
        case .instanceKilled:
            await self.killContainer(container)
            // As a kubelet does, without delay the first time.
            try await self.start(leader)
        case .podDeleted:
            await self.killContainer(container)
        case .nodeSilent:
            ProcessTree.freeze(below: container.pid)
        case .apiServerAway:
            ProcessTree.freeze(below: self.etcd.process.pid)
        }
    }

    func relieve(_ fault: BenchFault) async throws {
        guard let victim = self.victim.withLock({ $0 }) else { return }
        switch fault {
        case .postmasterKilled, .instanceKilled: break
        case .podDeleted: try await self.start(victim)
        case .nodeSilent:
            if let container = self.process(of: victim) { ProcessTree.thaw(below: container.pid) }
        case .apiServerAway: ProcessTree.thaw(below: self.etcd.process.pid)
        }
    }

    private func killContainer(_ container: ChildProcess) async {
        // The outermost process takes the whole process namespace with it.
        await container.signal(SIGKILL)
        _ = await container.wait()
    }
}
