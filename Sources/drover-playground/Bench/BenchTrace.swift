internal import PostgresClusterAPI
internal import Workload

/// Where the time of switchovers went, as whoever carried them out has noted it, within the gap that the writer has seen.
struct BenchTrace: Sendable {
    private var steps: [(name: String, milliseconds: GapFigures)] = []
    private var parts: [(name: String, milliseconds: GapFigures)] = []
    private var percent = GapFigures()

    /// Takes in one switchover.
    mutating func add(_ timeline: BenchTimeline) {
        for span in timeline.steps {
            Self.add(timeline.share(of: span), to: span.step.rawValue, in: &self.steps)
            for part in span.parts ?? [] {
                Self.add(Double(part.milliseconds), to: "\(span.step.rawValue).\(part.name)", in: &self.parts)
            }
        }
        Self.add(timeline.late, to: "Late", in: &self.steps)
        Self.add(timeline.reconnect, to: "Reconnect", in: &self.steps)
        self.percent.add(gapMilliseconds: Int(timeline.percent.rounded(.down)), lost: 0, failed: 0)
    }

    private static func add(
        _ milliseconds: Double,
        to name: String,
        in list: inout [(name: String, milliseconds: GapFigures)]
    ) {
        let index = list.firstIndex { $0.name == name } ?? list.endIndex
        if index == list.endIndex { list.append((name, GapFigures())) }
        list[index].milliseconds.add(gapMilliseconds: Int(milliseconds.rounded()), lost: 0, failed: 0)
    }

    /// For people.
    var line: String {
        let steps = self.steps.map { "\($0.name) \($0.milliseconds.median)" }.joined(separator: ", ")
        let parts = self.parts.map { "\($0.name) \($0.milliseconds.median)" }.joined(separator: ", ")
        return
            "of that, medians: \(steps) ms; together \(self.percent.median) % of what the writer has seen; parts: \(parts)"
    }

    /// For programs: a JSON object.
    var json: String {
        let steps = self.steps.map {
            (key: $0.name.lowercased() + "Milliseconds", text: String($0.milliseconds.median))
        }
        let parts = JSONObjectText(self.parts.map { (key: $0.name, text: String($0.milliseconds.median)) }).text
        return JSONObjectText(
            steps + [(key: "percentOfGap", text: String(self.percent.median)), (key: "partsMilliseconds", text: parts)]
        )
        .text
    }
}
