/// What this version's kubectl plugin can do: nothing yet.
package enum PluginFeature {
    /// What to tell someone who calls it all the same.
    package static let missing =
        "this version's plugin has no commands yet; use kubectl get, describe and annotate on postgresclusters and nodes"
}
