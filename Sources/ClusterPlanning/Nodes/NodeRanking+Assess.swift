internal import KubernetesClient
internal import PostgresClusterAPI
public import struct Foundation.Date

extension NodeRanking {
    /// Judges every node.
    ///
    /// - Parameters:
    ///   - nodes: all nodes of the Kubernetes cluster, because age is relative to the others of the pool.
    ///   - now: the wall clock, which planned evictions are measured by.
    /// - Returns: what was found of each, by name.
    public func assess(_ nodes: some Collection<NodeFacts>, now: Date) -> [String: NodeAssessment] {
        var newest: [String: KubeletVersion] = [:]
        for node in nodes {
            guard let version = KubeletVersion(node.kubeletVersion) else { continue }
            let pool = self.pool(of: node)
            newest[pool] = newest[pool].map { max($0, version) } ?? version
        }
        var result: [String: NodeAssessment] = [:]
        for node in nodes {
            result[node.name] = self.assess(node, newest: newest[self.pool(of: node)], now: now)
        }
        return result
    }

    private func assess(_ node: NodeFacts, newest: KubeletVersion?, now: Date) -> NodeAssessment {
        let planned = node.annotations[Annotations.plannedEviction].flatMap { PlannedMoment($0) }
        var assessment = NodeAssessment(
            rank: .fresh,
            plannedEviction: planned.map { $0.date(now: now) },
            deadline: self.deadline(of: node)
        )
        func raise(to rank: NodeRank, because reason: TransitionReason?) {
            guard rank > assessment.rank else { return }
            assessment.rank = rank
            assessment.reason = reason
        }
        if node.isUnschedulable { raise(to: .leaving, because: .nodeCordoned) }
        if node.isTerminating { raise(to: .leaving, because: .nodeNotReady) }
        if node.conditions["Ready"] != "True" { raise(to: .leaving, because: .nodeNotReady) }
        if let due = assessment.plannedEviction {
            raise(to: due <= now ? .leaving : .announced, because: .plannedEviction)
        }
        for signal in self.signals where signal.isPresent(on: node) {
            guard let rank = NodeRank(rawValue: min(max(signal.level, 0), 3)) else { continue }
            raise(to: rank, because: rank >= .announced ? signal.place.reason : nil)
        }
        if let newest, let version = KubeletVersion(node.kubeletVersion), version < newest {
            raise(to: .old, because: nil)
        }
        if let readyLabel, !Self.carries(node, label: readyLabel) { raise(to: .old, because: nil) }
        return assessment
    }

    private static func carries(_ node: NodeFacts, label: String) -> Bool {
        let parts = label.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard let key = parts.first, let found = node.labels[String(key)] else { return false }
        return parts.count < 2 || found == parts[1]
    }

    private func pool(of node: NodeFacts) -> String {
        for label in self.poolLabels {
            if let name = node.labels[label] { return "\(label)=\(name)" }
        }
        return ""
    }

    /// The earliest of what the upgrade manager says and of what its drain start lets one conclude.
    private func deadline(of node: NodeFacts) -> Date? {
        let said = node.annotations[Annotations.evictionDeadline].flatMap { PlannedMoment.parse($0) }
        let concluded = node.annotations[Annotations.lifecycleManagerDrainStart]
            .flatMap { PlannedMoment.parse($0) }
            .map { $0.addingTimeInterval(Double(self.drainGraceSeconds)) }
        return [said, concluded].compactMap(\.self).min()
    }
}

/// The value of `drover.dev/planned-eviction`.
///
/// What cannot be read counts as `now`: somebody wants the node empty, and moving too early is cheaper than too late.
private enum PlannedMoment {
    case now
    case at(Date)

    init?(_ text: String) {
        guard !text.isEmpty, text != "false" else { return nil }
        self = Self.parse(text).map { .at($0) } ?? .now
    }

    func date(now: Date) -> Date {
        switch self {
        case .now: now
        case .at(let date): date
        }
    }

    static func parse(_ text: String) -> Date? {
        guard text.utf8.count <= 64 else { return nil }
        if let date = Timestamp(rawValue: text).date { return date }
        // Some write seconds since 1970.
        guard let seconds = Double(text), seconds > 1_000_000_000, seconds < 100_000_000_000 else { return nil }
        return Date(timeIntervalSince1970: seconds)
    }
}

/// The numbers of `v1.36.1-eks-123`; what follows them says nothing about age.
private struct KubeletVersion: Comparable {
    let numbers: [Int]

    init?(_ text: String) {
        guard text.utf8.count <= 128 else { return nil }
        let dot = UInt8(ascii: ".")
        let digits = text.utf8.drop { $0 == UInt8(ascii: "v") }
            .prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == dot }
        let numbers = digits.split(separator: dot).compactMap { Int(Substring($0)) }
        guard numbers.count >= 2 else { return nil }
        self.numbers = Array(numbers.prefix(3))
    }

    static func < (left: KubeletVersion, right: KubeletVersion) -> Bool {
        left.numbers.lexicographicallyPrecedes(right.numbers)
    }
}

extension NodeSignal.Place {
    fileprivate var reason: TransitionReason {
        switch self {
        case .taint: .nodeTainted
        case .label: .nodeLabelled
        case .annotation: .nodeAnnotated
        case .condition: .nodeCondition
        }
    }
}
