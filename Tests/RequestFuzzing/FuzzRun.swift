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
}
