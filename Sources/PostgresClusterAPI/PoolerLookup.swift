/// How poolers look up a role's password verifier in a database.
public enum PoolerLookup {
    /// The schema, in every database that poolers lead to.
    public static let schema = "drover"
    /// The function in it: a role's name in; `username` and `verifier` out, no row for who may not come in this way.
    public static let function = "drover.pooler_lookup"
}
