internal import Workload

/// Where the time of switchovers went, as whoever carried them out has noted it, beside what the writer has seen.
struct BenchTrace: Sendable {
    private var steps: [(name: String, milliseconds: GapFigures)] = []
    private var percent = GapFigures()

    /// Takes in one switchover.
    mutating func add(_ spans: [(step: String, milliseconds: Int)], gapMilliseconds: Int) {
        for span in spans {
            let index = self.steps.firstIndex { $0.name == span.step } ?? self.steps.endIndex
            if index == self.steps.endIndex { self.steps.append((span.step, GapFigures())) }
            self.steps[index].milliseconds.add(gapMilliseconds: span.milliseconds, lost: 0, failed: 0)
        }
        let noted = spans.reduce(0) { $0 + $1.milliseconds }
        self.percent.add(gapMilliseconds: noted * 100 / max(1, gapMilliseconds), lost: 0, failed: 0)
    }

    /// For people.
    var line: String {
        let steps = self.steps.map { "\($0.name) \($0.milliseconds.median)" }.joined(separator: ", ")
        return "of that, medians: \(steps) ms; together \(self.percent.median) % of what the writer has seen"
    }

    /// For programs: a JSON object.
    var json: String {
        let steps = self.steps.map {
            (key: $0.name.lowercased() + "Milliseconds", text: String($0.milliseconds.median))
        }
        return JSONObjectText(steps + [(key: "percentOfGap", text: String(self.percent.median))]).text
    }
}
