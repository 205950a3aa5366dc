internal import Foundation
internal import JSON
internal import KubernetesClient

/// What a container does now, or did last.
enum ContainerState: Sendable, Equatable {
    case waiting(reason: String, message: String?)
    case running(startedAt: Date, id: String)
    case terminated(code: Int32, reason: String, startedAt: Date?, finishedAt: Date, id: String)

    var isRunning: Bool { if case .running = self { true } else { false } }

    var terminatedCode: Int32? { if case .terminated(let code, _, _, _, _) = self { code } else { nil } }

    fileprivate var id: String? {
        switch self {
        case .waiting: nil
        case .running(_, let id), .terminated(_, _, _, _, let id): id
        }
    }

    fileprivate var document: JSONValue {
        switch self {
        case .waiting(let reason, let message):
            var waiting: JSONValue = ["reason": .string(reason)]
            waiting["message"] = message.map(JSONValue.string)
            return ["waiting": waiting]
        case .running(let startedAt, _):
            return ["running": ["startedAt": .time(startedAt)]]
        case .terminated(let code, let reason, let startedAt, let finishedAt, let id):
            var terminated: JSONValue = [
                "exitCode": .int(Int64(code)), "reason": .string(reason), "finishedAt": .time(finishedAt),
                "containerID": .string(id),
            ]
            terminated["startedAt"] = startedAt.map(JSONValue.time)
            return ["terminated": terminated]
        }
    }
}

/// One entry of `status.containerStatuses`.
struct ContainerStatus: Sendable, Equatable {
    var name: String
    var image: String
    var state: ContainerState = .waiting(reason: "ContainerCreating", message: nil)
    var lastState: ContainerState?
    var isReady = false
    var isStarted = false
    var restartCount = 0

    var document: JSONValue {
        [
            "name": .string(self.name), "image": .string(self.image), "imageID": .string(self.image),
            "containerID": .string(self.state.id ?? self.lastState?.id ?? ""), "ready": .bool(self.isReady),
            "started": .bool(self.isStarted), "restartCount": .int(Int64(self.restartCount)),
            "state": self.state.document, "lastState": self.lastState?.document ?? [:],
        ]
    }
}

extension ContainerStatus {
    /// Takes over what an earlier agent said of this container, whose processes ended with that agent.
    mutating func resume(from old: JSONValue, now: Date) {
        self.restartCount = Int(clamping: old["restartCount"]?.intValue ?? 0)
        if let terminated = old["state"]?["terminated"] ?? old["lastState"]?["terminated"] {
            self.lastState = .terminated(
                code: Int32(clamping: terminated["exitCode"]?.intValue ?? 255),
                reason: terminated["reason"]?.stringValue ?? "Error",
                startedAt: terminated["startedAt"]?.dateValue,
                finishedAt: terminated["finishedAt"]?.dateValue ?? now,
                id: terminated["containerID"]?.stringValue ?? ""
            )
        }
        guard let running = old["state"]?["running"], let id = old["containerID"]?.stringValue else { return }
        self.restartCount += 1
        self.lastState = .terminated(
            code: 137,
            reason: "Error",
            startedAt: running["startedAt"]?.dateValue,
            finishedAt: now,
            id: id
        )
    }
}

extension JSONValue {
    /// A time as the API has it.
    static func time(_ date: Date) -> JSONValue { .string(Timestamp(date).rawValue) }

    /// A time, when this is one.
    var dateValue: Date? { self.stringValue.flatMap { Timestamp(rawValue: $0).date } }
}
