import Foundation
import Testing

/// The program that runs many seeds.
@Suite("A run of many seeds", .serialized)
struct ProgressTests {
    private struct Result: Equatable {
        var output: String
        var code: Int32
    }

    private static var program: String {
        // The test bundle and the executables are built into the same directory.
        let bundle = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().path
        return [bundle, FileManager.default.currentDirectoryPath + "/.build/debug"]
            .map { $0 + "/drover-simulate" }
            .first { FileManager.default.isExecutableFile(atPath: $0) } ?? "drover-simulate"
    }

    private func run(_ arguments: [String]) throws -> Result {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(filePath: Self.program)
        process.arguments = arguments
        process.environment = ["SWIFT_DETERMINISTIC_HASHING": "1"]
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let data = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return Result(output: String(decoding: data, as: UTF8.self), code: process.terminationStatus)
    }

    @Test("goes on where it was interrupted, and finds the same as one that was not", .timeLimit(.minutes(3)))
    func goesOn() throws {
        let file = NSTemporaryDirectory() + "drover-simulate-\(UUID().uuidString).json"
        defer { try? FileManager.default.removeItem(atPath: file) }
        let broken = ["--mutation", "noSelfStop", "--keep-going"]
        let whole = try self.run(["--from", "5", "--seeds", "40"] + broken)
        let first = try self.run(["--from", "5", "--seeds", "15", "--progress", file] + broken)
        #expect(first.output.contains("15 seeds, "))
        let second = try self.run(["--from", "5", "--seeds", "40", "--progress", file] + broken)
        #expect(second == whole)
        #expect(whole.output.contains("40 seeds, ") && whole.code == 1)
    }

    @Test("does not go on with what is about other seeds", .timeLimit(.minutes(3)))
    func isAboutItsSeeds() throws {
        let file = NSTemporaryDirectory() + "drover-simulate-\(UUID().uuidString).json"
        defer { try? FileManager.default.removeItem(atPath: file) }
        #expect(try self.run(["--from", "5", "--seeds", "2", "--progress", file]).code == 0)
        let other = try self.run(["--from", "6", "--seeds", "2", "--progress", file])
        #expect(other.code != 0 && !other.output.contains("seeds, "))
    }
}
