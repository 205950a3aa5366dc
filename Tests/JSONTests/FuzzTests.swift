import JSON
import RequestFuzzing
import SeededRandom
import Testing

/// Text from anywhere never traps, and what was understood is understood again.
struct FuzzTests {
    private static let document = """
        {"a":[1,-2.5e3,true,null,"\\u00e9\\ud83e\\udd80\\n"],"b":{"c":{},"d":[[],[{}]]},"e":"","f":9223372036854775807}
        """

    @Test(.timeLimit(.minutes(2)))
    func brokenTextIsRefusedOrUnderstoodForGood() throws {
        var random = SeededGenerator(seed: FuzzRun.seed)
        let good = Array(Self.document.utf8)
        let pieces = ["[", "{", "]", "}", ",", ":", "\"", "\\u", "\\ud800", "1e999", "-", "0x", "\u{0}", "nul", "//"]
        var understood = 0
        for _ in 0..<FuzzRun.cases(4_000) {
            var bytes = good
            for _ in 0..<Int.random(in: 1...5, using: &random) {
                let index = Int.random(in: 0...bytes.count, using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0: bytes.insert(UInt8.random(in: .min ... .max, using: &random), at: index)
                case 1 where index < bytes.count: bytes[index] = UInt8.random(in: .min ... .max, using: &random)
                case 2: bytes.insert(contentsOf: (pieces.randomElement(using: &random) ?? "").utf8, at: index)
                case 3: bytes.removeSubrange(index...)
                default:
                    let count = Int.random(in: 1...3_000, using: &random)
                    let piece = pieces.randomElement(using: &random) ?? ""
                    bytes.insert(contentsOf: String(repeating: piece, count: count).utf8, at: index)
                }
            }
            guard let value = try? JSONValue(parsing: bytes) else { continue }
            understood += 1
            #expect(try JSONValue(parsing: value.serializedBytes()) == value)
        }
        #expect(understood > 0)
    }

    @Test(.timeLimit(.minutes(2)))
    func whatIsWrittenIsReadTheSame() throws {
        var fuzzer = JSONFuzzer(seed: FuzzRun.seed)
        let document = try JSONValue(parsing: Array(Self.document.utf8))
        for _ in 0..<FuzzRun.cases(2_000) {
            let value = fuzzer.mutated(document)
            #expect(try JSONValue(parsing: value.serializedBytes()) == value)
        }
    }
}
