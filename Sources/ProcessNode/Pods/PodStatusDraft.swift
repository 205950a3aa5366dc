internal import Foundation
internal import JSON

/// Everything the status of a pod is made from; a pure function makes the patch.
struct PodStatusDraft: Sendable {
    var restartPolicy: RestartPolicy = .always
    var containers: [ContainerStatus] = []
    var podIP: String?
    var hostIP: String
    var startTime: Date
    /// Set when the pod has ended for another reason than its containers', such as the node's shutdown.
    var failure: (reason: String, message: String)?
    /// Whether the pod ends and no container will be started again.
    var isEnding = false

    /// The phase, by the kubelet's rules.
    var phase: String {
        if self.failure != nil, self.containers.allSatisfy({ !$0.state.isRunning }) { return "Failed" }
        let started = self.containers.allSatisfy {
            $0.state.isRunning || $0.state.terminatedCode != nil || $0.lastState != nil
        }
        if self.containers.contains(where: { $0.state.isRunning }) { return started ? "Running" : "Pending" }
        let codes = self.containers.map { $0.state.terminatedCode }
        if codes.contains(where: { $0 == nil }) {
            // Ended while it waited for a start: it will have none.
            if self.isEnding { return started ? "Failed" : "Pending" }
            return started ? "Running" : "Pending"
        }
        let hasFailed = codes.contains { $0 != 0 }
        switch self.restartPolicy {
        case .always: return self.isEnding ? (hasFailed ? "Failed" : "Succeeded") : "Running"
        case .onFailure: return hasFailed ? (self.isEnding ? "Failed" : "Running") : "Succeeded"
        case .never: return hasFailed ? "Failed" : "Succeeded"
        }
    }

    /// The patch of the status.
    ///
    /// Conditions carry the time of their last change, taken from `old` where nothing changed.
    func document(old: JSONValue?, now: Date) -> JSONValue {
        let phase = self.phase
        let isOver = phase == "Succeeded" || phase == "Failed"
        let unready = self.containers.filter { !$0.isReady }.map(\.name)
        let hasAddress = self.podIP != nil
        let readiness: (Bool, String?, String?) =
            isOver
            ? (false, phase == "Succeeded" ? "PodCompleted" : "PodFailed", nil)
            : unready.isEmpty
                ? (true, nil, nil)
                : (false, "ContainersNotReady", "containers with unready status: [\(unready.joined(separator: " "))]")
        let conditions: [(String, Bool, String?, String?)] = [
            ("PodReadyToStartContainers", hasAddress && !isOver, nil, nil),
            ("Initialized", true, nil, nil),
            ("ContainersReady", readiness.0, readiness.1, readiness.2),
            ("Ready", readiness.0, readiness.1, readiness.2),
        ]
        let oldConditions = old?["conditions"]?.arrayValue ?? []
        var status: JSONValue = [
            "phase": .string(phase),
            "hostIP": .string(self.hostIP), "hostIPs": [["ip": .string(self.hostIP)]],
            "startTime": .time(self.startTime),
            "containerStatuses": .array(self.containers.map(\.document)),
            "conditions": .array(
                conditions.map { type, isTrue, reason, message in
                    Self.condition(type, isTrue, reason, message, oldConditions, now)
                }
            ),
        ]
        if let podIP {
            status["podIP"] = .string(podIP)
            status["podIPs"] = [["ip": .string(podIP)]]
        }
        if let failure {
            status["reason"] = .string(failure.reason)
            status["message"] = .string(failure.message)
        }
        return status
    }

    private static func condition(
        _ type: String,
        _ isTrue: Bool,
        _ reason: String?,
        _ message: String?,
        _ old: [JSONValue],
        _ now: Date
    ) -> JSONValue {
        let status = isTrue ? "True" : "False"
        let before = old.first { $0["type"]?.stringValue == type }
        let changed = before?["status"]?.stringValue == status ? before?["lastTransitionTime"]?.dateValue : nil
        return [
            "type": .string(type), "status": .string(status), "lastTransitionTime": .time(changed ?? now),
            "lastProbeTime": nil, "reason": reason.map(JSONValue.string) ?? nil,
            "message": message.map(JSONValue.string) ?? nil,
        ]
    }
}
