internal import CLibPQ
internal import EventLoop

extension PostgresConnection {
    /// Tries the endpoints and their addresses in order.
    ///
    /// Not left to libpq, which looks names up by blocking, and whose non-blocking interface never gives up on an
    /// address that does not answer.
    func connectToFirst() async -> Result<ConnectionHandle, PostgresError> {
        let deadline = ContinuousClock.now + self.configuration.connectTimeout
        let endpoints = self.configuration.endpoints
        var failures: [PostgresError] = []
        for (index, endpoint) in endpoints.enumerated() {
            let othersLeft = endpoints.count - index - 1
            do throws(PostgresError) {
                let targets = try await self.targets(
                    of: endpoint,
                    until: Self.share(of: deadline, among: othersLeft + 1)
                )
                for (number, target) in targets.enumerated() {
                    let left = targets.count - number + othersLeft
                    do throws(PostgresError) {
                        return .success(
                            try await self.connect(to: target, until: Self.share(of: deadline, among: left))
                        )
                    } catch  where Self.mayTryNext(after: error) {
                        failures.append(error)
                    }
                }
            } catch  where Self.mayTryNext(after: error) {
                failures.append(error)
            } catch {
                return .failure(error)
            }
        }
        guard let last = failures.last else {
            return .failure(PostgresError(code: .invalidArgument, message: "there is no server to connect to"))
        }
        guard failures.count > 1 else { return .failure(last) }
        let messages = failures.map(\.message).joined(separator: "; ")
        return .failure(PostgresError(code: last.code, sqlState: last.sqlState, message: messages))
    }

    private static func share(of deadline: ContinuousClock.Instant, among count: Int) -> ContinuousClock.Instant {
        let now = ContinuousClock.now
        return now + max(.zero, now.duration(to: deadline)) / max(1, count)
    }

    /// A wrong password is wrong everywhere; asking the next server would only lock the role out.
    private static func mayTryNext(after error: PostgresError) -> Bool {
        switch error.code {
        case .unreachable, .timeout, .tls, .server, .connectionLost: true
        case .authentication, .cancelled, .closed, .invalidArgument, .resultTooLarge, .unsupported: false
        }
    }

    private func targets(
        of endpoint: PostgresConfiguration.Endpoint,
        until deadline: ContinuousClock.Instant
    ) async throws(PostgresError) -> [PostgresConfiguration.Endpoint] {
        let host = endpoint.host
        guard endpoint.hostaddr == nil, !host.isEmpty, !host.hasPrefix("/"), !host.hasPrefix("@") else {
            return [endpoint]
        }
        func target(_ address: String) -> PostgresConfiguration.Endpoint {
            .init(host: host, hostaddr: address, port: endpoint.port)
        }
        if let address = BlockingCalls.numericAddress(host) {
            return [target(address)]
        }
        self.resolvedAddresses = nil
        let lookup = self.makeID()
        self.currentLookup = lookup
        BlockingCalls.resolve(host) { addresses in
            // Not structured: the lookup cannot be cancelled, and its answer may come when nobody waits any more.
            Task { await self.nameResolved(lookup, addresses) }
        }
        while self.resolvedAddresses == nil {
            try self.checkConnecting()
            if case .deadline = await self.suspend(on: nil, until: deadline) {
                throw PostgresError(code: .timeout, message: "the name server did not answer in time for \(host)")
            }
        }
        let addresses = self.resolvedAddresses ?? []
        guard !addresses.isEmpty else {
            throw PostgresError(code: .unreachable, message: "the host \(host) is not known to the name server")
        }
        return addresses.map(target)
    }

    private func nameResolved(_ lookup: UInt64, _ addresses: [String]) {
        guard self.currentLookup == lookup else { return }
        self.currentLookup = nil
        self.resolvedAddresses = addresses
        self.wake()
    }

    private func checkConnecting() throws(PostgresError) {
        if case .closed(let error) = self.state { throw error }
        if self.isCancelled {
            throw PostgresError(code: .cancelled, message: "the task was cancelled while connecting")
        }
    }

    private func connect(
        to target: PostgresConfiguration.Endpoint,
        until deadline: ContinuousClock.Instant
    ) async throws(PostgresError) -> ConnectionHandle {
        let handle = try ConnectionHandle(keywords: self.configuration.keywords(for: target), notices: self.notices)
        guard unsafe PQstatus(handle.pointer) != CONNECTION_BAD else {
            throw Self.connectFailure(handle, isStart: true, phase: CONNECTION_STARTED)
        }
        var interest = EventLoop.Interest.writable
        while true {
            try self.checkConnecting()
            switch await self.suspend(on: unsafe PQsocket(handle.pointer), interest: interest, until: deadline) {
            case .event:
                continue
            case .deadline:
                throw PostgresError(
                    code: .timeout,
                    message: "the server at \(target.host):\(target.port) did not accept the session in time"
                )
            case .ready:
                break
            }
            let phase = unsafe PQstatus(handle.pointer)
            switch unsafe PQconnectPoll(handle.pointer) {
            case PGRES_POLLING_OK:
                unsafe PQsetnonblocking(handle.pointer, 1)
                return handle
            case PGRES_POLLING_READING:
                interest = .readable
            case PGRES_POLLING_WRITING:
                interest = .writable
            default:
                throw Self.connectFailure(handle, isStart: false, phase: phase)
            }
        }
    }

    private static func connectFailure(
        _ handle: ConnectionHandle,
        isStart: Bool,
        phase: ConnStatusType
    ) -> PostgresError {
        let (sqlState, message) = handle.lastError
        let code: PostgresError.Code =
            switch sqlState {
            // Starting up or stopping; being stopped; out of connection slots.
            case "57P03", "57P01", "53300": .unreachable
            case .some(let state) where state.hasPrefix("28"): .authentication
            case .some: .server
            case nil where isStart && !message.hasPrefix("connection to server"): .invalidArgument
            case nil where phase == CONNECTION_SSL_STARTUP: .tls
            case nil where message.hasSuffix("no password supplied"): .authentication
            case nil: .unreachable
            }
        return PostgresError(code: code, sqlState: sqlState, message: message)
    }
}
