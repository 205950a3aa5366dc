internal import ClusterPlanning
internal import Foundation
public import Logging
public import ServiceLifecycle

/// Follows the file that says how nodes are judged: a mounted ConfigMap, which changes under us.
public struct RankingFile: ServiceLifecycle.Service {
    private let path: String
    private let interval: Duration
    private let drover: DroverOperator
    private let logger: Logger

    /// - Parameters:
    ///   - path: the file; it need not be there.
    ///   - interval: how often it is looked at.
    ///   - drover: the operator that goes by it.
    ///   - logger: told about every change.
    public init(path: String, interval: Duration = .seconds(5), drover: DroverOperator, logger: Logger) {
        self.path = path
        self.interval = interval
        self.drover = drover
        self.logger = logger
    }

    /// Looks again and again until it is cancelled or shut down gracefully.
    public func run() async throws {
        try? await cancelWhenGracefulShutdown {
            var reader = RankingReader()
            while !Task.isCancelled {
                self.look(&reader)
                try await Task.sleep(for: self.interval)
            }
        }
    }

    private func look(_ reader: inout RankingReader) {
        switch reader.read(FileManager.default.contents(atPath: self.path)) {
        case .nothing: break
        case .use(let ranking):
            self.drover.setRanking(ranking, isRefused: false)
            self.logger.notice(
                "Nodes are judged anew",
                metadata: ["ranking.file": "\(self.path)", "ranking.signals": "\(ranking.signals.count)"]
            )
        case .refuse(let problem):
            self.drover.setRanking(nil, isRefused: true)
            self.logger.error(
                "The ranking of nodes cannot be used, the one before goes on",
                metadata: ["ranking.file": "\(self.path)", "ranking.problem": "\(problem)"]
            )
        }
    }
}
