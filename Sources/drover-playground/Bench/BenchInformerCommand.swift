internal import ArgumentParser
internal import EventLoop
internal import Foundation
internal import JSON
internal import KubernetesClient
internal import KubernetesController
internal import Logging
internal import Playground
internal import ProcessNode

/// Measures what it costs to know all pods.
struct BenchInformerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "informer",
        abstract: "List and watch many large pods, with Drover's informer and with the Python client.",
        discussion: """
            Each contestant is a process of its own, one after the other against the same API server: it lists all pods in \
            pages of 500, and then sees so many changes. trimmed keeps of a pod what the operator keeps, whole keeps all \
            that our model has, python keeps what the package kubernetes of PyPI makes of it.
            """
    )

    @Option(help: "How many pods there are.")
    var pods = 10_000

    @Option(help: "How large each of them is, in KiB.")
    var size = 16

    @Option(help: "How many of them change while they are watched.")
    var changes = 1000

    @Option(help: "A Python that has the package kubernetes; scripts/bench makes one.")
    var python: String?

    @Flag(help: "Print one JSON object as the last line.")
    var json = false

    @OptionGroup
    var log: LogOptions

    func validate() throws {
        guard (1...100_000).contains(self.pods) else { throw ValidationError("--pods must be 1 to 100000") }
        guard (1...512).contains(self.size) else { throw ValidationError("--size must be 1 to 512") }
        guard (1...self.pods).contains(self.changes) else { throw ValidationError("--changes must be 1 to --pods") }
    }

    func run() async throws {
        let command = self
        try await TerminationSignal.run { try await command.measure() }
    }

    private func measure() async throws {
        let narrator = DemoNarrator()
        let directory = "\(NSTemporaryDirectory())/drover-informer-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let eventLoop = try EventLoop(name: "informer")
        defer { eventLoop.shutdown() }
        let program = "\(PlaygroundOptions.executablesOfThisProcess)/drover-playground"
        let kubeconfig = "\(directory)/kubeconfig"
        narrator.step("an API server with \(self.pods) pods of \(self.size) KiB")
        let server = try await ChildProcess.start(
            [program, "server", "--kubeconfig", kubeconfig, "--without-controller", "scheduler"],
            environment: ProcessInfo.processInfo.environment,
            output: "\(directory)/server.log",
            eventLoop: eventLoop
        )
        do {
            while !FileManager.default.fileExists(atPath: kubeconfig) {
                guard server.isRunning else { throw DemoError("the API server has ended") }
                try await Task.sleep(for: .milliseconds(50))
            }
            let client = KubernetesClient(
                configuration: try KubernetesConfiguration.kubeconfig(path: kubeconfig),
                eventLoop: eventLoop,
                logger: self.log.logger("bench")
            )
            defer { client.shutdown() }
            try await self.makePods(client)
            var contestants = [
                (name: "trimmed", command: [program, "bench", "watch-pods", kubeconfig, "\(self.changes)"]),
                (name: "whole", command: [program, "bench", "watch-pods", kubeconfig, "\(self.changes)", "--whole"]),
            ]
            if let python = self.python ?? ProcessInfo.processInfo.environment["DROVER_BENCH_PYTHON"] {
                contestants.append(
                    (name: "python", command: [python, "scripts/watch-pods.py", kubeconfig, "\(self.changes)"])
                )
            }
            var members: [(key: String, text: String)] = [("pods", "\(self.pods)"), ("kilobytes", "\(self.size)")]
            for (round, contestant) in contestants.enumerated() {
                narrator.step(contestant.name)
                let line = try await self.measure(
                    contestant.command,
                    output: "\(directory)/\(contestant.name).log",
                    round: round,
                    client: client,
                    eventLoop: eventLoop
                )
                narrator.say(line)
                members.append((contestant.name, line))
            }
            if self.json { narrator.plain(JSONObjectText(members).text) }
        } catch {
            await server.end(grace: .seconds(1))
            throw error
        }
        await server.end(grace: .seconds(1))
    }

    /// Starts a contestant, changes pods once it knows all, and gives the line with its figures.
    private func measure(
        _ command: [String],
        output: String,
        round: Int,
        client: KubernetesClient,
        eventLoop: EventLoop
    ) async throws -> String {
        let child = try await ChildProcess.start(
            command,
            environment: ProcessInfo.processInfo.environment,
            output: output,
            eventLoop: eventLoop
        )
        func lines() -> [String] {
            ((try? String(contentsOfFile: output, encoding: .utf8)) ?? "").split(separator: "\n").map(String.init)
        }
        while !lines().contains("listed") {
            guard child.isRunning else {
                throw DemoError("\(command[0]) has ended: \(lines().joined(separator: "; "))")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
        try await self.forEach(self.changes) { number in
            _ = try await client.patchObject(
                Pod.resourceType,
                "pod-\(number)",
                namespace: "default",
                .merge(["metadata": ["annotations": ["round": .string("\(round)")]]])
            )
        }
        _ = await child.waitForExit()
        guard let line = lines().last(where: { $0.hasPrefix("{") }) else {
            throw DemoError("\(command[0]) has measured nothing: \(lines().joined(separator: "; "))")
        }
        return line
    }

    private func makePods(_ client: KubernetesClient) async throws {
        // As large pods are: many settings, many of them long.
        let variables = (0..<self.size)
            .map { number -> JSONValue in
                ["name": .string("SETTING_\(number)"), "value": .string(String(repeating: "v\(number)", count: 300))]
            }
        try await self.forEach(self.pods) { number in
            _ = try await client.createObject(
                Pod.resourceType,
                [
                    "apiVersion": "v1", "kind": "Pod",
                    "metadata": ["name": .string("pod-\(number)"), "labels": ["app": "bench"]],
                    "spec": ["containers": [["name": "main", "image": "bench", "env": .array(variables)]]],
                ],
                namespace: "default"
            )
        }
    }

    private func forEach(_ count: Int, _ body: @escaping @Sendable (Int) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<count {
                if number >= 8 { try await group.next() }
                group.addTask { try await body(number) }
            }
            try await group.waitForAll()
        }
    }
}

