/// The rows that a query returned, as text.
public struct PostgresRows: Sendable, Hashable, RandomAccessCollection {
    /// The columns' names in the order of the select list.
    public let columns: [String]
    /// What the server says it did, such as `INSERT 0 1`.
    public let commandTag: String
    /// How many rows an INSERT, UPDATE, DELETE and the like touched; 0 for what touches none.
    public let affectedRows: Int
    private let values: [String?]
    /// The number of rows.
    public let count: Int

    init(columns: [String], values: [String?], count: Int, commandTag: String, affectedRows: Int) {
        self.columns = columns
        self.values = values
        self.count = count
        self.commandTag = commandTag
        self.affectedRows = affectedRows
    }

    /// Always 0.
    public var startIndex: Int { 0 }
    /// The number of rows.
    public var endIndex: Int { self.count }

    /// The row at a position.
    public subscript(position: Int) -> PostgresRow {
        let width = self.columns.count
        return PostgresRow(columns: self.columns, values: self.values[(position * width)..<((position + 1) * width)])
    }
}

/// One row of a result.
public struct PostgresRow: Sendable, Hashable {
    /// The columns' names.
    public let columns: [String]
    private let values: ArraySlice<String?>

    init(columns: [String], values: ArraySlice<String?>) {
        self.columns = columns
        self.values = values
    }

    /// The text of the column; nil when it is NULL, or when there is no such column.
    public subscript(column: String) -> String? {
        guard let index = self.columns.firstIndex(of: column) else { return nil }
        return self[index]
    }

    /// The text of the column at a position; nil when it is NULL, or when there is no such column.
    public subscript(position: Int) -> String? {
        guard self.columns.indices.contains(position) else { return nil }
        return self.values[self.values.startIndex + position]
    }

    /// The column as a number or whatever else reads itself from text; nil when NULL, missing or not of that form.
    public func value<Value: LosslessStringConvertible>(_ column: String, as type: Value.Type) -> Value? {
        self[column].flatMap { Value($0) }
    }

    /// The column as a boolean, which PostgreSQL writes as `t` or `f`; nil when NULL, missing or not of that form.
    public func bool(_ column: String) -> Bool? {
        switch self[column] {
        case "t": true
        case "f": false
        case .some, .none: nil
        }
    }
}
