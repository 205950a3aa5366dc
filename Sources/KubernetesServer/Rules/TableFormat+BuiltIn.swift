internal import Foundation
internal import JSON

extension TableFormat {
    static let builtInPrinters: [GroupResource: Printer] = [
        .pods: pods,
        .nodes: nodes,
        .services: Printer(
            columns: [
                nameColumn, Column("Type"), Column("Cluster-IP"), Column("External-IP"), Column("Port(s)"), ageColumn,
                Column("Selector", wide: true),
            ]
        ) { service, now in
            let ports = (service[path: ["spec", "ports"]]?.arrayValue ?? [])
                .map { port -> String in
                    let number = port["port"]?.intValue ?? 0
                    let node = port["nodePort"]?.intValue.map { ":\($0)" } ?? ""
                    return "\(number)\(node)/\(port["protocol"]?.stringValue ?? "TCP")"
                }
            return [
                name(service), text(service[path: ["spec", "type"]], "ClusterIP"),
                text(service[path: ["spec", "clusterIP"]]), "<none>", .string(joined(ports)), age(service, now),
                labels(service[path: ["spec", "selector"]]),
            ]
        },
        .persistentVolumeClaims: Printer(
            columns: [
                nameColumn, Column("Status"), Column("Volume"), Column("Capacity"), Column("Access Modes"),
                Column("StorageClass"), Column("VolumeAttributesClass"), ageColumn, Column("VolumeMode", wide: true),
            ]
        ) { claim, now in
            let isBound = !(claim[path: ["spec", "volumeName"]]?.stringValue ?? "").isEmpty
            let isTerminating = claim[path: ["metadata", "deletionTimestamp"]] != nil
            return [
                name(claim), isTerminating ? "Terminating" : text(claim[path: ["status", "phase"]], ""),
                text(claim[path: ["spec", "volumeName"]], ""),
                isBound ? text(claim[path: ["status", "capacity", "storage"]], "") : "",
                .string(isBound ? accessModes(claim[path: ["status", "accessModes"]]) : ""),
                text(claim[path: ["spec", "storageClassName"]], ""),
                text(claim[path: ["spec", "volumeAttributesClassName"]], "<unset>"), age(claim, now),
                text(claim[path: ["spec", "volumeMode"]], "<unset>"),
            ]
        },
        .persistentVolumes: Printer(
            columns: [
                nameColumn, Column("Capacity"), Column("Access Modes"), Column("Reclaim Policy"), Column("Status"),
                Column("Claim"), Column("StorageClass"), Column("VolumeAttributesClass"), Column("Reason"), ageColumn,
                Column("VolumeMode", wide: true),
            ]
        ) { volume, now in
            let claim = volume[path: ["spec", "claimRef"]]
                .map {
                    "\($0["namespace"]?.stringValue ?? "")/\($0["name"]?.stringValue ?? "")"
                }
            let isTerminating = volume[path: ["metadata", "deletionTimestamp"]] != nil
            return [
                name(volume), text(volume[path: ["spec", "capacity", "storage"]], ""),
                .string(accessModes(volume[path: ["spec", "accessModes"]])),
                text(volume[path: ["spec", "persistentVolumeReclaimPolicy"]], ""),
                isTerminating ? "Terminating" : text(volume[path: ["status", "phase"]], ""), .string(claim ?? ""),
                text(volume[path: ["spec", "storageClassName"]], ""),
                text(volume[path: ["spec", "volumeAttributesClassName"]], "<unset>"),
                text(volume[path: ["status", "reason"]], ""), age(volume, now),
                text(volume[path: ["spec", "volumeMode"]], "<unset>"),
            ]
        },
        .storageClasses: Printer(
            columns: [
                nameColumn, Column("Provisioner"), Column("ReclaimPolicy"), Column("VolumeBindingMode"),
                Column("AllowVolumeExpansion"), ageColumn,
            ]
        ) { storageClass, now in
            let key = "storageclass.kubernetes.io/is-default-class"
            let isDefault = storageClass[path: ["metadata", "annotations", key]]?.stringValue == "true"
            return [
                .string((name(storageClass).stringValue ?? "") + (isDefault ? " (default)" : "")),
                text(storageClass["provisioner"], ""), text(storageClass["reclaimPolicy"], "Delete"),
                text(storageClass["volumeBindingMode"], "Immediate"),
                .bool(storageClass["allowVolumeExpansion"]?.boolValue ?? false), age(storageClass, now),
            ]
        },
        .podDisruptionBudgets: Printer(
            columns: [
                nameColumn, Column("Min Available"), Column("Max Unavailable"),
                Column("Allowed Disruptions", type: "integer"), ageColumn,
            ]
        ) { budget, now in
            [
                name(budget), text(budget[path: ["spec", "minAvailable"]], "N/A"),
                text(budget[path: ["spec", "maxUnavailable"]], "N/A"),
                .int(budget[path: ["status", "disruptionsAllowed"]]?.intValue ?? 0), age(budget, now),
            ]
        },
        .leases: Printer(columns: [nameColumn, Column("Holder"), ageColumn]) { lease, now in
            [name(lease), text(lease[path: ["spec", "holderIdentity"]], ""), age(lease, now)]
        },
        .secrets: Printer(columns: [nameColumn, Column("Type"), Column("Data"), ageColumn]) { secret, now in
            [
                name(secret), text(secret["type"], "Opaque"), .int(Int64(secret["data"]?.objectValue?.count ?? 0)),
                age(secret, now),
            ]
        },
        .configMaps: Printer(columns: [nameColumn, Column("Data"), ageColumn]) { map, now in
            let count = (map["data"]?.objectValue?.count ?? 0) + (map["binaryData"]?.objectValue?.count ?? 0)
            return [name(map), .int(Int64(count)), age(map, now)]
        },
        .events: events,
        .namespaces: Printer(columns: [nameColumn, Column("Status"), ageColumn]) { namespace, now in
            [name(namespace), text(namespace[path: ["status", "phase"]], "Active"), age(namespace, now)]
        },
        .serviceAccounts: Printer(columns: [nameColumn, Column("Secrets"), ageColumn]) { account, now in
            [name(account), .int(Int64(account["secrets"]?.arrayValue?.count ?? 0)), age(account, now)]
        },
        .endpointSlices: Printer(
            columns: [nameColumn, Column("AddressType"), Column("Ports"), Column("Endpoints"), ageColumn]
        ) { slice, now in
            let ports = (slice["ports"]?.arrayValue ?? []).map { $0["port"]?.intValue.map(String.init) ?? "*" }
            let addresses = (slice["endpoints"]?.arrayValue ?? [])
                .flatMap {
                    ($0["addresses"]?.arrayValue ?? []).compactMap { $0.stringValue }
                }
            return [
                name(slice), text(slice["addressType"], ""), .string(joined(ports, limit: 3, missing: "<unset>")),
                .string(joined(addresses, limit: 3, missing: "<unset>")), age(slice, now),
            ]
        },
        .deployments: workload("Up-to-date", "updatedReplicas"),
        .statefulSets: Printer(columns: [nameColumn, Column("Ready"), ageColumn]) { set, now in
            let ready = set[path: ["status", "readyReplicas"]]?.intValue ?? 0
            let wanted = set[path: ["spec", "replicas"]]?.intValue ?? 1
            return [name(set), .string("\(ready)/\(wanted)"), age(set, now)]
        },
        .roleBindings: binding,
        .clusterRoleBindings: binding,
    ]

