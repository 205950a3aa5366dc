internal import Foundation

/// How many cases a test goes through, and from which number on.
package enum FuzzRun {
    /// As many as `DROVER_FUZZ_CASES` says, or the number given.
    package static func cases(_ standard: Int) -> Int {
        ProcessInfo.processInfo.environment["DROVER_FUZZ_CASES"].flatMap { Int($0) } ?? standard
    }

    /// `DROVER_FUZZ_SEED`, or 1: a test that fails says which.
    package static var seed: UInt64 {
        ProcessInfo.processInfo.environment["DROVER_FUZZ_SEED"].flatMap { UInt64($0) } ?? 1
    }

    /// Kibibytes of memory that this process has in use.
    package static var residentKibibytes: Int {
        let text = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return line.flatMap { Int($0.filter(\.isNumber)) } ?? 0
    }

    /// Sends cases to a server, one connection after the other.
    ///
    /// - Parameters:
    ///   - count: how many.
    ///   - fuzzer: makes them.
    ///   - patience: how long an answer is waited for.
    ///   - connect: makes a connection.
    /// - Returns: how often each status was answered.
    /// - Throws: what `connect` throws.
    package static func send(
        _ count: Int,
        from fuzzer: inout RequestFuzzer,
        patience: Duration,
        connect: () async throws -> RawConnection
    ) async throws -> [Int: Int] {
        var statuses: [Int: Int] = [:]
        var connection: RawConnection?
        for _ in 0..<count {
            let request = fuzzer.next()
            if connection?.isOpen != true { connection = try await connect() }
            guard let current = connection else { continue }
            for piece in request.pieces { await current.send(piece) }
            if request.isAnswered, let status = await current.status(within: patience) {
                statuses[status, default: 0] += 1
            }
            if request.isLast { await current.close() }
        }
        await connection?.close()
        return statuses
    }
}
