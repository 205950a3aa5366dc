import JSON
import PostgresClusterAPI
import Testing

@Suite struct LSNTests {
    @Test(arguments: [
        ("0/0", 0), ("0/5000028", 0x500_0028), ("1/0", 0x1_0000_0000), ("FFFFFFFF/FFFFFFFF", UInt64.max),
        ("A/B", 0xA_0000_000B),
    ])
    func readsAndPrintsPostgresNotation(_ text: String, _ value: UInt64) {
        #expect(LSN(text)?.rawValue == value)
        #expect(LSN(rawValue: value).description == text)
    }

    @Test(arguments: [
        "", "/", "0", "0/", "/0", "0/0/0", "0/-1", "+1/0", "0/1FFFFFFFF", "g/0", " 0/0", "0/0 ",
        "0/\(String(repeating: "0", count: 100_000))",
    ])
    func refusesAnythingElse(_ text: String) {
        #expect(LSN(text) == nil)
    }

    @Test func countsBytesBetweenTwo() {
        let early = LSN(rawValue: 100)
        let late = LSN(rawValue: 350)
        #expect(late.bytes(after: early) == 250)
        #expect(early.bytes(after: late) == -250)
        #expect(early < late)
        #expect(LSN(rawValue: .max).bytes(after: LSN(rawValue: 0)) == .max)
        #expect(LSN(rawValue: 0).bytes(after: LSN(rawValue: .max)) == -.max)
    }

    @Test func isAStringInJSON() throws {
        #expect(try JSONValue(encoding: [LSN(rawValue: 0x500_0028)]) == ["0/5000028"])
        #expect(try (["1/2"] as JSONValue).decode([LSN].self) == [LSN(rawValue: 0x1_0000_0002)])
        #expect(throws: DecodingError.self) { try (["nonsense"] as JSONValue).decode([LSN].self) }
    }
}
