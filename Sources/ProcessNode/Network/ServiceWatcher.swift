internal import EventLoop
internal import KubernetesClient
internal import Logging
internal import Synchronization

/// Watches Services and EndpointSlices and keeps a forwarder's table.
struct ServiceWatcher: Sendable {
    private static let serviceLabel = "kubernetes.io/service-name"

    let client: KubernetesClient
    let forwarder: ServiceForwarder
    /// The addresses that are served.
    let ranges: [IPv4Range]
    let logger: Logger

    private struct State {
        var services: [ForwardingTable.Service]?
        var slices: [ForwardingTable.Slice]?
    }

    /// Runs until cancelled.
    func run() async {
        let state = Picture()
        await withDiscardingTaskGroup { group in
            group.addTask {
                await Follower<Service>(client: self.client, logger: self.logger)
                    .run { services in
                        self.apply(state.update { $0.services = services.values.compactMap { self.service($0) } })
                    }
            }
            group.addTask {
                await Follower<EndpointSlice>(client: self.client, logger: self.logger)
                    .run { slices in
                        self.apply(state.update { $0.slices = slices.values.compactMap(Self.slice) })
                    }
            }
        }
    }

    private final class Picture: Sendable {
        private let state = Lock(State())

        func update(_ change: (inout State) -> Void) -> State {
            self.state.withLock { state in
                change(&state)
                return state
            }
        }
    }

    private func apply(_ state: State) {
        // A table made of one half would refuse connections that it could serve.
        guard let services = state.services, let slices = state.slices else { return }
        self.forwarder.apply(ForwardingTable(services: services, slices: slices))
    }

    private func service(_ service: Service) -> ForwardingTable.Service? {
        guard let address = service.spec?.clusterIP, let number = IPv4Address(address),
            self.ranges.contains(where: { $0.contains(number) })
        else { return nil }
        return ForwardingTable.Service(
            namespace: service.key.namespace,
            name: service.key.name,
            clusterIP: address,
            ports: (service.spec?.ports ?? []).filter { ($0.protocol ?? "TCP") == "TCP" }
                .map { .init(name: $0.name ?? "", port: $0.port) }
        )
    }

    private static func slice(_ slice: EndpointSlice) -> ForwardingTable.Slice? {
        guard let service = slice.metadata.labels?[self.serviceLabel], slice.addressType == "IPv4" else { return nil }
        return ForwardingTable.Slice(
            namespace: slice.key.namespace,
            service: service,
            ports: (slice.ports ?? [])
                .compactMap { port in
                    port.port.map { .init(name: port.name ?? "", port: $0) }
                },
            endpoints: (slice.endpoints ?? [])
                .map {
                    // Not said means ready.
                    .init(addresses: $0.addresses, isReady: $0.conditions?.ready ?? true)
                }
        )
    }
}