    private static let binding = Printer(columns: [nameColumn, Column("Role"), ageColumn]) { object, now in
        let kind = object[path: ["roleRef", "kind"]]?.stringValue ?? ""
        let role = object[path: ["roleRef", "name"]]?.stringValue ?? ""
        return [name(object), .string("\(kind)/\(role)"), age(object, now)]
    }

    private static func workload(_ title: String, _ field: String) -> Printer {
        Printer(
            columns: [
                self.nameColumn, Column("Ready"), Column(title, type: "integer"), Column("Available", type: "integer"),
                self.ageColumn,
            ]
        ) { object, now in
            let ready = object[path: ["status", "readyReplicas"]]?.intValue ?? 0
            let wanted = object[path: ["spec", "replicas"]]?.intValue ?? 1
            return [
                Self.name(object), .string("\(ready)/\(wanted)"), .int(object[path: ["status", field]]?.intValue ?? 0),
                .int(object[path: ["status", "availableReplicas"]]?.intValue ?? 0), Self.age(object, now),
            ]
        }
    }

    private static let events = Printer(
        columns: [
            Column("Last Seen"), Column("Type"), Column("Reason"), Column("Object"), Column("Subobject", wide: true),
            Column("Source", wide: true), Column("Message"), Column("First Seen", wide: true),
            Column("Count", wide: true), Column("Name", format: "name", wide: true),
        ]
    ) { event, now in
        func time(_ values: JSONValue?...) -> JSONValue? {
            values.compactMap { $0 }.first { !($0.stringValue ?? "").isEmpty }
        }
        let created = event[path: ["metadata", "creationTimestamp"]]
        let first = time(event["firstTimestamp"], event["eventTime"], created)
        let last = time(
            event[path: ["series", "lastObservedTime"]],
            event["lastTimestamp"],
            event["eventTime"],
            created
        )
        let count = event[path: ["series", "count"]]?.intValue ?? event["count"]?.intValue ?? 1
        let kind = event[path: ["involvedObject", "kind"]]?.stringValue?.lowercased() ?? ""
        let object = event[path: ["involvedObject", "name"]]?.stringValue ?? ""
        let component =
            event[path: ["source", "component"]]?.stringValue ?? event["reportingComponent"]?.stringValue ?? ""
        let host = event[path: ["source", "host"]]?.stringValue.map { ", \($0)" } ?? ""
        return [
            age(since: last, now), text(event["type"], ""), text(event["reason"], ""), .string("\(kind)/\(object)"),
            text(event[path: ["involvedObject", "fieldPath"]], ""), .string(component + host),
            .string((event["message"]?.stringValue ?? "").trimmedSpaces), age(since: first, now), .int(count),
            name(event),
        ]
    }

