internal import ArgumentParser
internal import JSON
internal import KubernetesClient
internal import PostgresClusterAPI

/// Lets planned moves wait.
struct HoldCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hold",
        abstract: "Let planned moves of a cluster's primary wait.",
        discussion: """
            A hold shows as a blocker to whoever wants to drain the primary's node. It ends by itself 15 minutes \
            before the node's eviction deadline, because being killed is worse than moving; a primary whose pod is \
            being stopped moves in any case.
            """
    )

    @Argument(help: "The cluster.", completion: .clusters)
    var cluster: String

    @Option(name: .shortAndLong, help: "Why; everybody who waits will read it.")
    var reason: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var scope: NamespaceOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        let reason = self.reason.printable
        guard !reason.allSatisfy(\.isWhitespace) else { throw ValidationError("--reason must say something") }
        guard reason.count <= 256 else { throw ValidationError("--reason has at most 256 characters") }
    }

    func run() async throws {
        let command = self
        try await Session.run(self.connection) { session in
            try await Hold(
                client: session.client,
                namespace: command.scope.namespace ?? session.namespace,
                format: command.output.output
            )
            .set(command.cluster, reason: command.reason, command.output.printer)
        }
    }
}

/// Lets planned moves go on.
struct ReleaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "release",
        abstract: "Let planned moves of a cluster's primary go on."
    )

    @Argument(help: "The cluster.", completion: .clusters)
    var cluster: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var scope: NamespaceOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let command = self
        try await Session.run(self.connection) { session in
            let isFree = try await Hold(
                client: session.client,
                namespace: command.scope.namespace ?? session.namespace,
                format: command.output.output
            )
            .release(command.cluster, command.output.printer)
            if !isFree { throw ExitCode(1) }
        }
    }
}

/// What holds a cluster after a change, for programs.
struct HoldReport: Codable, Hashable, Sendable {
    /// Who says that planned moves wait.
    enum Source: String, Codable, Hashable, Sendable {
        case annotation = "Annotation"
        case spec = "Spec"
    }

    var cluster: String
    /// Why planned moves wait; nil when they do not.
    var hold: String?
    var source: Source?
    /// A change of primary that has begun, and whose phase decides whether it still can be held.
    var transition: Transition?

    init(_ cluster: PostgresCluster) {
        self.cluster = "\(cluster.key)"
        self.hold = cluster.hold
        if self.hold != nil {
            self.source = (cluster.metadata.annotations?[Annotations.hold] ?? "").isEmpty ? .spec : .annotation
        }
        self.transition = cluster.status?.transition
    }
}

/// Writes the annotation that holds a cluster.
struct Hold: Sendable {
    let client: KubernetesClient
    let namespace: String
    var format = OutputFormat.table

    func set(_ cluster: String, reason: String, _ printer: Printer) async throws {
        let changed = try await self.annotate(cluster, .string(reason.printable))
        if try printer.report(HoldReport(changed), self.format) { return }
        printer.line("\(changed.key) is held: \(reason)")
        if let transition = changed.status?.transition, transition.phase > .preparing {
            printer.line(
                "a \(transition.kind.rawValue.lowercased()) is in phase \(transition.phase.rawValue) and goes to its end",
                .warning
            )
        }
    }

    /// - Returns: whether nothing holds the cluster any more.
    func release(_ cluster: String, _ printer: Printer) async throws -> Bool {
        let changed = try await self.annotate(cluster, .null)
        if try printer.report(HoldReport(changed), self.format) { return changed.hold == nil }
        // What the spec says is the DB team's own text, often kept in a repository: not ours to change.
        if let hold = changed.spec.resolved.hold {
            printer.line("\(changed.key) is still held by spec.maintenance.hold: \(hold)", .warning)
            return false
        }
        printer.line("\(changed.key) is released")
        return true
    }

    private func annotate(_ cluster: String, _ value: JSONValue) async throws(KubernetesError) -> PostgresCluster {
        try await self.client.patch(
            PostgresCluster.self,
            cluster,
            namespace: self.namespace,
            .merge(["metadata": ["annotations": [Annotations.hold: value]]])
        )
    }
}
