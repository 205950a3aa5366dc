/// The settings of PgBouncer that a spec may contain.
///
/// All of them are taken over by a reload, and none lets a client in or reaches a file.
public enum PoolerParameters {
    /// What a setting's value may be.
    public enum Kind: Hashable, Sendable {
        /// A whole number within bounds.
        case number(ClosedRange<Int>)
        /// Seconds, possibly with a fraction.
        case seconds(ClosedRange<Int>)
        /// `0` or `1`.
        case flag
        /// Names of settings, separated by commas.
        case names
    }

    /// Name and kind of each setting.
    public static let kinds: [String: Kind] = [
        "application_name_add_host": .flag,
        "client_idle_timeout": .seconds(0...604_800),
        "client_login_timeout": .seconds(1...3600),
        "default_pool_size": .number(1...5000),
        "idle_transaction_timeout": .seconds(0...604_800),
        "ignore_startup_parameters": .names,
        "log_connections": .flag,
        "log_disconnections": .flag,
        "log_pooler_errors": .flag,
        "max_client_conn": .number(10...100_000),
        "max_db_connections": .number(0...10_000),
        "max_user_connections": .number(0...10_000),
        "min_pool_size": .number(0...1000),
        "query_timeout": .seconds(0...604_800),
        "query_wait_timeout": .seconds(0...604_800),
        "reserve_pool_size": .number(0...1000),
        "reserve_pool_timeout": .seconds(0...3600),
        "server_idle_timeout": .seconds(0...604_800),
        "server_lifetime": .seconds(0...604_800),
        "server_reset_query_always": .flag,
        "server_round_robin": .flag,
        "stats_period": .number(1...3600),
    ]

    /// What is wrong with a setting, nil when nothing is.
    public static func problem(with value: String, of name: String) -> String? {
        guard let kind = self.kinds[name] else {
            return "may not be set; these may: \(self.kinds.keys.sorted().joined(separator: ", "))"
        }
        switch kind {
        case .number(let range):
            guard self.isNumber(value), let number = Int(value), range.contains(number) else {
                return "must be a number from \(range.lowerBound) to \(range.upperBound)"
            }
        case .seconds(let range):
            let parts = value.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
            guard parts.count <= 2, parts.allSatisfy(self.isNumber), let number = Int(parts[0]), range.contains(number)
            else {
                return "must be seconds from \(range.lowerBound) to \(range.upperBound)"
            }
        case .flag:
            guard value == "0" || value == "1" else { return "must be 0 or 1" }
        case .names:
            let names = value.split(separator: ",", omittingEmptySubsequences: false)
            guard names.allSatisfy({ self.isName($0.drop { $0 == " " }) }) else {
                return "must be names of settings, separated by commas"
            }
        }
        return nil
    }

    private static func isNumber(_ text: String) -> Bool {
        (1...9).contains(text.utf8.count) && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
    }

    private static func isName(_ text: Substring) -> Bool {
        (1...63).contains(text.utf8.count)
            && text.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F }
    }
}

extension SpecValidation {
    mutating func check(_ pooler: PostgresClusterSpec.Pooler) {
        self.range("spec.pooler.instances", pooler.instances, SchemaLimits.poolers)
        self.range("spec.pooler.maximumPauseSeconds", pooler.maximumPauseSeconds, SchemaLimits.maximumPauseSeconds)
        self.range(
            "spec.pooler.longTransactionSeconds",
            pooler.longTransactionSeconds,
            SchemaLimits.longTransactionSeconds
        )
        let parameters = pooler.parameters ?? [:]
        guard parameters.count <= SchemaLimits.poolerParameters else {
            self.add("spec.pooler.parameters", "has more than \(SchemaLimits.poolerParameters) entries")
            return
        }
        for (name, value) in parameters.sorted(by: { $0.key < $1.key }) {
            guard let problem = PoolerParameters.problem(with: value, of: name) else { continue }
            let isKnown = PoolerParameters.kinds[name] != nil
            self.add("spec.pooler.parameters" + (isKnown ? ".\(name)" : ""), problem)
        }
    }
}
