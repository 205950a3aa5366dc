/// What this version of Drover can do with PgBouncer: nothing yet.
package enum PoolerFeature {
    /// What to tell someone who starts the pooler all the same.
    package static let missing = "this version has no pooler yet; connect to the cluster's Service instead"
}
