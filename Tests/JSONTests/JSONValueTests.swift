import Foundation
import JSON
import Testing

struct JSONValueTests {
    @Test(arguments: [
        #"{"a":[1,2.5,true,null,"x"],"b":{}}"#, #"[]"#, #""é\n\"\\""#, #"-12"#, #"9223372036854775807"#, #"{"":""}"#,
    ])
    func textSurvivesARoundTrip(_ text: String) throws {
        let value = try JSONValue(parsing: text)
        #expect(try JSONValue(parsing: value.serialized()) == value)
        #expect(value.serialized() == text)
    }

    @Test(arguments: [
        "", " ", "{", "[1,]", "{\"a\"}", "{\"a\":1,}", "01", "1.", "1e", "-", "tru", "\"", "\"\\x\"", "\"\\u12\"",
        "[1] 2",
        "\"\u{1}\"", "1e999",
    ])
    func malformedTextIsRefused(_ text: String) {
        #expect(throws: JSONParsingError.self) { try JSONValue(parsing: text) }
    }

    @Test func deepNestingIsRefusedInsteadOfOverflowingTheStack() {
        let text = String(repeating: "[", count: 100_000)
        #expect(throws: JSONParsingError.self) { try JSONValue(parsing: text) }
    }

    @Test func invalidUTF8IsRefused() {
        #expect(throws: JSONParsingError.self) { try JSONValue(parsing: [0x22, 0xFF, 0x22]) }
    }

    @Test func surrogatePairsBecomeOneCharacterAndHalvesAreReplaced() throws {
        #expect(try JSONValue(parsing: #""\ud83d\ude00""#) == "😀")
        #expect(try JSONValue(parsing: #""\ud83d""#) == "\u{FFFD}")
    }

    @Test func integersStayIntegers() throws {
        #expect(try JSONValue(parsing: "5432") == .int(5432))
        #expect(try JSONValue(parsing: "5432.0") == .double(5432))
    }

    @Test func pathsReadAndWriteNestedMembers() throws {
        var value: JSONValue = ["metadata": ["labels": ["a": "1"]]]
        value[path: ["metadata", "labels", "b"]] = "2"
        #expect(value[path: ["metadata", "labels"]] == ["a": "1", "b": "2"])
        value[path: ["metadata", "labels", "a"]] = nil
        value[path: ["nothing", "here"]] = nil
        #expect(value == ["metadata": ["labels": ["b": "2"]]])
    }

    @Test func codableAgreesWithTheParser() throws {
        let text = #"{"a":[1,2.5,true,null,"x"],"b":{"c":-1}}"#
        let value = try JSONValue(parsing: text)
        #expect(try JSONDecoder().decode(JSONValue.self, from: Data(text.utf8)) == value)
        #expect(try JSONValue(encoding: value) == value)
        #expect(try value.decode(JSONValue.self) == value)
    }
}
