internal import Foundation
internal import Glibc
internal import JSON
internal import KubernetesClient
internal import PostgresClusterAPI
internal import ProcessNode

/// Does faults to a site, and undoes them.
struct FaultInjector: Sendable {
    let site: ChaosSite
    let clusters: [ChaosCluster]
    let clients: ChaosClients

    /// Whom a fault meets.
    private struct Victim {
        var cluster: ChaosCluster
        var instance: String
        var node: String
        /// Another instance of the cluster, and where it is.
        var otherNode: String?
    }

    /// Does a fault, waits as long as it lasts, and undoes it.
    ///
    /// Gives what it has met, or nil when there was nothing to meet: no primary just now, or a process that had ended.
    func inject(_ fault: Fault) async -> String? {
        switch fault.kind {
        case .killServer, .stopServer:
            return await self.disturb("server", fault, isStopped: fault.kind == .stopServer)
        case .killOperator, .stopOperator:
            let name = ChaosSite.operatorNames[Int(fault.choice % UInt64(ChaosSite.operatorNames.count))]
            return await self.disturb(name, fault, isStopped: fault.kind == .stopOperator)
        case .killPostmaster, .stopPostmaster, .killInstance, .stopInstance, .cutFromServer, .cutFromHost,
            .cutFromNode, .isolateNode, .slowDisk, .fullDisk, .deletePod, .killNode, .drain:
            guard let victim = try? await self.victim(fault) else { return nil }
            do {
                return try await self.inject(fault, victim)
            } catch {
                return nil
            }
        }
    }

    private func inject(_ fault: Fault, _ victim: Victim) async throws -> String? {
        let duration = Duration.milliseconds(fault.duration)
        let partition = self.site.partition
        switch fault.kind {
        case .killPostmaster:
            guard let process = self.site.pods(on: victim.node)?.postmaster(victim.instance) else { return nil }
            ProcessHandle(process.pid).signal(SIGKILL)
        case .killInstance:
            guard let process = self.site.pods(on: victim.node)?.instance(victim.instance) else { return nil }
            ProcessHandle(process.pid).signal(SIGKILL)
        case .stopPostmaster:
            guard let process = self.site.pods(on: victim.node)?.postmaster(victim.instance) else { return nil }
            await self.stop(process.pid, duration)
        case .stopInstance:
            guard let process = self.site.pods(on: victim.node)?.instance(victim.instance) else { return nil }
            await self.stop(process.pid, duration)
        case .cutFromServer:
            try await partition.cut(victim.node, from: .server)
            await self.wait(duration)
            try await partition.heal(victim.node, from: .server)
        case .cutFromHost:
            try await partition.cut(victim.node, from: .host)
            await self.wait(duration)
            try await partition.heal(victim.node, from: .host)
        case .cutFromNode:
            guard let other = victim.otherNode else { return nil }
            try await partition.cut(victim.node, from: .node(other))
            await self.wait(duration)
            try await partition.heal(victim.node, from: .node(other))
            return "\(victim.instance) on \(victim.node), from \(other)"
        case .isolateNode:
            try await partition.isolate(victim.node)
            await self.wait(duration)
            try await partition.rejoin(victim.node)
        case .slowDisk:
            await self.slowDown(victim, duration)
        case .fullDisk:
            guard let volume = try await self.volume(of: victim) else { return nil }
            let filler = "\(volume)/filler"
            Self.fill(filler)
            await self.wait(duration)
            try? FileManager.default.removeItem(atPath: filler)
        case .deletePod:
            try await self.site.client.delete(
                Pod.self,
                victim.instance,
                namespace: ChaosSite.namespace,
                options: DeleteOptions(gracePeriodSeconds: 0)
            )
        case .killNode:
            await self.site.kill(victim.node)
            // Or its network would live on with them.
            await self.clients.end(on: victim.node)
            await self.wait(duration)
            try await self.site.startAgain(victim.node)
        case .drain:
            await self.drain(victim.node, duration)
        case .killServer, .stopServer, .killOperator, .stopOperator:
            return nil
        }
        return "\(victim.instance) on \(victim.node)"
    }

