/// How good a place a node is for a primary, judged anew at every look.
///
/// A lower rank is better: ranks are compared, never added up.
public enum NodeRank: Int, Sendable, Hashable, Comparable, CaseIterable {
    /// Nothing speaks against the node.
    case fresh = 0
    /// Nothing is announced, but the node will go before others of its pool do.
    case old = 1
    /// Somebody has said that the node will go.
    case announced = 2
    /// The node is going, or has gone, now.
    case leaving = 3

    /// Orders from the best node to the worst.
    public static func < (left: NodeRank, right: NodeRank) -> Bool {
        left.rawValue < right.rawValue
    }
}
