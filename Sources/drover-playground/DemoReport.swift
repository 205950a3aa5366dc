internal import JSON

/// What the demonstration has found.
struct DemoReport: Sendable {
    var ready = false
    var evictionRefusedWhilePrimary = false
    var promotedBeforeEviction = false
    var primaryNodeBefore = ""
    var primaryNodeAfter = ""
    var switchovers = 0
    var acknowledgedWrites = 0
    var lostWrites = 0
    var failedWrites = 0
    var writeGapMilliseconds = 0
    var evictionReady = ""
    /// Promises that were broken, in words.
    var broken: [String] = []

    /// The line that programs read.
    var json: String {
        JSONObjectText([
            ("ready", .bool(self.ready)),
            ("evictionRefusedWhilePrimary", .bool(self.evictionRefusedWhilePrimary)),
            ("promotedBeforeEviction", .bool(self.promotedBeforeEviction)),
            ("primaryNodeBefore", .string(self.primaryNodeBefore)),
            ("primaryNodeAfter", .string(self.primaryNodeAfter)),
            ("switchovers", JSONValue(integerLiteral: Int64(self.switchovers))),
            ("acknowledgedWrites", JSONValue(integerLiteral: Int64(self.acknowledgedWrites))),
            ("lostWrites", JSONValue(integerLiteral: Int64(self.lostWrites))),
            ("failedWrites", JSONValue(integerLiteral: Int64(self.failedWrites))),
            ("writeGapMilliseconds", JSONValue(integerLiteral: Int64(self.writeGapMilliseconds))),
            ("evictionReady", .string(self.evictionReady)),
        ])
        .text
    }
}

/// A JSON object whose members keep their order, for people who read the line as well.
struct JSONObjectText {
    let text: String

    init(_ members: [(key: String, value: JSONValue)]) {
        let parts = members.map { member in
            let value = String(decoding: member.value.serializedBytes(), as: UTF8.self)
            return "\"\(member.key)\":\(value)"
        }
        self.text = "{\(parts.joined(separator: ","))}"
    }

    init(_ members: [(key: String, text: String)]) {
        self.text = "{\(members.map { "\"\($0.key)\":\($0.text)" }.joined(separator: ","))}"
    }
}
