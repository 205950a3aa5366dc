internal import JSON

/// One write that was acknowledged to a client.
struct WriteRecord: Sendable, Hashable {
    /// Who wrote.
    var client: String
    /// The client's number for it; each attempt has a larger one.
    var sequence: Int64
    /// When it was sent, in milliseconds of the machine's boot-time clock, which all clients here share.
    var sent: Int64
    /// When the acknowledgement came.
    var acknowledged: Int64
    /// The address of the server that has accepted it.
    var server: String
    /// That server's timeline.
    var timeline: Int64
    /// Where that server's log was then, in bytes.
    var position: UInt64

    /// A line of a client's file.
    var line: String {
        """
        \(self.client) \(self.sequence) \(self.sent) \(self.acknowledged) \(self.server) \(self.timeline) \
        \(String(self.position, radix: 16))
        """
    }

    init(
        client: String,
        sequence: Int64,
        sent: Int64,
        acknowledged: Int64,
        server: String,
        timeline: Int64,
        position: UInt64
    ) {
        self.client = client
        self.sequence = sequence
        self.sent = sent
        self.acknowledged = acknowledged
        self.server = server
        self.timeline = timeline
        self.position = position
    }

    /// Reads a line; nil when it was cut off while it was written.
    init?(line: some StringProtocol) {
        let words = line.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 7, !words[0].isEmpty, let sequence = Int64(words[1]), let sent = Int64(words[2]),
            let acknowledged = Int64(words[3]), let timeline = Int64(words[5]),
            let position = UInt64(words[6], radix: 16)
        else { return nil }
        self.init(
            client: String(words[0]),
            sequence: sequence,
            sent: sent,
            acknowledged: acknowledged,
            server: String(words[4]),
            timeline: timeline,
            position: position
        )
    }
}
