internal import Fleet
internal import Foundation
internal import KubernetesClient
internal import ProcessNode

/// One number of clusters: made, left at rest, and then what happens to a fleet.
struct BenchFleet: Sendable {
    let stage: FleetStage
    let narrator: DemoNarrator
    let rest: Duration
    let edits: Int

    private var count: Int { self.stage.options.clusters }
    private static let patience = Duration.seconds(1800)

    func run() async throws -> FleetFigures {
        var figures = FleetFigures()
        figures.add("clusters", self.count)
        try await self.stage.createClusters()
        var leader = try await self.stage.startOperator()
        do {
            try await self.make(&figures, leader)
            await leader.end()
            leader = try await self.restart(&figures)
            try await self.watchRest(&figures, leader)
            try await self.editSome(&figures)
            try await self.editAll(&figures, leader)
            try await self.cordon(&figures, leader)
            leader = try await self.takeOver(&figures, from: leader)
        } catch {
            await leader.end()
            throw error
        }
        figures.add("peakMiB", Double(leader.usage.peakKiB) / 1024)
        await leader.end()
        return figures
    }

    // MARK: What is measured

    private func make(_ figures: inout FleetFigures, _ leader: FleetOperator) async throws {
        self.narrator.step("\(self.count) new clusters")
        let start = ContinuousClock.now
        try await self.waitUntilSettled(leader)
        figures.add("newToReadySeconds", start.duration(to: .now).inSeconds)
        figures.add("newCPUSeconds", leader.usage.cpuSeconds)
    }

    /// A new process that knows nothing: until it listens to every cluster's primary.
    private func restart(_ figures: inout FleetFigures) async throws -> FleetOperator {
        self.narrator.step("a new operator")
        try await self.wait(for: "the old one's streams to end") { self.stage.world.streamCount == 0 }
        let before = try await self.stage.requests()
        let start = ContinuousClock.now
        let leader = try await self.stage.startOperator()
        try await self.wait(for: "all clusters to be observed", every: .milliseconds(10)) {
            self.stage.world.primaryStreamCount >= self.count
        }
        figures.add("coldStartSeconds", start.duration(to: .now).inSeconds)
        let usage = leader.usage
        figures.add("coldStartCPUSeconds", usage.cpuSeconds)
        figures.add("coldStartMiB", Double(usage.residentKiB) / 1024)
        figures.add("coldStartRequests", Self.ofOperator(try await self.stage.requests().since(before)))
        return leader
    }

    private func watchRest(_ figures: inout FleetFigures, _ leader: FleetOperator) async throws {
        try await Task.sleep(for: .seconds(10))
        self.narrator.step("at rest")
        let before = try await self.stage.requests()
        let start = leader.usage
        let began = ContinuousClock.now
        try await Task.sleep(for: self.rest)
        let seconds = began.duration(to: .now).inSeconds
        let end = leader.usage
        let requests = Self.ofOperator(try await self.stage.requests().since(before))
        figures.add("restCPUPercent", (end.cpuSeconds - start.cpuSeconds) / seconds * 100)
        figures.add("restMiB", Double(end.residentKiB) / 1024)
        figures.add("restKiBPerCluster", Double(end.residentKiB) / Double(self.count))
        figures.add("restDescriptors", end.descriptors)
        figures.add("restThreads", end.threads)
        figures.add("restRequestsPerSecond", Double(requests.values.reduce(0, +)) / seconds)
        figures.add(
            "restRequestsPerClusterAndMinute",
            Double(requests.values.reduce(0, +)) / Double(self.count) / seconds * 60
        )
        figures.add("restRequests", requests)
    }

    private func editSome(_ figures: inout FleetFigures) async throws {
        self.narrator.step("\(self.edits) edits, one after the other")
        self.stage.watch.mark()
        let keys = self.stage.keys
        var seconds: [Double] = []
        for number in 0..<self.edits {
            // Spread, so that no two neighbours come after each other.
            let key = keys[number * 37 % keys.count]
            let start = ContinuousClock.now
            let generation = try await self.stage.edit(key, to: 5000 + number)
            let seen = try await self.waitFor(key) { $0.observedGeneration >= generation }
            seconds.append(start.duration(to: seen).inSeconds)
        }
        figures.add("editP50Milliseconds", seconds.percentile(0.5) * 1000)
        figures.add("editP99Milliseconds", seconds.percentile(0.99) * 1000)
    }

    private func editAll(_ figures: inout FleetFigures, _ leader: FleetOperator) async throws {
        self.narrator.step("an edit of all")
        let before = leader.usage
        let start = ContinuousClock.now
        let generations = Generations()
        try await self.stage.forEach(self.stage.keys) { key in
            generations.note(key, try await self.stage.edit(key, to: 9000))
        }
        try await self.wait(for: "all edits to be taken in") {
            let latest = self.stage.watch.latest
            return generations.all.allSatisfy { (latest[$0]?.observedGeneration ?? 0) >= $1 }
        }
        figures.add("editAllSeconds", start.duration(to: .now).inSeconds)
        figures.add("editAllCPUSeconds", leader.usage.cpuSeconds - before.cpuSeconds)
        try await self.waitUntilSettled(leader)
    }

