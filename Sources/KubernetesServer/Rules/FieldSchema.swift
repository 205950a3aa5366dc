internal import JSON

/// How the parts of a value are merged and owned: what strategic merge patch and server-side apply must know of a type.
///
/// Of the built-in kinds only what differs from the rule is written down (``FieldSchema/builtIn(group:kind:)``): an
/// object's members are merged one by one, a list is replaced as a whole.
indirect enum FieldSchema: Hashable, Sendable {
    /// A built-in type nothing special is known of: every member is a named field.
    case open
    /// An object with named fields; of other members the rule holds.
    case structure([String: FieldSchema], retainKeys: Bool = false)
    /// An object whose keys are data, each owned by itself.
    case map(FieldSchema)
    /// Anything, where a custom resource preserves unknown fields.
    case deduced
    /// A list.
    case list(FieldSchema, List)
    /// An object or list that is owned and replaced as a whole by server-side apply, though patches may go into it.
    case atomic(FieldSchema)

    /// How a list's elements are told apart.
    struct List: Hashable, Sendable {
        /// `x-kubernetes-list-type`.
        enum Kind: Hashable, Sendable {
            case atomic
            case set
            /// Elements are objects told apart by the values of these keys.
            case map(keys: [String], defaults: [String: JSONValue])
        }

        /// What a strategic merge patch does with a list.
        enum Strategy: Hashable, Sendable {
            case replace
            /// Merge elements with the same value of this key.
            case mergeByKey(String)
            /// Add scalars that are not there yet.
            case mergeScalars
        }

        let kind: Kind
        let strategy: Strategy
    }

    /// The schema of a member of an object.
    func field(_ key: String) -> FieldSchema {
        switch self {
        case .open: .open
        case .structure(let fields, _): fields[key] ?? .open
        case .map(let element): element
        case .deduced: .deduced
        case .list: .deduced
        case .atomic(let inner): inner.field(key)
        }
    }

    /// Whether a member is a field of the type, not data.
    func isNamedField(_ key: String) -> Bool {
        switch self {
        case .open, .structure: true
        case .map, .deduced, .list: false
        case .atomic(let inner): inner.isNamedField(key)
        }
    }

    /// The schema of a list's elements.
    var element: FieldSchema {
        switch self {
        case .list(let element, _): element
        case .atomic(let inner): inner.element
        case .open, .structure: .open
        case .map, .deduced: .deduced
        }
    }

    /// What a strategic merge patch does with a list of this schema.
    var listStrategy: List.Strategy {
        switch self {
        case .list(_, let list): list.strategy
        case .atomic(let inner): inner.listStrategy
        case .open, .structure, .map, .deduced: .replace
        }
    }

    /// Whether a strategic merge patch of this object may name the keys to keep.
    var retainsKeys: Bool {
        switch self {
        case .structure(_, let retainKeys): retainKeys
        case .atomic(let inner): inner.retainsKeys
        case .open, .map, .deduced, .list: false
        }
    }

    /// Shape of a value as server-side apply sees it.
    enum Shape {
        /// Owned as a whole.
        case leaf
        /// Members are owned one by one.
        case object
        /// Elements are owned one by one.
        case list(List.Kind)
    }

    /// How a value of this schema is owned.
    func shape(of value: JSONValue) -> Shape {
        switch (self, value) {
        case (.atomic, _): .leaf
        case (.open, .object), (.structure, .object), (.map, .object), (.deduced, .object): .object
        case (.list(_, let list), .array):
            switch list.kind {
            case .atomic: .leaf
            case .set, .map: .list(list.kind)
            }
        default: .leaf
        }
    }
}

extension FieldSchema {
    /// A list of objects with merge keys.
    static func list(
        of element: FieldSchema = .open,
        by keys: String...,
        defaults: [String: JSONValue] = [:],
        merge: String? = nil
    ) -> FieldSchema {
        .list(
            element,
            List(
                kind: .map(keys: keys, defaults: defaults),
                strategy: merge.map { .mergeByKey($0) } ?? keys.first.map { .mergeByKey($0) } ?? .replace
            )
        )
    }

    /// A list of different scalars.
    static let set = FieldSchema.list(.open, List(kind: .set, strategy: .mergeScalars))

    /// A list that is owned as a whole, though strategic merge patches merge it by a key.
    static func atomicList(of element: FieldSchema = .open, merge: String) -> FieldSchema {
        .list(element, List(kind: .atomic, strategy: .mergeByKey(merge)))
    }

    /// A list replaced as a whole whose elements have a known type.
    static func atomicList(of element: FieldSchema) -> FieldSchema {
        .list(element, List(kind: .atomic, strategy: .replace))
    }
}