    private func victim(_ fault: Fault) async throws -> Victim? {
        let cluster = self.clusters[Int(fault.choice % UInt64(self.clusters.count))]
        let status = try await cluster.status()
        let pods = try await cluster.pods().filter { $0.spec?.nodeName != nil }
        let isPrimary = { (pod: Pod) in pod.metadata.name == status.primary }
        let candidates =
            switch fault.target {
            case .primary: pods.filter(isPrimary)
            case .replica: pods.filter { !isPrimary($0) }
            }
        guard !candidates.isEmpty else { return nil }
        let names = candidates.sorted { ($0.metadata.name ?? "") < ($1.metadata.name ?? "") }
        let pod = names[Int((fault.choice >> 8) % UInt64(names.count))]
        guard let instance = pod.metadata.name, let node = pod.spec?.nodeName else { return nil }
        let others = pods.compactMap { $0.spec?.nodeName }.filter { $0 != node }.sorted()
        return Victim(
            cluster: cluster,
            instance: instance,
            node: node,
            otherNode: others.isEmpty ? nil : others[Int((fault.choice >> 16) % UInt64(others.count))]
        )
    }

    // MARK: Parts

    /// Sleeps; ends early, but does not fail, when the run ends.
    private func wait(_ duration: Duration) async {
        try? await Task.sleep(for: duration)
    }

    private func disturb(_ name: String, _ fault: Fault, isStopped: Bool) async -> String? {
        guard let process = self.site.process(name), process.isRunning else { return nil }
        if isStopped {
            process.signal(SIGSTOP)
            await self.wait(.milliseconds(fault.duration))
            process.signal(SIGCONT)
        } else {
            await self.site.kill(name)
            await self.wait(.milliseconds(fault.duration))
            try? await self.site.startAgain(name)
        }
        return name
    }

    private func stop(_ pid: Int32, _ duration: Duration) async {
        let process = ProcessHandle(pid)
        process.signal(SIGSTOP)
        await self.wait(duration)
        process.signal(SIGCONT)
    }

    /// A disk that hardly answers, seen from PostgreSQL: its processes stand still most of the time.
    private func slowDown(_ victim: Victim, _ duration: Duration) async {
        let deadline = ContinuousClock.now + duration
        while ContinuousClock.now < deadline, !Task.isCancelled {
            let processes = (self.site.pods(on: victim.node)?.servers(victim.instance) ?? [])
                .map { ProcessHandle($0.pid) }
            for process in processes { process.signal(SIGSTOP) }
            await self.wait(.milliseconds(250))
            for process in processes { process.signal(SIGCONT) }
            await self.wait(.milliseconds(50))
        }
    }

    private func volume(of victim: Victim) async throws -> String? {
        let claim = try await self.site.client.get(
            PersistentVolumeClaim.self,
            victim.instance,
            namespace: ChaosSite.namespace
        )
        return claim.spec?.volumeName.map { "\(self.site.options.directory)/data/volumes/\($0)" }
    }

    /// Writes a file until nothing more fits.
    private static func fill(_ path: String) {
        guard FileManager.default.createFile(atPath: path, contents: nil),
            let file = FileHandle(forWritingAtPath: path)
        else { return }
        for size in [1 << 20, 4 << 10] {
            let block = Data(count: size)
            // More than any volume here, so that a mistake cannot fill the machine's own disk.
            for _ in 0..<1024 {
                do {
                    try file.write(contentsOf: block)
                } catch {
                    break
                }
            }
        }
        try? file.close()
    }

    private func drain(_ node: String, _ duration: Duration) async {
        let deadline = ContinuousClock.now + duration
        try? await self.cordon(node, true)
        while ContinuousClock.now < deadline, !Task.isCancelled {
            for cluster in self.clusters {
                for pod in (try? await cluster.pods()) ?? [] where pod.spec?.nodeName == node {
                    try? await self.site.client.evict(pod: pod.metadata.name ?? "", namespace: ChaosSite.namespace)
                }
            }
            await self.wait(.milliseconds(500))
        }
        // The API server may be away just now; settling does it again.
        try? await self.cordon(node, false)
    }

    private func cordon(_ node: String, _ isUnschedulable: Bool) async throws {
        _ = try await self.site.client.patch(
            Node.self,
            node,
            .merge(["spec": ["unschedulable": isUnschedulable ? .bool(true) : .null]])
        )
    }

    /// Undoes what faults may have left when their own undoing met a dead API server.
    func settle() async throws {
        try await self.site.restoreAll()
        let volumes = "\(self.site.options.directory)/data/volumes"
        for volume in (try? FileManager.default.contentsOfDirectory(atPath: volumes)) ?? [] {
            try? FileManager.default.removeItem(atPath: "\(volumes)/\(volume)/filler")
        }
        try await self.site.eventually("the nodes can be used again", within: .seconds(60)) {
            for node in ChaosSite.nodeNames { try await self.cordon(node, false) }
            return true
        }
    }
}
