internal import ArgumentParser
internal import KubernetesClient
internal import PostgresClusterAPI

extension CompletionKind {
    /// Names of clusters in the namespace that the words typed so far mean.
    static var clusters: CompletionKind {
        .custom { words, _, _ in
            await CompletionWords(words)
                .names { session, namespace in
                    try await session.client.list(PostgresCluster.self, namespace: namespace).items
                        .compactMap(\.metadata.name)
                }
        }
    }

    /// Names of nodes.
    static var nodes: CompletionKind {
        .custom { words, _, _ in
            await CompletionWords(words)
                .names { session, _ in
                    try await session.client.list(Node.self).items.compactMap(\.metadata.name)
                }
        }
    }
}

/// What the words of an unfinished command line say about where to look.
struct CompletionWords: Sendable, Hashable {
    var kubeconfig: String?
    var context: String?
    var namespace: String?

    init(_ words: [String]) {
        self.kubeconfig = Self.value(of: ["--kubeconfig"], in: words)
        self.context = Self.value(of: ["--context"], in: words)
        self.namespace = Self.value(of: ["--namespace", "-n"], in: words)
    }

    private static func value(of names: [String], in words: [String]) -> String? {
        for (index, word) in words.enumerated() {
            for name in names {
                if word == name, index + 1 < words.count { return words[index + 1] }
                if word.hasPrefix("\(name)=") { return String(word.dropFirst(name.count + 1)) }
            }
        }
        return nil
    }

    /// Asks the API server; whoever presses the tabulator wants no error messages and does not want to wait.
    func names(
        _ ask: @escaping @Sendable (Session, String) async throws -> [String]
    ) async -> [String] {
        var connection = ConnectionOptions()
        connection.kubeconfig = self.kubeconfig
        connection.context = self.context
        let namespace = self.namespace
        let found = try? await Session.with(connection) { session in
            let quick = Session(
                client: session.client.with(requestTimeout: .seconds(2)).with(retryPolicy: .never),
                namespace: session.namespace
            )
            return try await ask(quick, namespace ?? session.namespace)
        }
        return found ?? []
    }
}
