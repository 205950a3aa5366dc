import EventLoop
import Glibc
import Testing

private actor Pinned {
    nonisolated let loop: EventLoop
    var lines: [String] = []

    init(loop: EventLoop) { self.loop = loop }

    nonisolated var unownedExecutor: UnownedSerialExecutor { self.loop.asUnownedSerialExecutor() }

    var isOnLoop: Bool { self.loop.isCurrent }

    func append(_ line: String) { self.lines.append(line) }

    func timersFireInOrder() async -> [String] {
        await withCheckedContinuation { continuation in
            _ = self.loop.schedule(after: .milliseconds(20)) {
                self.assumeIsolated { $0.append("late") }
                continuation.resume()
            }
            _ = self.loop.schedule(after: .milliseconds(1)) { self.assumeIsolated { $0.append("early") } }
            let cancelled = self.loop.schedule(after: .milliseconds(2)) { self.assumeIsolated { $0.append("never") } }
            self.loop.cancel(cancelled)
        }
        return self.lines
    }

    /// Writes into a pipe and returns what the loop's handler reads from it.
    func readThroughLoop() async throws -> [UInt8] {
        var ends: [Int32] = [0, 0]
        let result = pipe(&ends)
        try #require(result == 0)
        let (readEnd, writeEnd) = (ends[0], ends[1])
        defer {
            close(readEnd)
            close(writeEnd)
        }
        var id: EventLoop.RegistrationID?
        let bytes: [UInt8] = try await withCheckedThrowingContinuation { continuation in
            do {
                id = try self.loop.register(readEnd, interest: .readable) { ready in
                    #expect(ready == .readable)
                    var buffer = [UInt8](repeating: 0, count: 16)
                    let count = read(readEnd, &buffer, 16)
                    continuation.resume(returning: Array(buffer.prefix(max(0, count))))
                }
                let written = write(writeEnd, [1, 2, 3] as [UInt8], 3)
                #expect(written == 3)
            } catch {
                continuation.resume(throwing: error)
            }
        }
        if let id { self.loop.deregister(id) }
        return bytes
    }
}

@Suite(.timeLimit(.minutes(3)))
struct EventLoopTests {
    @Test func pinnedActorRunsOnTheThreadOfTheLoop() async throws {
        let loop = try EventLoop(name: "test-loop")
        defer { loop.shutdown() }
        #expect(await Pinned(loop: loop).isOnLoop)
        #expect(!loop.isCurrent)
    }

    @Test func timersFireInOrderAndCancelledOnesDoNot() async throws {
        let loop = try EventLoop(name: "test-loop")
        defer { loop.shutdown() }
        #expect(await Pinned(loop: loop).timersFireInOrder() == ["early", "late"])
    }

    @Test func readyDescriptorCallsItsHandler() async throws {
        let loop = try EventLoop(name: "test-loop")
        defer { loop.shutdown() }
        let bytes = try await Pinned(loop: loop).readThroughLoop()
        #expect(bytes == [1, 2, 3])
    }

    @Test func manyTasksFromManyThreadsAllRun() async throws {
        let loop = try EventLoop(name: "test-loop")
        defer { loop.shutdown() }
        let pinned = Pinned(loop: loop)
        await withTaskGroup(of: Void.self) { group in
            for index in 0..<500 {
                group.addTask { await pinned.append("\(index)") }
            }
        }
        #expect(Set(await pinned.lines).count == 500)
    }
}
