/// Which objects of a kind are meant.
public struct Selector: Hashable, Sendable {
    /// A label selector as `kubectl -l` takes it; nil for all.
    public var labels: String?
    /// A field selector as `kubectl --field-selector` takes it; nil for all.
    public var fields: String?

    /// Makes a selector from texts.
    public init(labels: String? = nil, fields: String? = nil) {
        self.labels = labels
        self.fields = fields
    }

    /// Makes a selector of objects that carry all these labels.
    public init(labels: [String: String], fields: String? = nil) {
        self.labels = labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ",")
        self.fields = fields
    }

    /// Everything.
    public static let everything = Selector()

    /// The one object of that name.
    public static func named(_ name: String) -> Selector { Selector(fields: "metadata.name=\(name)") }

    var query: [(name: String, value: String)] {
        var query: [(name: String, value: String)] = []
        if let labels, !labels.isEmpty { query.append(("labelSelector", labels)) }
        if let fields, !fields.isEmpty { query.append(("fieldSelector", fields)) }
        return query
    }
}
