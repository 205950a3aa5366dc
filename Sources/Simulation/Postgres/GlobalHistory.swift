/// How a term began.
struct ChangeOfTerm {
    /// The primary before was lost: some bytes may be, too.
    var isUnplanned = false
    /// The term whose primary was chosen, but given up before the change was over.
    var superseded: Int?
    /// How far the lost primary was known to have written.
    var lastKnown: UInt64?
}

/// What really happened, which nobody in the world knows: who accepted writes, and what clients were told.
struct GlobalHistory {
    /// How much loss the rules admit for a row.
    enum Guarantee {
        /// None: it was acknowledged by as many standbys as demanded.
        case synchronous
        /// None in a planned move; a bounded number of bytes when the primary was lost.
        case asynchronous
    }

    struct Row {
        var branch: Int
        /// The term of the primary that wrote it.
        var term: Int
        var end: UInt64
        var guarantee: Guarantee
    }

    /// What clients were told is safe, and still is.
    var rows: [Row] = []
    var acknowledged = 0
    var lost = 0
    /// Who accepts writes now.
    var accepting: [Postmaster] = []
    /// The newest term in which somebody accepted writes, and who.
    var newestTerm = 0
    var newestAcceptor = ""
    var promotions = 0
}
