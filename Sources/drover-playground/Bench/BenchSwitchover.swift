internal import EventLoop
internal import KubernetesClient
internal import Playground
internal import PostgresClient
internal import PostgresClusterAPI
internal import Workload

/// Switchovers of every contestant in turn, each under the same writer, so that what disturbs one disturbs all.
struct BenchSwitchover: Sendable {
    let playground: Playground
    let narrator: DemoNarrator
    let manifest: String
    let runs: Int
    let peers: [BenchPeer]
    let programs: BenchPrograms
    let activities: [BenchActivity]
    let loadRate: Int

    /// Somebody who is measured, and by which way.
    private struct Entry: Sendable {
        var label: String
        var contestant: any BenchContestant
        var route: BenchRoute
    }

    /// Measures one kind of replication.
    func measure(_ replication: BenchReplication) async throws -> [BenchComparison] {
        let drover = try await BenchDrover.start(
            client: self.playground.client,
            eventLoop: self.playground.eventLoop,
            directory: self.playground.directory,
            narrator: self.narrator,
            manifest: self.manifest,
            replication: replication
        )
        var contestants: [any BenchContestant] = [drover]
        var entries = [
            Entry(label: "drover", contestant: drover, route: .list),
            Entry(label: "droverService", contestant: drover, route: .service),
        ]
        do {
            let settings = try await drover.settings()
            for peer in self.peers {
                let contestant = try await self.start(peer, settings, replication)
                contestants.append(contestant)
                entries.append(Entry(label: peer.rawValue, contestant: contestant, route: .list))
            }
            let comparisons = try await self.measure(entries, contestants, replication)
            for contestant in contestants { await contestant.end() }
            return comparisons
        } catch {
            for contestant in contestants { await contestant.end() }
            throw error
        }
    }

    private func start(
        _ peer: BenchPeer,
        _ settings: [String: String],
        _ replication: BenchReplication
    ) async throws -> any BenchContestant {
        switch peer {
        case .floor, .floorArchiving:
            let isArchiving = peer == .floorArchiving
            self.narrator.step(
                "making three plain servers with the same settings\(isArchiving ? ", and archiving on" : "")"
            )
            let floor = try BenchFloor(eventLoop: self.playground.eventLoop, isArchiving: isArchiving)
            do {
                try await floor.start(settings: settings, replication: replication)
            } catch {
                await floor.end()
                throw error
            }
            return floor
        case .patroni:
            self.narrator.step("making three members under Patroni with the same settings, and etcd")
            return try await BenchPatroni.start(
                programs: self.programs,
                timing: .defaults,
                settings: settings,
                replication: replication,
                narrator: self.narrator,
                eventLoop: self.playground.eventLoop
            )
        }
    }

    private func measure(
        _ entries: [Entry],
        _ contestants: [any BenchContestant],
        _ replication: BenchReplication
    ) async throws -> [BenchComparison] {
        var comparisons: [BenchComparison] = []
        if self.activities.contains(.pgbench) {
            self.narrator.step("making pgbench's tables")
            for (index, contestant) in contestants.enumerated() { try await self.load(contestant, index).prepare() }
        }
        for activity in self.activities {
            self.narrator.step("\(replication.rawValue) replication, \(activity.rawValue)")
            var comparison = BenchComparison(replication: replication, activity: activity)
            for run in 1...self.runs {
                for entry in entries {
                    let name = "\(activity.rawValue)-\(entry.label)-\(run)"
                    let outcome = try await self.round(entry, name, activity)
                    comparison.add(entry.label, outcome)
                    if let noted = try await entry.contestant.trace(), let times = outcome.times,
                        let timeline = BenchTimeline(noted, seen: times)
                    {
                        comparison.addTrace(entry.label, timeline)
                    }
                }
                let gaps = entries.map { "\($0.label) \(comparison.figures($0.label).gaps.last ?? 0) ms" }
                self.narrator.say("run \(run): \(gaps.joined(separator: ", "))")
            }
            comparisons.append(comparison)
        }
        return comparisons
    }

    private func round(_ entry: Entry, _ name: String, _ activity: BenchActivity) async throws -> BenchRound.Outcome {
        let round = BenchRound(eventLoop: self.playground.eventLoop)
        let configuration = try await entry.contestant.configuration(entry.route)
        let contestant = entry.contestant
        let outcome: BenchRound.Outcome
        switch activity {
        case .idle:
            outcome = try await round.run(name, configuration) { try await contestant.switchover() }
        case .pgbench:
            let load = try await self.load(contestant, 0)
            outcome = try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await load.run() }
                // It must have got going.
                try await Task.sleep(for: .seconds(2))
                let outcome = try await round.run(name, configuration) { try await contestant.switchover() }
                group.cancelAll()
                try await group.waitForAll()
                return outcome
            }
        }
        try await contestant.settle()
        return outcome
    }

    private func load(_ contestant: any BenchContestant, _ index: Int) async throws -> BenchLoad {
        BenchLoad(
            configuration: try await contestant.configuration(.list),
            eventLoop: self.playground.eventLoop,
            rate: self.loadRate,
            log: "\(self.playground.directory)/pgbench-\(index).log"
        )
    }
}
