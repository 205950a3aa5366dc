import ClusterPlanning
import Foundation
import JSON
import KubernetesClient
import PostgresClusterAPI
import RequestFuzzing
import Testing

/// Objects that others write: whatever is in them, they are read, refused or ranked, and nothing traps.
struct ForeignObjectTests {
    private static let cluster: JSONValue = [
        "apiVersion": "drover.dev/v1", "kind": "PostgresCluster",
        "metadata": [
            "name": "orders", "namespace": "shop", "uid": "u", "generation": 2,
            "annotations": ["drover.dev/failover-to": "orders-2@3", "drover.dev/switchover-to": "@3"],
        ],
        "spec": [
            "instances": 3,
            "postgres": ["version": 15, "parameters": ["max_connections": "200"], "hba": ["hostssl all all all md5"]],
            "storage": ["size": "10Gi"],
            "replication": ["synchronous": ["mode": "Quorum", "count": 1, "durability": "Required"]],
            "placement": ["topologyKey": "zone", "tolerations": [["key": "a", "operator": "Exists"]]],
            "switchover": ["maximumLagBytes": "16Mi", "prepareTimeoutSeconds": 300, "demoteTimeoutSeconds": 10],
            "failover": ["leaseDurationSeconds": 15, "maximumLagBytes": "1Mi"],
            "maintenance": ["singleInstance": "Surge", "freshNodeWaitSeconds": 600],
            "pooler": ["instances": 2, "mode": "Transaction", "parameters": ["default_pool_size": "5"]],
        ],
        "status": [
            "term": 7, "primary": "orders-2", "members": ["orders-1", "orders-2"], "joining": [],
            "transition": [
                "kind": "Switchover", "from": "orders-1", "to": "orders-2", "reason": "NodeCordoned",
                "phase": "Demoting", "startedAt": "2026-01-01T00:00:00Z",
            ],
            "instances": [["name": "orders-1", "address": "10.0.0.1", "lagBytes": 5, "ready": true]],
        ],
    ]

    private static let node: JSONValue = [
        "apiVersion": "v1", "kind": "Node",
        "metadata": [
            "name": "node-a", "uid": "u",
            "labels": ["topology.kubernetes.io/zone": "a", "lifecycle-status": "draining"],
            "annotations": [
                "drover.dev/planned-eviction": "now", "drover.dev/eviction-deadline": "2026-01-01T00:00:00Z",
                "drover.dev/eviction-status": "{}",
                "cluster-lifecycle-manager.zalando.org/drain-start": "2026-01-01T00:00:00Z",
            ],
        ],
        "spec": ["unschedulable": true, "taints": [["key": "karpenter.sh/disrupted", "effect": "NoSchedule"]]],
        "status": [
            "nodeInfo": ["kubeletVersion": "v1.31.2"], "conditions": [["type": "Ready", "status": "True"]],
        ],
    ]

    private static let pod: JSONValue = [
        "apiVersion": "v1", "kind": "Pod",
        "metadata": [
            "name": "orders-1", "namespace": "shop", "uid": "u", "resourceVersion": "5",
            "labels": ["drover.dev/cluster": "orders", "drover.dev/instance": "orders-1", "role": "master"],
            "annotations": ["drover.dev/avoided-nodes": "a,b"],
        ],
        "spec": ["nodeName": "a", "containers": [["name": "postgres", "image": "i"]]],
        "status": [
            "phase": "Running", "podIP": "10.0.0.1", "conditions": [["type": "Ready", "status": "True"]],
            "containerStatuses": [
                [
                    "name": "postgres", "ready": true, "restartCount": 2, "image": "i", "imageID": "i",
                    "containerID": "c", "state": ["terminated": ["exitCode": 1, "reason": "Error"]],
                ]
            ],
        ],
    ]

    @Test(.timeLimit(.minutes(2)))
    func aClusterIsReadOrRefused() {
        var fuzzer = JSONFuzzer(seed: FuzzRun.seed)
        var (read, refused) = (0, 0)
        for _ in 0..<FuzzRun.cases(2_000) {
            guard let cluster = try? fuzzer.mutated(Self.cluster).decode(PostgresCluster.self) else {
                refused += 1
                continue
            }
            read += 1
            _ = cluster.validate()
            _ = cluster.spec.resolved
            for text in (cluster.metadata.annotations ?? [:]).values {
                _ = RequestedFailover(text)
                _ = RequestedSwitchover(text)
            }
        }
        #expect(read > 0 && refused > 0)
    }

    @Test(.timeLimit(.minutes(2)))
    func nodesAreRankedAndPodsUnderstood() {
        var fuzzer = JSONFuzzer(seed: FuzzRun.seed)
        let ranking = NodeRanking()
        var ranked = 0
        for _ in 0..<FuzzRun.cases(2_000) {
            if let node = try? fuzzer.mutated(Self.node).decode(Node.self), let facts = NodeFacts(node) {
                ranked += ranking.assess([facts], now: Date()).count
            }
            if let pod = try? fuzzer.mutated(Self.pod).decode(Pod.self) { _ = PodFacts(pod) }
        }
        #expect(ranked > 0)
    }
}
