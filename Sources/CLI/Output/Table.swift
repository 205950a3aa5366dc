/// One cell of a table.
struct Cell: Sendable, Hashable, ExpressibleByStringLiteral {
    var text: String
    var tone: Tone

    /// Makes a cell; what is empty or missing is shown as `-`.
    init(_ text: String?, _ tone: Tone = .plain) {
        let shown = text?.printable ?? ""
        self.text = shown.isEmpty ? "-" : shown
        self.tone = tone
    }

    init(stringLiteral value: String) { self.init(value) }
}

/// Rows under titles, as kubectl prints them.
struct Table: Sendable {
    struct Column: Sendable, Hashable, ExpressibleByStringLiteral {
        var title: String
        /// Only shown with `-o wide`.
        var isWide = false

        init(stringLiteral value: String) { self.title = value }

        static func wide(_ title: String) -> Column {
            var column = Column(stringLiteral: title)
            column.isWide = true
            return column
        }
    }

    var columns: [Column]
    var rows: [[Cell]] = []

    init(_ columns: [Column]) { self.columns = columns }

    /// The lines, each column as wide as its widest cell.
    func lines(isWide: Bool, _ terminal: Terminal) -> [String] {
        let shown = self.columns.indices.filter { isWide || !self.columns[$0].isWide }
        let titles = self.columns.map { Cell($0.title, .faint) }
        let all = [titles] + self.rows
        let widths = shown.map { index in
            all.map { index < $0.count ? $0[index].text.count : 1 }.max() ?? 0
        }
        return all.map { row in
            var line = ""
            for (position, index) in shown.enumerated() {
                let cell = index < row.count ? row[index] : Cell(nil)
                line += cell.tone.paint(cell.text, terminal)
                guard position < shown.count - 1 else { break }
                line += String(repeating: " ", count: widths[position] - cell.text.count + 3)
            }
            return line
        }
    }
}
