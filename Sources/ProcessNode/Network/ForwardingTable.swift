/// Where a TCP connection can go.
struct SocketEndpoint: Hashable, Sendable, Comparable, CustomStringConvertible {
    var address: String
    var port: Int

    var description: String { "\(self.address):\(self.port)" }

    static func < (left: SocketEndpoint, right: SocketEndpoint) -> Bool {
        (left.address, left.port) < (right.address, right.port)
    }
}

/// What the forwarder of a node should do: for each address and port of a Service, where its connections may go.
struct ForwardingTable: Sendable, Equatable {
    /// The endpoints behind one port of a Service.
    struct Backends: Sendable, Equatable {
        /// New connections go to one of these.
        var ready: [SocketEndpoint] = []
        /// Connections to these may go on; ready or not, they are still in a slice.
        var known: Set<SocketEndpoint> = []
    }

    /// The part of a Service that matters here.
    struct Service: Sendable, Equatable {
        struct Port: Sendable, Equatable {
            var name: String
            var port: Int
        }

        var namespace: String
        var name: String
        var clusterIP: String
        var ports: [Port]
    }

    /// The part of an EndpointSlice that matters here.
    struct Slice: Sendable, Equatable {
        struct Endpoint: Sendable, Equatable {
            var addresses: [String]
            var isReady: Bool
        }

        var namespace: String
        /// Of the label `kubernetes.io/service-name`.
        var service: String
        var ports: [Service.Port]
        var endpoints: [Endpoint]
    }

    var listeners: [SocketEndpoint: Backends] = [:]

    /// Builds the table; a slice's ports belong to those of the Service by name.
    init(services: [Service], slices: [Slice]) {
        let slices = Dictionary(grouping: slices) { "\($0.namespace)/\($0.service)" }
        for service in services {
            for port in service.ports {
                var backends = Backends()
                for slice in slices["\(service.namespace)/\(service.name)"] ?? [] {
                    for target in slice.ports where target.name == port.name {
                        for endpoint in slice.endpoints {
                            for address in endpoint.addresses {
                                let backend = SocketEndpoint(address: address, port: target.port)
                                backends.known.insert(backend)
                                if endpoint.isReady { backends.ready.append(backend) }
                            }
                        }
                    }
                }
                backends.ready = Set(backends.ready).sorted()
                self.listeners[SocketEndpoint(address: service.clusterIP, port: port.port)] = backends
            }
        }
    }
}
