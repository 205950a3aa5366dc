internal import PostgresClusterAPI

/// What to do about what blocks a move.
enum Remedy {
    static func text(for reason: ConditionReason, cluster: String) -> String {
        switch reason {
        case .held: "wait, or ask the DB team for: kubectl drover release \(cluster)"
        case .singleInstance: "add a node with room for a second instance, or set spec.instances to 2 or more"
        case .noCandidate: "bring the replicas back: kubectl drover status \(cluster)"
        case .replicaLagging: "wait for replay, or end what holds it up on the replica (long queries, slow disk)"
        case .replicaNotStreaming:
            "look at the replica's log; a replica that cannot follow is cloned anew by deleting it"
        case .noOtherNode: "add or uncordon a node that the cluster's volumes can be reached from"
        case .waitingForFreshNode, .freshNodesFull: "add nodes, or let it wait"
        case .primaryUnreachable: "look at the primary's pod and at the operator's network policy"
        case .tooManyMoves: "let it wait"
        case .archiveFailing, .archiveBacklog: "mend the WAL archive"
        case .preparedTransactions: "commit or roll back what pg_prepared_xacts shows"
        case .longTransaction: "end it (pg_stat_activity shows it), or wait for its end"
        case .logicalSenderBehind: "let the receiver catch up, or drop its slot"
        case .invalidSpec: "mend the spec: the message names the field"
        case .unreadableStatus: "restore the status from a backup, or ask for help before deleting anything"
        case .nameTaken: "remove or rename the object that belongs to somebody else"
        case .namespaceTerminating: "nothing: its namespace is being deleted"
        case .apiRefused: "look at the operator's rights and at the quota of the namespace"
        case .diskFull: "make room on the volume, or make it larger"
        case .instanceFailing: "look at the instance's log"
        case .podNotStarting, .poolerNotStarting: "mend what the message names; the pod is replaced by itself"
        case .invalidParameter, .invalidHBA: "mend the field that the message names; what was accepted before stays"
        case .rollingOut: "nothing: one instance after the other is brought to what the spec wants"
        case .rolloutWaits: "see what the message names; it goes on when that is over"
        case .growingVolumes: "nothing, unless the claim says that its volume cannot grow"
        case .unschedulable: "add a node that fits, or free the zone's capacity"
        case .instancesMissing, .creatingInstances, .noPrimary, .bootstrapping:
            "wait until all instances are ready: kubectl drover status \(cluster)"
        default: "see kubectl drover status \(cluster)"
        }
    }
}
