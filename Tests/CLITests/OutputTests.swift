import Foundation
import JSON
import JSONYAML
import Testing

@testable import CLI

@Suite(.timeLimit(.minutes(3)))
struct OutputTests {
    private static let colourful = Terminal(isTerminal: true, isColourRefused: false, environment: ["TERM": "xterm"])

    @Test func columnsAreAsWideAsTheirWidestCell() {
        var table = Table(["NAME", "NODE", .wide("WHY")])
        table.rows = [[Cell("orders-1"), Cell(nil), Cell("because")], [Cell("x"), Cell("node-a")]]
        #expect(table.lines(isWide: false, .plain) == ["NAME       NODE", "orders-1   -", "x          node-a"])
        #expect(table.lines(isWide: true, .plain).last == "x          node-a   -")
    }

    @Test func coloursDoNotChangeTheLayout() {
        var table = Table(["A", "B"])
        table.rows = [[Cell("bad", .bad), Cell("1")]]
        let lines = table.lines(isWide: false, Self.colourful)
        #expect(lines[1] == "\u{1B}[31mbad\u{1B}[0m   1")
    }

    @Test(arguments: [
        (["TERM": "xterm", "NO_COLOR": "1"], false, false), (["TERM": "dumb"], false, false),
        (["TERM": "xterm"], true, false), (["TERM": "xterm"], false, true), ([:], false, true),
    ])
    func coloursAreForTerminalsThatWantThem(environment: [String: String], isRefused: Bool, expected: Bool) {
        let terminal = Terminal(isTerminal: true, isColourRefused: isRefused, environment: environment)
        #expect(terminal.hasColours == expected)
        let file = Terminal(isTerminal: false, isColourRefused: isRefused, environment: environment)
        #expect(!file.hasColours && !file.isInteractive)
    }

    @Test func whatSomebodyElseWroteCannotMoveTheCursor() {
        #expect("a\u{1B}[2Jb\nc".printable == "a [2Jb c")
        #expect(Cell("x\u{07}").text == "x ")
    }

    static let spans: [(String, Double)] = [("90s", 90), ("10m", 600), ("1h30m", 5400), ("3d", 259_200), ("0", 0)]

    @Test(arguments: Self.spans)
    func spansAreRead(text: String, seconds: Double) {
        #expect(TimeSpan(text)?.seconds == seconds)
    }

    @Test(arguments: ["", "10", "m", "5x", "1h5", "-3s", "999999999999999999999d", "1.5h"])
    func otherTextIsNoSpan(text: String) {
        #expect(TimeSpan(text) == nil)
    }

    static let ages: [(Double, String)] = [
        (3, "3s"), (119, "119s"), (125, "2m"), (11_460, "3h11m"), (39_660, "11h"), (200_000, "2d"), (-90, "90s"),
        (Double.infinity, "11574d"),
    ]

    @Test(arguments: Self.ages)
    func agesAreShort(seconds: Double, text: String) {
        #expect(Age.text(seconds: seconds) == text)
    }

    @Test func yamlIsReadAsWhatWasWritten() throws {
        let value: JSONValue = [
            "name": "shop/orders", "flag": true, "number": 5, "version": "15", "empty": [:], "none": [], "null": nil,
            "tricky": ["yes", "a: b", "- x", "", " lead", "#no", "multi\nline", "2026-11-21T10:00:00Z"],
            "nested": [["a": 1, "b": ["c": [1, [2, 3]]]], ["a": "x"]],
        ]
        let text = YAMLText.of(value)
        #expect(try JSONValue.documents(yaml: text) == [value])
        #expect(text.contains("name: shop/orders\n"))
        #expect(text.contains("version: \"15\"\n"))
    }

    @Test func completionLooksWhereTheCommandLineSays() {
        let words = CompletionWords(["kubectl-drover", "status", "-n", "shop", "--kubeconfig=/k", "--context", "c", ""])
        #expect(words.namespace == "shop")
        #expect(words.kubeconfig == "/k")
        #expect(words.context == "c")
    }
}
