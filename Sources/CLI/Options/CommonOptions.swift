internal import ArgumentParser

/// For what reads the output.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable, Sendable {
    case table
    case wide
    case json
    case yaml
}

/// Which API server to talk to.
struct ConnectionOptions: ParsableArguments {
    @Option(help: "The kubeconfig; without it, KUBECONFIG or ~/.kube/config.", completion: .file())
    var kubeconfig: String?

    @Option(help: "The context of the kubeconfig.")
    var context: String?
}

/// Which namespace is meant.
struct NamespaceOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: "The namespace; the context's without it.")
    var namespace: String?
}

/// Which namespaces are meant.
struct ScopeOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: "Look at this namespace only.")
    var namespace: String?

    @Flag(name: [.customShort("A"), .long], help: "Look at all namespaces.")
    var allNamespaces = false

    func validate() throws {
        guard self.namespace == nil || !self.allNamespaces else {
            throw ValidationError("--namespace and --all-namespaces exclude each other")
        }
    }
}

/// How the answer looks.
struct OutputOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: "table, wide, json or yaml.")
    var output = OutputFormat.table

    @Flag(help: "No colours; NO_COLOR in the environment does the same.")
    var noColor = false

    var printer: Printer { .standardOutput(isColourRefused: self.noColor) }
}