    private static let nodes = Printer(
        columns: [
            nameColumn, Column("Status"), Column("Roles"), ageColumn, Column("Version"),
            Column("Internal-IP", wide: true), Column("External-IP", wide: true), Column("OS-Image", wide: true),
            Column("Kernel-Version", wide: true), Column("Container-Runtime", wide: true),
        ]
    ) { node, now in
        let conditions = node[path: ["status", "conditions"]]?.arrayValue ?? []
        let ready = conditions.first { $0["type"]?.stringValue == "Ready" }?["status"]?.stringValue
        var status = ready == nil ? "Unknown" : ready == "True" ? "Ready" : "NotReady"
        if node[path: ["spec", "unschedulable"]]?.boolValue == true { status += ",SchedulingDisabled" }
        let prefix = "node-role.kubernetes.io/"
        let roles = (node[path: ["metadata", "labels"]]?.objectValue ?? [:]).keys.filter { $0.hasPrefix(prefix) }
            .map { String($0.dropFirst(prefix.count)) }.sorted()
        func address(_ type: String) -> JSONValue {
            let addresses = node[path: ["status", "addresses"]]?.arrayValue ?? []
            return Self.text(addresses.first { $0["type"]?.stringValue == type }?["address"])
        }
        let info = node[path: ["status", "nodeInfo"]]
        return [
            name(node), .string(status), .string(joined(roles)), age(node, now), text(info?["kubeletVersion"], ""),
            address("InternalIP"), address("ExternalIP"), text(info?["osImage"], "<unknown>"),
            text(info?["kernelVersion"], "<unknown>"), text(info?["containerRuntimeVersion"], "<unknown>"),
        ]
    }

