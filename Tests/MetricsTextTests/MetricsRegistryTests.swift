import CoreMetrics
import Testing

@testable import MetricsText

struct MetricsRegistryTests {
    private let registry = MetricsRegistry()

    @Test func nothingIsNoText() {
        #expect(self.registry.text == "")
    }

    @Test func theSameNameAndLabelsAreTheSameCounter() {
        self.registry.makeCounter(label: "a_total", dimensions: [("x", "1"), ("b", "2")]).increment(by: 2)
        self.registry.makeCounter(label: "a_total", dimensions: [("b", "2"), ("x", "1")]).increment(by: 3)
        self.registry.makeCounter(label: "a_total", dimensions: []).increment(by: 1)
        #expect(
            self.registry.text == """
                # TYPE a_total counter
                a_total 1
                a_total{b="2",x="1"} 5

                """
        )
    }

    @Test func gaugesKeepTheLastValue() {
        let meter = self.registry.makeMeter(label: "depth", dimensions: [])
        meter.set(Int64(4))
        meter.increment(by: 1.5)
        self.registry.makeRecorder(label: "size", dimensions: [], aggregate: false).record(Int64(7))
        #expect(
            self.registry.text == """
                # TYPE depth gauge
                depth 5.5
                # TYPE size gauge
                size 7

                """
        )
    }

    @Test func timersCountWhatIsNotAboveEachBound() {
        let timer = self.registry.makeTimer(label: "took_seconds", dimensions: [("verb", "get")])
        for milliseconds in [1, 2, 700, 60_000] { timer.recordNanoseconds(Int64(milliseconds) * 1_000_000) }
        let lines = self.registry.text.split(separator: "\n").map(String.init)
        #expect(lines.first == "# TYPE took_seconds histogram")
        #expect(lines.contains(#"took_seconds_bucket{verb="get",le="0.001"} 1"#))
        #expect(lines.contains(#"took_seconds_bucket{verb="get",le="0.5"} 2"#))
        #expect(lines.contains(#"took_seconds_bucket{verb="get",le="30"} 3"#))
        #expect(lines.contains(#"took_seconds_bucket{verb="get",le="+Inf"} 4"#))
        #expect(lines.contains(#"took_seconds_count{verb="get"} 4"#))
        #expect(lines.contains(#"took_seconds_sum{verb="get"} 60.703"#))
    }

    @Test func aNameIsOfOneKind() {
        self.registry.makeCounter(label: "a", dimensions: []).increment(by: 1)
        self.registry.makeMeter(label: "a", dimensions: []).set(Int64(9))
        #expect(self.registry.text == "# TYPE a counter\na 1\n")
    }

    @Test(arguments: [("a.b-c", "a_b_c"), ("0a", "_0a"), ("", "_"), ("ä", "_")])
    func namesAreMadeFit(text: String, expected: String) {
        #expect(MetricsSyntax.name(text) == expected)
    }

    @Test func labelsAreEscaped() {
        #expect(MetricsSyntax.labels([("l", "a\"b\\c\nd")]) == #"l="a\"b\\c\nd""#)
    }
}
