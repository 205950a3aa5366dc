internal import Foundation
internal import KubernetesClient

/// What a roll must not forget: the value of the annotation that makes a node part of it.
struct RollRecord: Codable, Hashable, Sendable {
    /// When the roll was begun, which is its name as well.
    var startedAt: Timestamp
    /// When the youngest node of those days was made, by the API server's clock: what is younger has come since.
    var newest: Timestamp
    /// How many nodes the roll replaces, by zone.
    var nodes: [String: Int]

    init(startedAt: Timestamp, newest: Timestamp, nodes: [String: Int]) {
        self.startedAt = startedAt
        self.newest = newest
        self.nodes = nodes
    }

    /// Reads the annotation's value, nil when it is none of ours.
    init?(annotation: String) {
        guard annotation.utf8.count <= 64 * 1024,
            let record = try? JSONDecoder().decode(RollRecord.self, from: Data(annotation.utf8))
        else { return nil }
        self = record
    }

    /// The annotation's value: one line of JSON with sorted keys.
    func annotation() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }

    /// Whether a node was not there yet when the roll began.
    func isYounger(_ node: RollNode) -> Bool {
        guard let created = node.created, let newest = self.newest.date else { return false }
        return created > newest
    }
}

/// How far a roll is with an old node.
enum RollStep: String, Hashable, Sendable, CaseIterable {
    /// It is announced: its primaries leave for new nodes, and it is not touched otherwise.
    case waiting = "Waiting"
    /// With surge: a new node comes first.
    case adding = "Adding"
    /// It is emptied.
    case draining = "Draining"
    /// Without surge: a new node takes its place.
    case replacing = "Replacing"
    /// With surge: it goes away.
    case removing = "Removing"
    /// It is empty and has been replaced; whoever owns the machine may remove it.
    case done = "Done"

    /// Whether something is being done with the node.
    var isInWork: Bool {
        switch self {
        case .adding, .draining, .replacing, .removing: true
        case .waiting, .done: false
        }
    }

    /// Whether nothing on the node counts any more.
    var isEmptied: Bool {
        switch self {
        case .replacing, .removing, .done: true
        case .waiting, .adding, .draining: false
        }
    }
}

/// What a roll reads of a node.
struct RollNode: Hashable, Sendable {
    var name: String
    var uid: String
    var zone: String
    var created: Date?
    /// Whether it is Ready and takes pods.
    var isReady = true
    /// Whether the user's selector selects it.
    var isSelected = false
    /// The roll that it is replaced in.
    var record: RollRecord?
    /// Whether it is announced that the node goes.
    var isAnnounced = false
    var step: RollStep?
    /// The roll that it has come in.
    var replacement: RollRecord?
    /// The DaemonSets that have a pod on it, and whether that pod is ready.
    var daemonSets: [String: Bool] = [:]

    /// Whether it is Ready and has a ready pod of each of these DaemonSets, and of those that it has a pod of.
    func isComplete(_ expected: Set<String>) -> Bool {
        self.isReady && self.daemonSets.values.allSatisfy(\.self) && expected.isSubset(of: self.daemonSets.keys)
    }
}

/// What a roll reads of a cluster.
struct RollCluster: Hashable, Sendable {
    var key: ObjectKey
    /// How many instances it should have.
    var wanted: Int
    /// The nodes of its ready instances.
    var readyOn: [String]
    /// Whether its primary serves, nothing changes it and nobody joins.
    var isAtRest: Bool
}
