internal import PostgresClient

/// Metrics: what PgBouncer shows on its console, and what the pause does.
extension Pooler {
    /// All figures in Prometheus' text format.
    func metrics() async -> String {
        var text = MetricLines()
        text.add("drover_pooler_running", "gauge", self.machine.isRunning ? 1 : 0)
        text.add("drover_pooler_paused", "gauge", self.machine.isPaused ? 1 : 0)
        text.add("drover_pooler_term", "gauge", Int(clamping: self.machine.term))
        text.add("drover_pooler_starts_total", "counter", self.counters.starts)
        text.add("drover_pooler_pauses_total", "counter", self.counters.pauses)
        text.add("drover_pooler_pauses_expired_total", "counter", self.counters.expired)
        guard self.machine.isRunning else { return text.text }
        if let pools = try? await self.console.command("SHOW POOLS", timeout: .seconds(2)) {
            for (column, name) in Self.poolColumns {
                text.add(name, "gauge", pools, column, labels: ["database", "user"])
            }
        }
        if let stats = try? await self.console.command("SHOW STATS_TOTALS", timeout: .seconds(2)) {
            for (column, name) in Self.statColumns {
                text.add(name, "counter", stats, column, labels: ["database"])
            }
        }
        return text.text
    }

    private static let poolColumns = [
        ("cl_active", "drover_pooler_clients_active"), ("cl_waiting", "drover_pooler_clients_waiting"),
        ("sv_active", "drover_pooler_servers_active"), ("sv_idle", "drover_pooler_servers_idle"),
        ("sv_login", "drover_pooler_servers_login"), ("maxwait", "drover_pooler_longest_wait_seconds"),
    ]

    private static let statColumns = [
        ("xact_count", "drover_pooler_transactions_total"), ("query_count", "drover_pooler_queries_total"),
        ("bytes_received", "drover_pooler_received_bytes_total"), ("bytes_sent", "drover_pooler_sent_bytes_total"),
        ("xact_time", "drover_pooler_transaction_microseconds_total"),
        ("query_time", "drover_pooler_query_microseconds_total"),
        ("wait_time", "drover_pooler_wait_microseconds_total"),
    ]
}

/// Writes Prometheus' text format.
struct MetricLines {
    /// More pools than this are not listed one by one: a scrape has an end.
    private static let maximumRows = 500

    private(set) var text = ""

    mutating func add(_ name: String, _ type: String, _ value: Int) {
        self.text += "# TYPE \(name) \(type)\n\(name) \(value)\n"
    }

    /// One figure for each row that has a number in the column.
    mutating func add(_ name: String, _ type: String, _ rows: PostgresRows, _ column: String, labels: [String]) {
        var lines = ""
        for row in rows.prefix(Self.maximumRows) {
            guard let value = row[column], Double(value) != nil, row["database"] != "pgbouncer" else { continue }
            let pairs = labels.map { "\($0)=\"\(Self.escaped(row[$0] ?? ""))\"" }.joined(separator: ",")
            lines += "\(name){\(pairs)} \(value)\n"
        }
        if !lines.isEmpty { self.text += "# TYPE \(name) \(type)\n" + lines }
    }

    static func escaped(_ text: String) -> String {
        var escaped = ""
        for character in text.unicodeScalars {
            switch character {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }
}
