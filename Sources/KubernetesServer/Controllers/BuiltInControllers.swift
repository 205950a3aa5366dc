internal import JSON
package import Logging

/// The controllers a Kubernetes cluster has beside its API server, small: scheduler, volume binding, disruption budgets,
/// endpoint slices, garbage collection, namespaces, node lifecycle.
///
/// Each works on the ``ObjectStore`` alone and is level-triggered: whatever happened while nobody ran, the first look at
/// the objects there are brings everything to where it should be.
package final class BuiltInControllers: Sendable {
    /// Timings and what else differs between a playground and a test.
    package struct Configuration: Sendable {
        /// The CA certificate that pods find in `kube-root-ca.crt`.
        package var rootCertificatePEM = ""
        /// How long a node may be silent before it counts as unreachable.
        package var nodeMonitorGracePeriod: Duration = .seconds(40)
        /// How long pods of a node whose object is gone are left alone.
        package var orphanedPodDelay: Duration = .seconds(40)
        /// How often a namespace being deleted is looked at again while something is left in it.
        package var namespaceRetryDelay: Duration = .milliseconds(100)
        /// How long an eviction may be on its way before its pod counts as healthy again.
        package var disruptedPodTimeout: Duration = .seconds(120)
        /// Where `spec.podCIDR` of nodes comes from; nil gives none.
        package var podCIDRBlock: String? = "127.64.0.0/12"
        /// Length of a node's prefix.
        package var nodePrefixLength = 24
        /// Controllers that do not run, by name, because somebody else does what they do.
        package var omitted: Set<String> = []
        /// The clock of all waiting.
        package var clock = ControllerClock.live

        /// Makes the configuration of a playground.
        package init() {}
    }

    private let controllers: [any BuiltInController]
    private let store: ObjectStore
    private let configuration: Configuration
    private let logger: Logger

    /// Makes the controllers; nothing happens before ``run()``.
    package init(store: ObjectStore, configuration: Configuration = Configuration(), logger: Logger) {
        self.store = store
        self.configuration = configuration
        self.logger = logger
        let writer = ControllerWriter(store: store)
        let all: [any BuiltInController] = [
            Scheduler(writer: writer),
            VolumeBinder(writer: writer),
            DisruptionController(writer: writer, timeout: configuration.disruptedPodTimeout),
            EndpointSliceController(writer: writer),
            GarbageCollector(store: store),
            NamespaceController(
                writer: writer,
                retryDelay: configuration.namespaceRetryDelay,
                rootCertificatePEM: configuration.rootCertificatePEM
            ),
            NodeController(writer: writer, configuration: configuration),
            PodEvictor(writer: writer, configuration: configuration),
        ]
        self.controllers = all.filter { !configuration.omitted.contains($0.name) }
    }

    /// Runs every controller until the task is cancelled.
    @concurrent
    package func run() async {
        await withDiscardingTaskGroup { group in
            for controller in self.controllers {
                let runner = ControllerRunner(
                    controller: controller,
                    store: self.store,
                    clock: self.configuration.clock,
                    logger: self.logger
                )
                group.addTask { await runner.run() }
            }
        }
    }
}
