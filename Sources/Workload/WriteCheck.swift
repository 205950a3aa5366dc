public import EventLoop
public import PostgresClient

/// What is in the database, held against what the writer was promised.
public struct WriteCheck: Sendable, Hashable {
    /// Rows of the writer in the table.
    public let rows: Int
    /// Acknowledged numbers that are missing.
    ///
    /// Anything but 0 is a broken promise.
    public let lost: Int
    /// Some of the lost numbers.
    public let lostExamples: [Int64]
    /// Numbers that are there more than once.
    public let duplicates: Int
    /// Numbers that are there though nobody said so: their acknowledgement was cut off.
    public let unacknowledged: Int

    /// Reads all rows of a writer back and compares.
    ///
    /// Stop the writer first, or take its report before: numbers acknowledged later do not count.
    /// - Parameters:
    ///   - writer: the name of the writer.
    ///   - acknowledged: what it was promised.
    ///   - configuration: leads to the present primary.
    ///   - eventLoop: drives the connection.
    /// - Returns: the comparison.
    /// - Throws: ``PostgresError``.
    public static func run(
        writer: String,
        acknowledged: SequenceSet,
        configuration: PostgresConfiguration,
        eventLoop: EventLoop
    ) async throws -> WriteCheck {
        try await PostgresConnection.withConnection(configuration, eventLoop: eventLoop) { connection in
            var present = SequenceSet()
            var rows = 0
            var duplicates = 0
            var last = Int64.min
            while true {
                let page = try await connection.query(
                    """
                    SELECT sequence, count(*) AS count FROM drover_workload WHERE writer = $1 AND sequence > $2
                    GROUP BY sequence ORDER BY sequence LIMIT 20000
                    """,
                    [writer, String(last)],
                    timeout: .seconds(60)
                )
                for row in page {
                    guard
                        let number = row.value("sequence", as: Int64.self),
                        let count = row.value("count", as: Int.self)
                    else { throw WorkloadError("the workload's table has a row that is none") }
                    present.append(number)
                    rows += count
                    if count > 1 { duplicates += 1 }
                    last = number
                }
                if page.isEmpty { break }
            }
            let missing = acknowledged.missing(from: present)
            return WriteCheck(
                rows: rows,
                lost: missing.count,
                lostExamples: missing.examples,
                duplicates: duplicates,
                unacknowledged: present.missing(from: acknowledged).count
            )
        }
    }
}