    private static let pods = Printer(
        columns: [
            nameColumn, Column("Ready"), Column("Status"), Column("Restarts"), ageColumn, Column("IP", wide: true),
            Column("Node", wide: true), Column("Nominated Node", wide: true), Column("Readiness Gates", wide: true),
        ]
    ) { pod, now in
        let statuses = pod[path: ["status", "containerStatuses"]]?.arrayValue ?? []
        let total = pod[path: ["spec", "containers"]]?.arrayValue?.count ?? 0
        let ready = statuses.count { $0["ready"]?.boolValue == true && $0[path: ["state", "running"]] != nil }
        let restarts = statuses.reduce(0) { $0 + ($1["restartCount"]?.intValue ?? 0) }
        let lastRestart =
            statuses.compactMap {
                $0[path: ["lastState", "terminated", "finishedAt"]]?.stringValue
            }
            .max()
        var restartText = String(restarts)
        if restarts > 0, let lastRestart, let ago = age(since: .string(lastRestart), now).stringValue {
            restartText += " (\(ago) ago)"
        }
        return [
            name(pod), .string("\(ready)/\(total)"), .string(podStatus(pod)), .string(restartText), age(pod, now),
            text(pod[path: ["status", "podIP"]]), text(pod[path: ["spec", "nodeName"]]),
            text(pod[path: ["status", "nominatedNodeName"]]), "<none>",
        ]
    }

    /// The word in the Status column: the reason nearest to the trouble.
    private static func podStatus(_ pod: JSONValue) -> String {
        var reason = pod[path: ["status", "phase"]]?.stringValue ?? "Unknown"
        if let own = pod[path: ["status", "reason"]]?.stringValue, !own.isEmpty { reason = own }
        let conditions = pod[path: ["status", "conditions"]]?.arrayValue ?? []
        for condition in conditions where condition["type"]?.stringValue == "PodScheduled" {
            if condition["reason"]?.stringValue == "SchedulingGated" { reason = "SchedulingGated" }
        }
        func describe(_ state: JSONValue?) -> String? {
            if let waiting = state?["waiting"]?["reason"]?.stringValue, !waiting.isEmpty { return waiting }
            guard let terminated = state?["terminated"] else { return nil }
            if let reason = terminated["reason"]?.stringValue, !reason.isEmpty { return reason }
            if let signal = terminated["signal"]?.intValue, signal != 0 { return "Signal:\(signal)" }
            return "ExitCode:\(terminated["exitCode"]?.intValue ?? 0)"
        }
        var isInitializing = false
        let initStatuses = pod[path: ["status", "initContainerStatuses"]]?.arrayValue ?? []
        for (index, status) in initStatuses.enumerated() {
            let state = status["state"]
            if state?["terminated"]?["exitCode"]?.intValue == 0 { continue }
            let word = describe(state)
            reason =
                word.flatMap { $0 == "PodInitializing" ? nil : "Init:\($0)" } ?? "Init:\(index)/\(initStatuses.count)"
            isInitializing = true
            break
        }
        if !isInitializing {
            var hasRunning = false
            for status in (pod[path: ["status", "containerStatuses"]]?.arrayValue ?? []).reversed() {
                if let word = describe(status["state"]) {
                    reason = word
                } else if status["ready"]?.boolValue == true {
                    hasRunning = true
                }
            }
            if reason == "Completed", hasRunning {
                let isReady = conditions.contains {
                    $0["type"]?.stringValue == "Ready" && $0["status"]?.stringValue == "True"
                }
                reason = isReady ? "Running" : "NotReady"
            }
        }
        if pod[path: ["metadata", "deletionTimestamp"]]?.stringValue != nil {
            reason = pod[path: ["status", "reason"]]?.stringValue == "NodeLost" ? "Unknown" : "Terminating"
        }
        return reason
    }
}
