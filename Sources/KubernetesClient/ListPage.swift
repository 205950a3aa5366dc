/// One page of a list.
public struct ListPage<Item: Sendable>: Sendable {
    /// The objects.
    public var items: [Item]
    /// Objects that are there but do not decode as the type asked for.
    public var undecodable: [ObjectKey]

    /// Makes a page.
    public init(items: [Item], undecodable: [ObjectKey] = []) {
        self.items = items
        self.undecodable = undecodable
    }
}
