internal import Foundation
internal import PostgresClusterAPI

/// Draws one switchover: who did what when, and what the writer noticed.
///
/// No font, script or style from elsewhere; readable on a dark page as well, because it brings its own ground.
struct BenchPicture {
    private let timeline: BenchTimeline
    private let begin: Double
    private let end: Double

    private static let width = 960.0
    private static let left = 132.0
    private static let right = 24.0
    private static let pitch = 58.0
    private static let colors = [
        "#aec7e8", "#ffbb78", "#98df8a", "#c5b0d5", "#ff9896", "#9edae5", "#dbdb8d", "#c49c94", "#f7b6d2", "#c7e9c0",
    ]

    init(_ timeline: BenchTimeline) {
        self.timeline = timeline
        self.begin = min(0, timeline.lastCommit) - 15
        let last = timeline.spans.map { Double($0.startMilliseconds + $0.milliseconds) }.max() ?? 0
        self.end = max(last, timeline.firstCommit) + 25
    }

    private struct Bar {
        var from: Double
        var to: Double
        var text: String
        var color: String
    }

    /// The whole file.
    var svg: String {
        let rows: [(name: String, bars: [Bar])] = [
            ("writer", self.writer), ("steps", self.steps), (self.timeline.from, self.parts(of: .stop)),
            (self.timeline.to, self.parts(of: .promote)), ("Service", self.announcement),
        ]
        let height = 96 + rows.count * Int(Self.pitch)
        var lines = [
            """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Int(Self.width)) \(height)" role="img" \
            font-family="sans-serif" font-size="12">
            """,
            "<title>One switchover, \(Self.whole(self.timeline.gap)) ms without a commit</title>",
            "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>",
            """
            <text x="16" y="24" font-size="15" fill="#222222">One switchover from \(Self.escaped(self.timeline.from)) to \
            \(Self.escaped(self.timeline.to)): \(Self.whole(self.timeline.gap)) ms without a commit, \
            \(Self.whole(self.timeline.percent)) % accounted for</text>
            """,
        ]
        lines += self.grid(height: height)
        for (index, row) in rows.enumerated() {
            let top = 44.0 + Double(index) * Self.pitch
            lines.append("<text x=\"16\" y=\"\(top + 20)\" fill=\"#222222\">\(Self.escaped(row.name))</text>")
            for bar in row.bars { lines += self.draw(bar, top: top) }
            if let first = row.bars.first, row.bars.contains(where: { !self.isWide($0) }) {
                let list = row.bars.map { "\($0.text) \(Self.whole($0.to - $0.from))" }.joined(separator: ", ")
                let x = Self.digits(min(self.x(first.from), Self.width - 16 - Double(list.count) * 6))
                lines.append(
                    "<text x=\"\(x)\" y=\"\(top + 44)\" font-size=\"11\" fill=\"#555555\">\(Self.escaped(list))</text>"
                )
            }
        }
        return (lines + ["</svg>"]).joined(separator: "\n") + "\n"
    }

    // MARK: Rows

    private var writer: [Bar] {
        let times = self.timeline
        return [
            Bar(from: self.begin, to: times.lastCommit, text: "commits", color: Self.colors[2]),
            Bar(from: times.lastCommit, to: times.connecting, text: "no commit", color: "#d8d8d8"),
            Bar(from: times.connecting, to: times.firstCommit, text: "connect, commit", color: Self.colors[1]),
            Bar(from: times.firstCommit, to: self.end, text: "commits", color: Self.colors[2]),
        ]
    }

    private var steps: [Bar] {
        self.timeline.steps.enumerated()
            .map { index, span in
                let from = Double(span.startMilliseconds)
                return Bar(
                    from: from,
                    to: from + Double(span.milliseconds),
                    text: span.step.rawValue,
                    color: Self.colors[(index + 3) % Self.colors.count]
                )
            }
    }

    /// An instance says how long, not when: its parts are drawn one after the other, with the way halved around them.
    private func parts(of step: TransitionStep) -> [Bar] {
        guard let span = self.timeline.spans.first(where: { $0.step == step }), let parts = span.parts else {
            return []
        }
        let way = parts.filter { $0.name == TransitionPart.way }.reduce(0) { $0 + $1.milliseconds }
        var from = Double(span.startMilliseconds) + Double(way) / 2
        return parts.filter { $0.name != TransitionPart.way }.enumerated()
            .map { index, part in
                defer { from += Double(part.milliseconds) }
                return Bar(
                    from: from,
                    to: from + Double(part.milliseconds),
                    text: part.name,
                    color: Self.colors[index % Self.colors.count]
                )
            }
    }

    private var announcement: [Bar] {
        guard let span = self.timeline.spans.first(where: { $0.step == .announce }) else { return [] }
        let from = Double(span.startMilliseconds)
        return [Bar(from: from, to: from + Double(span.milliseconds), text: "Announce", color: Self.colors[5])]
    }

    // MARK: Drawing

    private func x(_ time: Double) -> Double {
        Self.left + (time - self.begin) / (self.end - self.begin) * (Self.width - Self.left - Self.right)
    }

    private func grid(height: Int) -> [String] {
        let span = self.end - self.begin
        let step = [10.0, 20, 50, 100, 200, 500, 1000, 2000, 5000].first { span / $0 <= 16 } ?? 10_000
        var lines: [String] = []
        var time = (self.begin / step).rounded(.up) * step
        while time <= self.end {
            let x = Self.digits(self.x(time))
            lines.append(
                "<line x1=\"\(x)\" y1=\"40\" x2=\"\(x)\" y2=\"\(height - 34)\" stroke=\"#e4e4e4\" stroke-width=\"1\"/>"
            )
            lines.append(
                "<text x=\"\(x)\" y=\"\(height - 18)\" text-anchor=\"middle\" fill=\"#555555\">\(Self.whole(time))</text>"
            )
            time += step
        }
        lines.append(
            "<text x=\"16\" y=\"\(height - 18)\" fill=\"#555555\">milliseconds</text>"
        )
        return lines
    }

    private func draw(_ bar: Bar, top: Double) -> [String] {
        let (from, to) = (self.x(bar.from), self.x(bar.to))
        let width = max(1, to - from)
        let title = "\(bar.text), \(Self.whole(bar.to - bar.from)) ms"
        var lines = [
            """
            <rect x="\(Self.digits(from))" y="\(top)" width="\(Self.digits(width))" height="30" rx="2" \
            fill="\(bar.color)"><title>\(Self.escaped(title))</title></rect>
            """
        ]
        if self.isWide(bar) {
            lines.append(
                """
                <text x="\(Self.digits((from + to) / 2))" y="\(top + 19)" text-anchor="middle" \
                fill="#222222">\(Self.escaped(bar.text))</text>
                """
            )
        }
        return lines
    }

    /// Whether the name finds room inside; a letter is some seven units wide.
    private func isWide(_ bar: Bar) -> Bool {
        self.x(bar.to) - self.x(bar.from) > Double(bar.text.count) * 7 + 4
    }

    private static func whole(_ number: Double) -> String { String(Int(number.rounded())) }
    private static func digits(_ number: Double) -> String { String((number * 10).rounded() / 10) }

    private static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing("\"", with: "&quot;")
    }
}