    private func cordon(_ figures: inout FleetFigures, _ leader: FleetOperator) async throws {
        let before = self.stage.watch.latest
        let byNode = Dictionary(grouping: before) { $0.value.primaryNode ?? "" }
        guard let (node, members) = byNode.max(by: { ($0.value.count, $0.key) < ($1.value.count, $1.key) }) else {
            return
        }
        self.narrator.step("\(members.count) primaries leave \(node)")
        self.stage.watch.mark()
        let usage = leader.usage
        let start = ContinuousClock.now
        try await self.stage.cordon(node, true)
        var begun: [Double] = []
        var decided: [Double] = []
        var done: [Double] = []
        for (key, seen) in members {
            let first = try await self.waitFor(key) { $0.isMoving || $0.term > seen.term }
            begun.append(start.duration(to: first).inSeconds)
            let second = try await self.waitFor(key) { $0.term > seen.term }
            decided.append(start.duration(to: second).inSeconds)
            let third = try await self.waitFor(key) { new in
                new.term > seen.term && !new.isMoving && new.primaryNode != node
            }
            done.append(start.duration(to: third).inSeconds)
        }
        figures.add("cordonPrimaries", members.count)
        figures.add("cordonFirstBegunSeconds", begun.min() ?? 0)
        figures.add("cordonLastBegunSeconds", begun.max() ?? 0)
        figures.add("cordonLastDecidedSeconds", decided.max() ?? 0)
        figures.add("cordonLastDoneSeconds", done.max() ?? 0)
        figures.add("cordonCPUSeconds", leader.usage.cpuSeconds - usage.cpuSeconds)
        try await self.stage.cordon(node, false)
        try await self.waitUntilSettled(leader)
    }

    /// Another operator leads: after the word of the one that led, and after its death.
    private func takeOver(_ figures: inout FleetFigures, from leader: FleetOperator) async throws -> FleetOperator {
        self.narrator.step("another operator takes over")
        let second = try await self.stage.startOperator()
        do {
            try await Task.sleep(for: .seconds(3))
            figures.add("takeOverSeconds", try await self.firstAnswer(8001) { await leader.end() })
        } catch {
            await second.end()
            throw error
        }
        let third = try await self.stage.startOperator()
        do {
            try await Task.sleep(for: .seconds(3))
            figures.add("takeOverAfterDeathSeconds", try await self.firstAnswer(8002) { await second.kill() })
        } catch {
            await second.end()
            await third.end()
            throw error
        }
        return third
    }

    /// How long it takes, from the end of the leader, until an edit made at that moment is acted on.
    private func firstAnswer(_ value: Int, _ end: @escaping @Sendable () async -> Void) async throws -> Double {
        self.stage.watch.mark()
        let key = self.stage.keys[0]
        let start = ContinuousClock.now
        async let over: Void = end()
        // Late enough that the one that goes does not answer.
        try await Task.sleep(for: .milliseconds(200))
        let generation = try await self.stage.edit(key, to: value)
        let seen = try await self.waitFor(key) { $0.observedGeneration >= generation }
        await over
        return start.duration(to: seen).inSeconds
    }

    // MARK: Waiting

    private static func ofOperator(_ requests: [String: Int]) -> [String: Int] {
        var own: [String: Int] = [:]
        for (kind, count) in requests where kind.hasPrefix("operator ") { own[String(kind.dropFirst(9))] = count }
        return own
    }

    private func waitUntilSettled(_ leader: FleetOperator) async throws {
        try await self.narrator.wait(for: "all to be ready", timeout: Self.patience, every: .milliseconds(50)) {
            let settled = self.stage.watch.settled
            guard leader.child.isRunning else {
                throw DemoError("the operator has ended: see \(self.stage.directory)/operator.log")
            }
            return settled >= self.count ? .found(()) : .notYet("\(settled * 20 / self.count * 5) %")
        }
    }

    private func wait(
        for what: String,
        every interval: Duration = .milliseconds(20),
        _ condition: @Sendable () -> Bool
    ) async throws {
        try await self.narrator.wait(for: what, timeout: Self.patience, every: interval) {
            condition() ? .found(()) : .notYet("")
        }
    }

    private func waitFor(
        _ key: ObjectKey,
        _ condition: @Sendable (FleetWatch.Seen) -> Bool
    ) async throws -> ContinuousClock.Instant {
        try await self.narrator.wait(for: "\(key)", timeout: .seconds(600), every: .milliseconds(2)) {
            self.stage.watch.first(key, condition).map { .found($0) } ?? .notYet("")
        }
    }
}
