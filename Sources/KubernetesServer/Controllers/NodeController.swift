internal import EventLoop
internal import Foundation
internal import JSON
internal import Synchronization

/// Judges nodes by their heartbeats, taints them accordingly and gives them a range of pod addresses.
final class NodeController: BuiltInController {
    let name = "node-lifecycle"
    let resources: [GroupResource]? = [.nodes, .leases]

    private struct Heartbeat {
        /// `renewTime` of the Lease, or the heartbeat of the Ready condition.
        var text: String
        /// When it was seen to change, on the own clock: the clocks of the nodes do not count.
        var seen: Duration
    }

    private static let leaseNamespace = "kube-node-lease"

    private let writer: ControllerWriter
    private let configuration: BuiltInControllers.Configuration
    private let heartbeats = Lock<[String: Heartbeat]>([:])

    init(writer: ControllerWriter, configuration: BuiltInControllers.Configuration) {
        self.writer = writer
        self.configuration = configuration
    }

    private var store: ObjectStore { self.writer.store }

    func observe(_ event: WatchEvent) -> [ObjectKey] {
        guard let object = event.object else { return [] }
        if object.key.resource == .nodes { return [object.key] }
        return object.namespace == Self.leaseNamespace ? [ObjectKey(.nodes, name: object.name)] : []
    }

    func reconcile(_ key: ObjectKey) throws(StatusError) -> Duration? {
        guard let node = self.store.find(.nodes, name: key.name) else {
            self.heartbeats.withLock { heartbeats in heartbeats[key.name] = nil }
            return nil
        }
        try self.assignAddresses(to: node)
        let silence = self.silence(of: node)
        let isSilent = silence >= self.configuration.nodeMonitorGracePeriod
        do throws(StatusError) {
            if isSilent { try self.markUnknown(node) }
            let current = try self.taint(key)
            if !ConditionList.isTrue("Ready", in: current.value) { try self.markPodsNotReady(on: node) }
        } catch {
            if error.code == 404 { return nil }
            throw error
        }
        return isSilent ? nil : self.configuration.nodeMonitorGracePeriod - silence
    }

    /// How long nothing new was heard of a node.
    private func silence(of node: StoredObject) -> Duration {
        let lease = self.store.find(.leases, namespace: Self.leaseNamespace, name: node.name)
        let renewed = lease?["spec"]?["renewTime"]?.stringValue ?? ""
        let reported = ConditionList.find("Ready", in: node.value)?["lastHeartbeatTime"]?.stringValue ?? ""
        let text = node.uid + renewed + reported
        let now = self.configuration.clock.now()
        return self.heartbeats.withLock { heartbeats in
            if let known = heartbeats[node.name], known.text == text { return now - known.seen }
            heartbeats[node.name] = Heartbeat(text: text, seen: now)
            return .zero
        }
    }

