/// One thing that would go wrong, or go slowly.
struct Finding: Codable, Hashable, Sendable {
    enum Severity: String, Codable, Hashable, Sendable, Comparable {
        /// A primary would stay until it is killed, or evictions would fail.
        case blocks = "Blocks"
        /// It goes on, but slower, or with less redundancy on the way.
        case warns = "Warns"

        static func < (left: Severity, right: Severity) -> Bool { left == .blocks && right == .warns }
    }

    /// `namespace/name`.
    var cluster: String
    var severity: Severity
    /// A CamelCase word.
    var reason: String
    var message: String
    /// What to do.
    var remedy: String
}

/// What `preflight` says.
struct PreflightReport: Codable, Hashable, Sendable {
    /// How many clusters were looked at.
    var clusters: Int
    var findings: [Finding]
    var blocks: Int
    var warns: Int
    var assumptions: [String]
    var gaps: [String]

    init(clusters: Int, findings: [Finding], gaps: [String]) {
        self.clusters = clusters
        self.findings = findings
        self.blocks = findings.count { $0.severity == .blocks }
        self.warns = findings.count { $0.severity == .warns }
        self.assumptions = Fleet.assumptions
        self.gaps = gaps
    }
}
