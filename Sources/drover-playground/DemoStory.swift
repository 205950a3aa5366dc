internal import EventLoop
internal import JSON
internal import KubernetesClient
internal import Playground
internal import PostgresClient
internal import PostgresClusterAPI
internal import Workload

/// A primary leaves its node before the node is drained, with a client writing all the time.
struct DemoStory: Sendable {
    let playground: Playground
    let narrator: DemoNarrator
    let manifest: String
    let freshNode: String

    /// Tells the story, and what became of the promises.
    func tell() async throws -> DemoReport {
        var report = DemoReport()
        let cluster = DemoCluster(
            client: self.playground.client,
            eventLoop: self.playground.eventLoop,
            name: "orders",
            namespace: "default"
        )
        self.narrator.step("applying \(self.manifest)")
        try await Manifests(client: self.playground.client).apply(file: self.manifest)
        let before = try await cluster.waitUntilReady(self.narrator)
        report.ready = true
        guard let oldStatus = before.status, let oldPrimary = oldStatus.primary else {
            throw DemoError("the cluster is Ready and has no primary")
        }
        try await self.introduce(cluster)

        let configuration = try await cluster.applicationConfiguration(directory: self.playground.directory)
        let writer = Writer(name: "demo", configuration: configuration, eventLoop: self.playground.eventLoop)
        try await writer.prepare()
        let address = configuration.hostaddr ?? ""
        self.narrator.step("a client writes one row per commit through the Service orders (\(address)) from here on")
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await writer.run() }
            try await writer.waitForCommits(200)
            try await self.replaceNode(cluster, oldPrimary: oldPrimary, term: oldStatus.term, writer, &report)
            try await writer.waitForCommits(200)
            group.cancelAll()
            try await group.waitForAll()
        }
        try await self.count(writer, configuration, &report)
        return report
    }

    // MARK: Chapters

    private func introduce(_ cluster: DemoCluster) async throws {
        self.narrator.step("the cluster is Ready:")
        for pod in try await cluster.pods().sorted(by: { ($0.metadata.name ?? "") < ($1.metadata.name ?? "") }) {
            self.narrator.say("  \(pod.metadata.name ?? "")  \(pod.roleLabel)  on \(pod.nodeName)")
        }
    }

    private func replaceNode(
        _ cluster: DemoCluster,
        oldPrimary: String,
        term: Int64,
        _ writer: Writer,
        _ report: inout DemoReport
    ) async throws {
        guard let pod = try await cluster.pod(oldPrimary), let uid = pod.metadata.uid else {
            throw DemoError("the primary has no pod")
        }
        let node = pod.nodeName
        report.primaryNodeBefore = node
        let claim = try await self.volume(cluster, oldPrimary)
        let zone = try await self.zone(node)
        self.narrator.step("a fresh node, \(self.freshNode), joins in \(zone), as a rolling upgrade would have it")
        try await self.playground.startNode(self.freshNode, zone: zone)

        self.narrator.step("asking the Eviction API for the primary, \(oldPrimary) on \(node)")
        let evictor = DemoEvictor(cluster: cluster, instance: oldPrimary, uid: uid)
        if try await evictor.attempt() {
            report.broken.append("the primary could be evicted")
            return
        }
        report.evictionRefusedWhilePrimary = evictor.current.refusedWhilePrimary == 1
        if report.evictionRefusedWhilePrimary {
            self.narrator.say("refused with 429, as it must be: the budget orders-master protects it")
        } else {
            report.broken.append("the eviction of the primary was not refused with 429: \(evictor.current)")
        }

        writer.resetLongestGap()
        self.narrator.step("cordoning \(node), and asking for the eviction again every 20 ms")
        try await cluster.cordon(node)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await evictor.run() }
            try await self.watchSwitchover(cluster, from: oldPrimary, term: term, evictor, &report)
            try await group.waitForAll()
        }
        self.judge(evictor.current, oldPrimary, &report)
        try await self.watchReturn(cluster, oldPrimary, oldUID: uid, claim: claim, writer, &report)
        try await self.readReply(node, &report)
    }

    private func watchSwitchover(
        _ cluster: DemoCluster,
        from oldPrimary: String,
        term: Int64,
        _ evictor: DemoEvictor,
        _ report: inout DemoReport
    ) async throws {
        let status = try await self.narrator.wait(for: "the switchover", every: .milliseconds(10)) {
            let status = try await cluster.read().status ?? PostgresClusterStatus()
            if let primary = status.primary, primary != oldPrimary, status.transition == nil {
                return DemoLook.found(status)
            }
            if let transition = status.transition {
                return .notYet("\(transition.from) -> \(transition.to ?? "nobody yet"), \(transition.phase.rawValue)")
            }
            let readiness = DemoCluster.condition(.readyForEviction, of: status)
            return .notYet("not begun, ReadyForEviction: \(readiness?.reason.rawValue ?? "unknown")")
        }
        report.switchovers = Int(status.term - term)
        report.primaryNodeAfter = status.primaryNode ?? ""
        self.narrator.step(
            "\(status.primary ?? "") on \(report.primaryNodeAfter) is the primary now, in term \(status.term)"
        )
    }

    private func judge(_ tally: DemoEvictor.Tally, _ oldPrimary: String, _ report: inout DemoReport) {
        self.narrator.step("the eviction of \(oldPrimary) went through")
        self.narrator.say(
            """
            refused while it was the primary: \(tally.refusedWhilePrimary), while budgets were frozen after that: \
            \(tally.refusedLater), overtaken by a change of the pod: \(tally.overtaken)
            """
        )
        if !tally.others.isEmpty { self.narrator.say("other answers: \(tally.others)") }
        let wasReplica = tally.roleWhenEvicted == PodRole.replica.rawValue
        let hadSuccessor = tally.primaryWhenEvicted != nil && tally.primaryWhenEvicted != oldPrimary
        report.promotedBeforeEviction = wasReplica && hadSuccessor
        if !report.promotedBeforeEviction {
            report.broken.append(
                """
                the eviction went through while \(oldPrimary) was \(tally.roleWhenEvicted ?? "nothing") and the primary \
                was \(tally.primaryWhenEvicted ?? "nobody")
                """
            )
        }
    }

    private func watchReturn(
        _ cluster: DemoCluster,
        _ instance: String,
        oldUID: String,
        claim: String,
        _ writer: Writer,
        _ report: inout DemoReport
    ) async throws {
        // With its volume, when it was evicted at once; or another one has taken its place before it had to go.
        let pod = try await self.narrator.wait(for: "a replica on \(self.freshNode)") {
            let pods = try await cluster.pods()
            guard !pods.contains(where: { $0.metadata.uid == oldUID }) else {
                return DemoLook<Pod>.notYet("the old pod of \(instance) is there")
            }
            let pod = pods.first {
                $0.nodeName == self.freshNode && $0.isReady && $0.roleLabel == PodRole.replica.rawValue
            }
            return pod.map { .found($0) } ?? .notYet("none is ready there")
        }
        let replica = pod.metadata.name ?? ""
        if replica == instance {
            guard try await self.volume(cluster, instance) == claim else {
                report.broken.append("\(instance) came back with another volume")
                return
            }
        }
        // A row that was acknowledged from now on must reach it.
        try await writer.waitForCommits(1)
        let number = writer.current.lastAttempt
        let here = pod.status?.podIP ?? ""
        try await self.narrator.wait(for: "\(replica) to stream") {
            do {
                let newest = try await self.newestRow(at: here, writer.configuration)
                return newest >= number ? DemoLook.found(()) : .notYet("it has not got the newest rows")
            } catch {
                return .notYet("\(error)")
            }
        }
        self.narrator.step(
            replica == instance
                ? "\(instance) streams again, on \(pod.nodeName), with the volume it had"
                : "\(replica) streams on \(pod.nodeName), and has taken the place of \(instance)"
        )
        _ = try await cluster.waitUntilReady(self.narrator)
    }

    private func readReply(_ node: String, _ report: inout DemoReport) async throws {
        let client = self.playground.client
        report.evictionReady = try await self.narrator.wait(for: "the reply on \(node)", timeout: .seconds(60)) {
            let annotations = try await client.get(Node.self, node).metadata.annotations ?? [:]
            let reply = annotations[Annotations.evictionReady] ?? ""
            return reply == "true" ? .found(reply) : .notYet("\(Annotations.evictionReady) is '\(reply)'")
        }
        self.narrator.step("\(node) says \(Annotations.evictionReady): \(report.evictionReady)")
    }

    private func count(
        _ writer: Writer,
        _ configuration: PostgresConfiguration,
        _ report: inout DemoReport
    ) async throws {
        let seen = writer.current
        let check = try await WriteCheck.run(
            writer: "demo",
            acknowledged: seen.acknowledged,
            configuration: configuration,
            eventLoop: self.playground.eventLoop
        )
        report.acknowledgedWrites = seen.acknowledged.count
        report.failedWrites = seen.failedAttempts
        report.lostWrites = check.lost
        report.writeGapMilliseconds = seen.longestGap.milliseconds
        self.narrator.step(
            """
            \(seen.acknowledged.count) rows were acknowledged, \(check.lost) of them are lost; \(seen.failedAttempts) \
            attempts failed; the longest time without a commit was \(report.writeGapMilliseconds) ms
            """
        )
        if check.lost > 0 { report.broken.append("rows were lost: \(check.lostExamples)") }
        if check.duplicates > 0 { report.broken.append("\(check.duplicates) rows are there more than once") }
        if report.switchovers != 1 { report.broken.append("there were \(report.switchovers) switchovers, not one") }
        if report.primaryNodeAfter == report.primaryNodeBefore {
            report.broken.append("the primary is still on \(report.primaryNodeBefore)")
        }
    }

    // MARK: Small parts

    private func volume(_ cluster: DemoCluster, _ instance: String) async throws -> String {
        let claim = try await cluster.client.get(PersistentVolumeClaim.self, instance, namespace: cluster.namespace)
        return "\(claim.metadata.uid ?? "")/\(claim.spec?.volumeName ?? "")"
    }

    private func zone(_ node: String) async throws -> String {
        let labels = try await self.playground.client.get(Node.self, node).metadata.labels ?? [:]
        return labels["topology.kubernetes.io/zone"] ?? ""
    }

    private func newestRow(at address: String, _ configuration: PostgresConfiguration) async throws -> Int64 {
        var direct = configuration
        direct.hostaddr = address
        return try await PostgresConnection.withConnection(direct, eventLoop: self.playground.eventLoop) { connection in
            let rows = try await connection.query(
                "SELECT max(sequence) AS newest FROM drover_workload WHERE writer = 'demo' AND pg_is_in_recovery()",
                timeout: .seconds(5)
            )
            return rows.first?.value("newest", as: Int64.self) ?? 0
        }
    }
}
