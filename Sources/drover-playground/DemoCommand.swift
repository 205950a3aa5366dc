internal import ArgumentParser
internal import EventLoop
internal import Foundation
internal import Playground
internal import Synchronization

/// Shows a primary leaving its node before the node is drained.
struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Show a primary leaving its node before the node is drained, while a client writes."
    )

    @Flag(help: "Print one JSON object as the last line.")
    var json = false

    @Flag(help: "Leave the playground running at the end, until Ctrl-C.")
    var keep = false

    @Option(help: "Where to write the kubeconfig.")
    var kubeconfig = "playground.kubeconfig"

    @OptionGroup
    var stage: StageOptions

    func run() async throws {
        var options = self.stage.playground("demo")
        options.kubeconfig = self.kubeconfig
        let ready = options
        let command = self
        let isGood = DemoOutcome()
        try await TerminationSignal.run {
            try await command.run(ready, isGood)
        }
        guard isGood.value else { throw ExitCode(1) }
    }

    private func run(_ options: PlaygroundOptions, _ outcome: DemoOutcome) async throws {
        let narrator = DemoNarrator()
        narrator.step("starting an API server, the operator, and three nodes in three zones")
        try await Playground.run(options) { playground in
            let story = DemoStory(
                playground: playground,
                narrator: narrator,
                manifest: self.stage.manifest,
                freshNode: "node-d"
            )
            var report = DemoReport()
            do {
                report = try await story.tell()
            } catch  where !(error is CancellationError) {
                report.broken.append("the story could not be told to its end: \(error)")
                narrator.say("the operator's log ends with:")
                narrator.plain(Self.tail(of: playground.operatorLog))
            }
            for promise in report.broken { narrator.complain("BROKEN: \(promise)") }
            if report.broken.isEmpty { narrator.step("every promise was kept") }
            Self.explain(playground, narrator, isKept: self.keep)
            if self.json { narrator.plain(report.json) }
            outcome.value = report.broken.isEmpty
            if self.keep {
                // Until cancelled by a signal.
                try await Task.sleep(for: .seconds(Int64.max / 4))
            }
        }
    }

    private static func explain(_ playground: Playground, _ narrator: DemoNarrator, isKept: Bool) {
        let kubeconfig = playground.options.kubeconfig ?? playground.kubeconfig
        if isKept {
            narrator.plain(
                """

                The playground keeps running until Ctrl-C. Try, in another shell:
                  kubectl --kubeconfig \(kubeconfig) get postgresclusters,pods,pdb -o wide
                  kubectl --kubeconfig \(kubeconfig) describe postgrescluster orders
                  kubectl --kubeconfig \(kubeconfig) drain node-b --ignore-daemonsets
                """
            )
        } else {
            narrator.plain(
                """

                To look around yourself, run it again with --keep, and then:
                  kubectl --kubeconfig \(kubeconfig) get postgresclusters -w
                  kubectl --kubeconfig \(kubeconfig) drain node-b --ignore-daemonsets
                """
            )
        }
    }

    private static func tail(of file: String) -> String {
        let text = (try? String(contentsOfFile: file, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").suffix(15).joined(separator: "\n")
    }
}

/// Whether all went well, for the end of the process.
final class DemoOutcome: Sendable {
    private let box = Lock(false)

    var value: Bool {
        get { self.box.withLock { $0 } }
        set { self.box.withLock { $0 = newValue } }
    }
}
