/// Who has to have a commit before it is acknowledged: any ``count`` of ``standbys``.
public struct SynchronousSetting: Codable, Hashable, Sendable {
    /// The instances that may acknowledge.
    public var standbys: [String]
    /// How many of them must; 0 for asynchronous.
    public var count: Int

    /// Makes a setting; the names are sorted.
    public init(standbys: [String], count: Int) {
        self.standbys = standbys.sorted()
        self.count = count
    }

    /// Nobody has to.
    public static let none = SynchronousSetting(standbys: [], count: 0)

    /// How many of ``standbys`` must answer, so that among them is one that has every acknowledged commit.
    public var quorum: Int { max(0, self.standbys.count - self.count + 1) }
}

/// The synchronous replication of a cluster as it is demanded now.
///
/// Between writing a new setting here and hearing that the primary has applied it, and that enough replicas have what
/// was acknowledged under older settings, a commit may be where an older setting put it. A failover has to satisfy all.
public struct Synchronous: Codable, Hashable, Sendable {
    /// The instances that may acknowledge.
    public var standbys: [String]
    /// How many of them must; 0 for asynchronous.
    public var count: Int
    /// What was demanded before, as long as commits may rest on that alone.
    public var previous: [SynchronousSetting]?
    /// Once ``count`` of ``standbys`` have flushed so much, ``previous`` is of no interest.
    public var caughtUpAt: LSN?
    /// Whose commits wait for less than that, by a setting of a role, a database or the spec.
    public var weakerCommits: [String]?
    /// How many sessions gave up waiting since the primary's instance started: their commits may have been lost in a failover.
    public var cancelledWaits: Int?

    /// Makes it.
    public init(_ setting: SynchronousSetting, previous: [SynchronousSetting] = [], caughtUpAt: LSN? = nil) {
        self.standbys = setting.standbys
        self.count = setting.count
        self.previous = previous.isEmpty ? Optional<[SynchronousSetting]>.none : previous
        self.caughtUpAt = caughtUpAt
    }

    /// What is demanded now.
    public var setting: SynchronousSetting { SynchronousSetting(standbys: self.standbys, count: self.count) }

    /// Everything that a commit may rest on.
    public var possible: [SynchronousSetting] { [self.setting] + (self.previous ?? []) }
}

/// How synchronous replication is wanted.
public enum SynchronousMode: String, Codable, Hashable, Sendable, CaseIterable {
    /// Any so many of the replicas acknowledge every commit.
    case quorum = "Quorum"
    /// Commits wait for nobody.
    case off = "Off"
}

/// What happens when there are not enough replicas.
public enum SynchronousDurability: String, Codable, Hashable, Sendable, CaseIterable {
    /// Commits wait.
    case required = "Required"
    /// Commits wait for as many as there are.
    case preferred = "Preferred"
}
