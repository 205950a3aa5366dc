internal import Foundation

/// Tells what happens, with the time since the beginning.
struct DemoNarrator: Sendable {
    private let start = ContinuousClock.now

    /// One line of the story.
    func say(_ text: String) {
        self.write(text, mark: " ")
    }

    /// A step begins.
    func step(_ text: String) {
        self.write(text, mark: "*")
    }

    /// A promise was broken.
    func complain(_ text: String) {
        self.write(text, mark: "!")
    }

    /// Text without a time.
    func plain(_ text: String) {
        FileHandle.standardOutput.write(Data((text + "\n").utf8))
    }

    private func write(_ text: String, mark: String) {
        let time = String(format: "%8.3f s", Self.seconds(self.start.duration(to: .now)))
        self.plain("[\(time)] \(mark) \(text)")
    }

    /// Waits until `look` finds what it looks for, and meanwhile tells what it says whenever that changes, or every
    /// ten seconds.
    /// - Throws: ``DemoError`` when the time is over, and what `look` throws.
    func wait<Found>(
        for what: String,
        timeout: Duration = .seconds(180),
        every interval: Duration = .milliseconds(50),
        _ look: () async throws -> DemoLook<Found>
    ) async throws -> Found {
        let deadline = ContinuousClock.now + timeout
        var told = ""
        var toldAt = ContinuousClock.now
        while true {
            switch try await look() {
            case .found(let found):
                return found
            case .notYet(let progress):
                if progress != told || toldAt.duration(to: .now) > .seconds(10) {
                    if !progress.isEmpty { self.say("  waiting for \(what): \(progress)") }
                    told = progress
                    toldAt = .now
                }
                guard ContinuousClock.now < deadline else {
                    throw DemoError("waited too long for \(what); the last that was seen: \(progress)")
                }
            }
            try await Task.sleep(for: interval)
        }
    }

    private static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    }
}

/// What a look while waiting has found.
enum DemoLook<Found> {
    /// It is there.
    case found(Found)
    /// It is not; what there is instead, for people.
    case notYet(String)
}

/// The demonstration or the measurement cannot go on.
struct DemoError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

extension Duration {
    /// Whole milliseconds, rounded.
    var milliseconds: Int {
        Int(self.components.seconds) * 1000
            + Int((self.components.attoseconds + 500_000_000_000_000) / 1_000_000_000_000_000)
    }
}
