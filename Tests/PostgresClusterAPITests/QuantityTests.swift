import JSON
import PostgresClusterAPI
import Testing

@Suite struct QuantityTests {
    @Test(arguments: [
        ("0", 0), ("1", 1), ("1Ki", 1024), ("10Gi", 10 << 30), ("1k", 1000), ("1.5Gi", 3 << 29), (".5Ki", 512),
        ("1e3", 1000), ("1E3", 1000), ("1E", 1_000_000_000_000_000_000), ("500m", 1), ("1500m", 2), ("1n", 1),
        ("5.", 5), ("+5", 5), ("-5", -5), ("-1500m", -1), ("100e-2", 1), ("1e30", .max), ("8Ei", .max),
        ("99999999999999999999", .max), ("0.0000000001", 1), ("0e30", 0),
    ])
    func readsWhatKubernetesReads(_ text: String, _ bytes: Int64) throws {
        let quantity = try #require(Quantity(text))
        #expect(quantity.bytes == bytes)
        #expect(quantity.description == text)
    }

    @Test(arguments: [
        "", " ", "Gi", "1 Gi", "1gi", "1GiB", "1e", "1e1.5", "1e99", "--1", "1.2.3", "0x10", ".", "١",
        String(repeating: "1", count: 1_000_000),
    ])
    func refusesAnythingElse(_ text: String) {
        #expect(Quantity(text) == nil)
    }

    @Test func comparesByValue() throws {
        #expect(Quantity("1Gi") == Quantity("1024Mi"))
        #expect(Quantity("1Gi")?.hashValue == Quantity("1024Mi")?.hashValue)
        #expect(try #require(Quantity("1G")) < #require(Quantity("1Gi")))
        #expect(try #require(Quantity("500m")) < #require(Quantity("1")))
        #expect(Quantity("1.5")?.milli == 1500)
    }

    @Test(arguments: [(0, "0"), (1, "1"), (1023, "1023"), (1024, "1Ki"), (16 << 20, "16Mi"), (Int64.min, "-8Ei")])
    func printsBytesWithTheLargestSuffixThatLosesNothing(_ bytes: Int64, _ text: String) {
        let quantity = Quantity(bytes: bytes)
        #expect(quantity.text == text)
        #expect(quantity.bytes == bytes)
    }

    @Test func isAStringOrANumberInJSON() throws {
        #expect(
            try (["1Ki", 2048] as JSONValue).decode([Quantity].self) == [Quantity(bytes: 1024), Quantity(bytes: 2048)]
        )
        #expect(try JSONValue(encoding: [Quantity(bytes: 2048)]) == ["2Ki"])
        #expect(throws: DecodingError.self) { try ([true] as JSONValue).decode([Quantity].self) }
    }

    @Test func readsBackWhatItPrints() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<500 {
            let bytes =
                Int64.random(in: 0...Int64.max, using: &generator) >> Int64.random(in: 0...62, using: &generator)
            #expect(Quantity(Quantity(bytes: bytes).text)?.bytes == bytes)
        }
    }
}
