internal import EventLoop
internal import PostgresClient
internal import Synchronization

/// Connections that will soon be needed again, by whom they lead to.
///
/// One for each instance, for a minute: between the preparation of a candidate and the moment when it must be asked for
/// its position, nothing else is done with it.
final class WarmConnections: Sendable {
    private struct Kept: Sendable {
        var connection: PostgresConnection
        var number: UInt64
    }

    private struct State: Sendable {
        var kept: [InstanceTarget: Kept] = [:]
        var lastNumber: UInt64 = 0
    }

    private static let lifetime = Duration.seconds(60)
    private let state = Lock(State())

    /// Hands a connection out, to be closed or kept again by whoever takes it.
    func take(_ target: InstanceTarget) -> PostgresConnection? {
        self.state.withLock { $0.kept.removeValue(forKey: target)?.connection }
    }

    /// Keeps a connection until it is taken or its time is over.
    func keep(_ connection: PostgresConnection, to target: InstanceTarget) {
        let (number, former) = self.state.withLock { state in
            state.lastNumber += 1
            let former = state.kept.updateValue(Kept(connection: connection, number: state.lastNumber), forKey: target)
            return (state.lastNumber, former)
        }
        former?.connection.close()
        // Not structured: it belongs to nobody who waits.
        Task {
            try? await Task.sleep(for: Self.lifetime)
            let late = self.state.withLock { state in
                state.kept[target]?.number == number ? state.kept.removeValue(forKey: target) : nil
            }
            late?.connection.close()
        }
    }
}
