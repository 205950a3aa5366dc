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

    func validate() throws {
        let reason = self.reason.printable
        guard !reason.allSatisfy(\.isWhitespace) else { throw ValidationError("--reason must say something") }
        guard reason.count <= 256 else { throw ValidationError("--reason has at most 256 characters") }
    }

    func run() async throws {
        let command = self
        try await Session.run(self.connection) { session in
            try await Hold(client: session.client, namespace: command.scope.namespace ?? session.namespace)
                .set(command.cluster, reason: command.reason, .standardOutput(isColourRefused: false))
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

    func run() async throws {
        let command = self
        try await Session.run(self.connection) { session in
            let isFree = try await Hold(
                client: session.client,
                namespace: command.scope.namespace ?? session.namespace
            )
            .release(command.cluster, .standardOutput(isColourRefused: false))
            if !isFree { throw ExitCode(1) }
        }
    }
}

/// Writes the annotation that holds a cluster.
struct Hold: Sendable {
    let client: KubernetesClient
    let namespace: String

    func set(_ cluster: String, reason: String, _ printer: Printer) async throws(KubernetesError) {
        let changed = try await self.annotate(cluster, .string(reason.printable))
        printer.line("\(changed.key) is held: \(reason)")
        if let transition = changed.status?.transition, transition.phase > .preparing {
            printer.line(
                "a \(transition.kind.rawValue.lowercased()) is in phase \(transition.phase.rawValue) and goes to its end",
                .warning
            )
        }
    }

    /// - Returns: whether nothing holds the cluster any more.
    func release(_ cluster: String, _ printer: Printer) async throws(KubernetesError) -> Bool {
        let changed = try await self.annotate(cluster, .null)
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
