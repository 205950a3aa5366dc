import EventLoop
import Foundation
import Glibc
import Testing

@testable import ProcessNode

/// Runs `body` with a directory of its own, and removes that afterwards.
func withTemporaryDirectory<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let path = "/tmp/drover-node-\(UUID().uuidString)"
    try FileSystem.makeDirectory(path)
    defer { try? FileSystem.remove(path) }
    return try await body(path)
}

/// Runs `body` with an event loop.
func withEventLoop<Result>(_ body: (EventLoop) async throws -> Result) async throws -> Result {
    let loop = try EventLoop(name: "test")
    defer { loop.shutdown() }
    return try await body(loop)
}

/// Waits until `condition` holds; for conditions that nothing announces.
func eventually(
    within limit: Duration = .seconds(40),
    _ comment: Comment? = nil,
    sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    // Looked at often enough, too: with all tests at once a sleep of some milliseconds may take most of the limit.
    var looks = 0
    while try await !condition() {
        looks += 1
        guard looks < 100 || ContinuousClock.now < deadline else {
            Issue.record(comment ?? "did not become true in \(limit)", sourceLocation: sourceLocation)
            return
        }
        try await Task.sleep(for: .milliseconds(20))
    }
}

func text(at path: String) -> String {
    (try? FileSystem.read(path)).map { String(decoding: $0, as: UTF8.self) } ?? ""
}
