internal import Foundation

/// How a ``PlaygroundServer`` is set up.
public struct PlaygroundConfiguration: Sendable {
    /// The address to listen on.
    public var host = "127.0.0.1"
    /// The port to listen on; 0 takes a free one.
    public var port = 0
    /// Where certificates, tokens and objects are kept, so that a restarted server comes back as it was; nil keeps
    /// everything in memory.
    public var dataDirectory: String?
    /// The first two bytes of Service addresses.
    public var servicePrefix = "127.96"
    /// The first two bytes of pod addresses; every node gets a third byte of its own.
    public var podPrefix = "127.64"
    /// How often watchers are told how far they have come.
    public var bookmarkInterval: Duration = .seconds(30)
    /// Whether the built-in controllers run (scheduler, budgets, garbage collection and so on).
    public var runsControllers = true
    /// Built-in controllers that do not run, by name (such as `scheduler`), because somebody else does what they do.
    public var omittedControllers: Set<String> = []
    /// How long a node may be silent before it counts as unreachable.
    public var nodeMonitorGracePeriod: Duration = .seconds(40)

    /// Makes a configuration with the defaults.
    public init() {}
}
