internal import ArgumentParser
internal import ClusterPlanning
internal import Foundation
internal import KubernetesClient

/// Where the list of signals is that the operator ranks nodes by.
struct RankingOptions: ParsableArguments {
    @Option(help: "A file with the operator's list of signals, in place of the one in its ConfigMap.")
    var nodeRanking: String?

    @Option(help: "The operator's namespace.")
    var operatorNamespace = "drover-system"
}

extension Fleet {
    /// The ConfigMap that the operator's Deployment mounts, and its key.
    static let rankingConfigMap = "drover-node-ranking"
    static let rankingKey = "ranking.json"

    /// Takes the operator's list of signals; without one, the defaults stay, as they do for the operator.
    ///
    /// - Throws: ``PluginError`` when there is a list and it cannot be read as one: an answer by another list than the
    ///   operator's would be wrong without saying so.
    mutating func loadRanking(_ client: KubernetesClient, _ options: RankingOptions) async throws {
        let text: String
        if let path = options.nodeRanking {
            do {
                text = try String(contentsOfFile: path, encoding: .utf8)
            } catch {
                throw PluginError("\(path) cannot be read")
            }
            try self.take(ranking: text, from: path)
            return
        }
        do {
            let map = try await client.get(
                ConfigMap.self,
                Self.rankingConfigMap,
                namespace: options.operatorNamespace
            )
            guard let found = map.data?[Self.rankingKey] else { return }
            text = found
        } catch {
            if error.code == .notFound { return }
            self.gaps.append("the operator's list of signals cannot be read, the default one counts: \(error.message)")
            return
        }
        try self.take(ranking: text, from: "ConfigMap \(options.operatorNamespace)/\(Self.rankingConfigMap)")
    }

    private mutating func take(ranking text: String, from source: String) throws {
        do {
            self.ranking = try JSONDecoder().decode(NodeRanking.self, from: Data(text.utf8))
        } catch {
            throw PluginError("\(source) is no list of signals: \(error)")
        }
    }
}
