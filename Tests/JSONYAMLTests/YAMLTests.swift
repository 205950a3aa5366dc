import JSON
import JSONYAML
import Testing

struct YAMLTests {
    @Test func scalarsKeepTheirTypes() throws {
        let documents = try JSONValue.documents(
            yaml: """
                a: "200"
                b: 200
                c: true
                d: 'true'
                e:
                f: 1.5
                g: 10Gi
                h: |
                  12
                "i": [x, -1]
                """
        )
        #expect(
            documents == [
                [
                    "a": "200", "b": 200, "c": true, "d": "true", "e": nil, "f": 1.5, "g": "10Gi", "h": "12\n",
                    "i": ["x", -1],
                ]
            ]
        )
    }

    @Test func emptyDocumentsAreLeftOut() throws {
        #expect(try JSONValue.documents(yaml: "---\n---\na: 1\n---\n# nothing\n").count == 1)
    }

    @Test func malformedTextIsRefused() {
        #expect(throws: YAMLParsingError.self) { try JSONValue.documents(yaml: "a: [1") }
    }
}