/// One contestant of ``BenchInformerCommand``.
struct BenchWatchPodsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch-pods",
        abstract: "List and watch all pods until so many have changed, and say what that took.",
        shouldDisplay: false
    )

    @Argument(help: "The kubeconfig.")
    var kubeconfig: String

    @Argument(help: "How many changes are waited for.")
    var changes: Int

    @Flag(help: "Keep pods as they are.")
    var whole = false

    func run() async throws {
        let eventLoop = try EventLoop(name: "watch-pods")
        let logger = Logger(label: "watch-pods") { StreamLogHandler.standardError(label: $0) }
        let client = KubernetesClient(
            configuration: try KubernetesConfiguration.kubeconfig(path: self.kubeconfig),
            eventLoop: eventLoop,
            logger: logger
        )
        let isWhole = self.whole
        let informer = Informer<Pod>(client: client, logger: logger) { pod in
            guard !isWhole else { return }
            var spec = PodSpec(containers: [])
            spec.nodeName = pod.spec?.nodeName
            pod.spec = spec
        }
        let (events, continuation) = AsyncStream<Void>.makeStream()
        informer.addHandler(InformerHandler(updated: { _, _ in continuation.yield() }))
        let start = ContinuousClock.now
        // Not structured: the process ends with it.
        let work = Task { await informer.run() }
        try await informer.waitForSync()
        let listed = (start.duration(to: .now), ProcessUsage(of: getpid()), informer.store.count)
        Console.print("listed")
        var seen = 0
        for await _ in events {
            seen += 1
            if seen == self.changes { break }
        }
        let end = ProcessUsage(of: getpid())
        work.cancel()
        var figures = FleetFigures()
        figures.add("pods", listed.2)
        figures.add("listSeconds", listed.0.inSeconds)
        figures.add("listCPUSeconds", listed.1.cpuSeconds)
        figures.add("residentMiB", Double(listed.1.residentKiB) / 1024)
        figures.add("peakMiB", Double(end.peakKiB) / 1024)
        figures.add("watchCPUMillisecondsPerChange", (end.cpuSeconds - listed.1.cpuSeconds) / Double(seen) * 1000)
        Console.print(figures.json)
        client.shutdown()
    }
}
