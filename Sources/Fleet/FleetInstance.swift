internal import InstanceAPI
internal import PostgresClusterAPI

/// One instance as its borders show it: what it says about itself, and nothing behind that.
struct FleetInstance: Sendable {
    let name: String
    let podUID: String
    let address: String
    /// What its Secret has.
    let identity: FleetIdentity
    var role = InstanceStatus.Role.replica
    /// The term it is, or was, primary in.
    var term: Int64 = 0
    var demotedTerm: Int64?
    var shutdownLSN: LSN?
    var promisedAway: Int64?
}

/// The certificates of an instance, PEM.
struct FleetIdentity: Sendable {
    var authority: String
    var certificate: String
    var key: String
}

/// The instances of one PostgresCluster, by the rules that their operator can see: they take and give back the Lease,
/// promote when the status says so, and take note of members.
///
/// Pure: what to do at the API server comes out, and whoever does it says when it is done.
struct FleetCluster: Sendable {
    private(set) var status = PostgresClusterStatus()
    private(set) var instances: [String: FleetInstance] = [:]
    private var timeline: Int64 = 1
    /// The end of the log; it grows with every look, as that of a database which is written to.
    private var end: UInt64 = 0x300_0000
    private static let systemIdentifier = "7000000000000000001"
    private static let growth: UInt64 = 8192

    /// Takes in what the operator has written.
    ///
    /// Answers the instances that have something new to say.
    mutating func observed(_ status: PostgresClusterStatus) -> [String] {
        let before = self.status
        self.status = status
        guard before.members != status.members || before.joining != status.joining else { return [] }
        return self.instances.values.filter { $0.role == .primary }.map(\.name)
    }

    /// A pod of this cluster runs.
    ///
    /// Answers whether this instance makes the database, and has to take the Lease for that.
    mutating func started(_ instance: FleetInstance) -> Bool {
        self.instances[instance.name] = instance
        return self.status.primary == instance.name && self.status.systemIdentifier == nil
    }

    /// A pod has ended.
    mutating func stopped(_ name: String, podUID: String) {
        if self.instances[name]?.podUID == podUID { self.instances[name] = nil }
    }

    /// Ends a term: PostgreSQL is down when this returns.
    ///
    /// - Returns: the answer, and nil when the instance is not primary of that term.
    mutating func demote(_ name: String, term: Int64) -> DemoteResponse? {
        guard var instance = self.instances[name], instance.term == term else { return nil }
        if instance.role == .primary {
            self.end += Self.growth
            instance.role = .demoted
            instance.demotedTerm = term
            instance.shutdownLSN = LSN(rawValue: self.end)
            self.instances[name] = instance
        }
        guard instance.demotedTerm == term, let lsn = instance.shutdownLSN else { return nil }
        return DemoteResponse(shutdownLSN: lsn, timeline: self.timeline, term: term)
    }

    /// Whether an instance has promoted in that term already.
    func isPrimary(_ name: String, term: Int64) -> Bool {
        self.instances[name].map { $0.role == .primary && $0.term == term } ?? false
    }

    /// The Lease was taken for that term: PostgreSQL leaves recovery, the others follow.
    mutating func promoted(_ name: String, term: Int64, at milliseconds: Int64) -> PromoteResponse {
        let isFirst = self.instances.values.allSatisfy { $0.term == 0 } && self.status.systemIdentifier == nil
        if !isFirst { self.timeline += 1 }
        for other in self.instances.keys where other != name {
            self.instances[other]?.role = .replica
            self.instances[other]?.shutdownLSN = nil
        }
        self.instances[name]?.role = .primary
        self.instances[name]?.term = term
        return PromoteResponse(
            timeline: self.timeline,
            promotedAtMilliseconds: milliseconds,
            walSwitchLSN: LSN(rawValue: self.end)
        )
    }

    /// The end of the log everywhere: there is no lag.
    var position: LSN { LSN(rawValue: self.end) }

    /// How far a primary has written by now; nil for another one.
    mutating func written(by name: String) -> LSN? {
        guard self.instances[name]?.role == .primary else { return nil }
        self.end += Self.growth
        return self.position
    }

    /// What an instance says; nil when there is none of that name.
    mutating func report(of name: String) -> InstanceStatus? {
        guard let instance = self.instances[name] else { return nil }
        if instance.role == .primary { self.end += Self.growth }
        let position = self.position
        let (isPrimary, isReplica) = (instance.role == .primary, instance.role == .replica)
        let primary = self.instances.values.first { $0.role == .primary }
        var status = InstanceStatus(
            instance: name,
            podUID: instance.podUID,
            incarnation: instance.podUID,
            term: self.status.term,
            role: instance.role,
            state: instance.role == .demoted ? .stopped : .running,
            timeline: self.timeline,
            systemIdentifier: Self.systemIdentifier,
            postmasterPID: 42,
            receivedLSN: isReplica ? position : nil,
            replayedLSN: isReplica ? position : nil,
            currentLSN: isPrimary ? position : nil,
            upstream: isReplica ? primary?.name : nil,
            streaming: isReplica && primary != nil,
            demotedTerm: instance.demotedTerm,
            shutdownLSN: instance.role == .demoted ? instance.shutdownLSN : nil,
            lease: isPrimary ? InstanceStatus.Lease(held: false, term: instance.term) : nil
        )
        if isPrimary {
            status.fence = InstanceStatus.Fence(
                acknowledgedMembers: InstanceStatus.AcknowledgedMembers(
                    term: instance.term,
                    incarnation: instance.podUID,
                    members: self.status.members,
                    joining: self.status.joining
                ),
                mayWriteForMilliseconds: 10_000
            )
            status.synchronous = InstanceStatus.Synchronous(standbys: [], count: 0, applied: true)
            status.replication = self.instances.values.filter { $0.role == .replica }.sorted { $0.name < $1.name }
                .map { standby in
                    InstanceStatus.Standby(
                        name: standby.name,
                        state: "streaming",
                        syncState: "async",
                        flushLSN: position,
                        replayLSN: position
                    )
                }
        } else {
            status.fence = InstanceStatus.Fence(
                lastAskAgoMilliseconds: 1500,
                promisedTerm: self.status.term,
                promiseExpiresInMilliseconds: 13_500,
                withheldTerm: instance.promisedAway
            )
        }
        return status
    }

    /// Notes that promises to primaries older than that are withheld.
    mutating func withhold(_ name: String, _ request: WithholdRequest) -> WithholdResponse? {
        guard let instance = self.instances[name] else { return nil }
        self.instances[name]?.promisedAway = request.withdraw ? nil : request.term
        return WithholdResponse(
            instance: name,
            incarnation: instance.podUID,
            highestTerm: self.status.term,
            withheldTerm: request.withdraw ? nil : request.term,
            promiseExpiresInMilliseconds: 0,
            lastAskAgoMilliseconds: nil,
            aliveForMilliseconds: 60_000
        )
    }

    /// Where a replica stands.
    func standstill(_ name: String, _ request: StandstillRequest) -> StandstillResponse? {
        guard let instance = self.instances[name], instance.role != .primary else { return nil }
        return StandstillResponse(
            instance: name,
            incarnation: instance.podUID,
            term: request.term,
            systemIdentifier: Self.systemIdentifier,
            timeline: self.timeline,
            receivedLSN: self.position,
            replayedLSN: self.position,
            end: self.position,
            promotions: []
        )
    }
}
