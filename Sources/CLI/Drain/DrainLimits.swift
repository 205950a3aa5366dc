internal import ArgumentParser
internal import ClusterPlanning
internal import Foundation
internal import KubernetesClient
internal import PostgresClusterAPI

/// How far a drain may go.
struct DrainLimits: ParsableArguments {
    @Option(help: "Delete what is left after so long, such as 30m; announced as the deadline.")
    var forceAfter: TimeSpan?

    @Option(help: "Give up on a node after so long; announcement and cordon stay.")
    var timeout: TimeSpan?

    @Flag(help: "Evict pods that have no controller, too; nobody makes them again.")
    var force = false

    @Flag(name: .customLong("delete-emptydir-data"), help: "Evict pods with data in an emptyDir, too.")
    var deleteEmptyDirectoryData = false

    /// A drain that goes on keeps the deadline that its first run has announced, or an earlier one of somebody else's.
    func settings(for node: Node, deadline: Date? = nil, now: Date) -> DrainMachine.Settings {
        var settings = DrainMachine.Settings(
            deadline: deadline,
            giveUpAt: self.timeout.map { now.addingTimeInterval($0.seconds) },
            includesBarePods: self.force,
            includesLocalData: self.deleteEmptyDirectoryData
        )
        if let forceAfter {
            let announced = node.metadata.annotations?[Annotations.evictionDeadline]
                .flatMap { Timestamp(rawValue: $0).date }
            settings.forceAt = [announced, now.addingTimeInterval(forceAfter.seconds)].compactMap(\.self).min()
        }
        return settings
    }
}