    private func markUnknown(_ node: StoredObject) throws(StatusError) {
        let time = self.writer.timestamp
        try self.writer.change(node.key, uid: node.uid, subresource: "status") { value in
            for type in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
                let condition = ConditionList.find(type, in: value)
                if condition?["status"]?.stringValue == "Unknown" { continue }
                let isMissing = condition == nil
                ConditionList.set(
                    type,
                    "Unknown",
                    reason: isMissing ? "NodeStatusNeverUpdated" : "NodeStatusUnknown",
                    message: isMissing ? "Kubelet never posted node status." : "Kubelet stopped posting node status.",
                    time: time,
                    in: &value,
                    others: isMissing ? ["lastHeartbeatTime": .string(time)] : [:]
                )
            }
        }
        if ConditionList.isTrue("Ready", in: node.value) {
            self.writer.event(
                about: node,
                kind: "Node",
                reason: "NodeNotReady",
                message: "Node \(node.name) status is now: NodeNotReady",
                component: "node-controller"
            )
        }
    }

    /// Makes the taints that follow from conditions and `spec.unschedulable` what they should be.
    private func taint(_ key: ObjectKey) throws(StatusError) -> StoredObject {
        let time = self.writer.timestamp
        return try self.writer.change(key) { value in
            func status(_ type: String) -> String { ConditionList.find(type, in: value)?["status"]?.stringValue ?? "" }
            let ready = status("Ready")
            let wanted: [(key: String, effect: String, isWanted: Bool)] = [
                ("node.kubernetes.io/unschedulable", "NoSchedule", value["spec"]?["unschedulable"]?.boolValue == true),
                ("node.kubernetes.io/not-ready", "NoSchedule", ready == "False" || ready.isEmpty),
                ("node.kubernetes.io/not-ready", "NoExecute", ready == "False"),
                ("node.kubernetes.io/unreachable", "NoSchedule", ready == "Unknown"),
                ("node.kubernetes.io/unreachable", "NoExecute", ready == "Unknown"),
                ("node.kubernetes.io/memory-pressure", "NoSchedule", status("MemoryPressure") == "True"),
                ("node.kubernetes.io/disk-pressure", "NoSchedule", status("DiskPressure") == "True"),
                ("node.kubernetes.io/pid-pressure", "NoSchedule", status("PIDPressure") == "True"),
                ("node.kubernetes.io/network-unavailable", "NoSchedule", status("NetworkUnavailable") == "True"),
            ]
            var taints = value["spec"]?["taints"]?.arrayValue ?? []
            for (key, effect, isWanted) in wanted {
                func isThis(_ taint: JSONValue) -> Bool {
                    taint["key"]?.stringValue == key && taint["effect"]?.stringValue == effect
                }
                if !isWanted {
                    taints.removeAll(where: isThis)
                } else if !taints.contains(where: isThis) {
                    taints.append(["key": .string(key), "effect": .string(effect), "timeAdded": .string(time)])
                }
            }
            if taints != value["spec"]?["taints"]?.arrayValue ?? [] {
                value[path: ["spec", "taints"]] = taints.isEmpty ? nil : .array(taints)
            }
        }
    }

    /// Nobody on a node that is not ready serves, as far as anyone can tell.
    private func markPodsNotReady(on node: StoredObject) throws(StatusError) {
        // A node that never was ready has had no say in its pods yet.
        guard ConditionList.find("Ready", in: node.value) != nil else { return }
        let time = self.writer.timestamp
        for pod in self.store.list(.pods) where pod.nodeName == node.name && pod.isReadyPod {
            do throws(StatusError) {
                try self.writer.change(pod.key, uid: pod.uid, subresource: "status") { value in
                    ConditionList.set("Ready", "False", reason: "NodeNotReady", message: "", time: time, in: &value)
                }
            } catch {
                if error.code != 404 { throw error }
            }
        }
    }

    // MARK: Addresses

    private func assignAddresses(to node: StoredObject) throws(StatusError) {
        guard (node["spec"]?["podCIDR"]?.stringValue ?? "").isEmpty,
            let block = self.configuration.podCIDRBlock.flatMap({ AddressText.Block($0) }),
            (block.prefix...30).contains(self.configuration.nodePrefixLength)
        else { return }
        let length = self.configuration.nodePrefixLength
        let used = Set(
            self.store.list(.nodes).compactMap { $0["spec"]?["podCIDR"]?.stringValue }
                .compactMap { AddressText.Block($0)?.base }
        )
        let size = UInt32(1) << UInt32(32 - length)
        // The first part of the block is left to whoever wants fixed addresses.
        for index in 1..<(UInt32(1) << UInt32(length - block.prefix)) {
            let base = block.base + index * size
            guard !used.contains(base) else { continue }
            let text = JSONValue.string("\(AddressText.ipv4(base))/\(length)")
            try self.writer.change(node.key, uid: node.uid) { value in
                value[path: ["spec", "podCIDR"]] = text
                value[path: ["spec", "podCIDRs"]] = [text]
            }
            return
        }
    }
}
