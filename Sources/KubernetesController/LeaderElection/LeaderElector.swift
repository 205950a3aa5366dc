internal import EventLoop
public import KubernetesClient
public import Logging
internal import Synchronization

/// Leads while it holds a Lease, and only then.
///
/// The Lease is renewed while the work runs. When it could not be renewed for ``Configuration/renewDeadline``, counted
/// from before the last successful renewal, the work is cancelled: this is before another candidate may take over.
public final class LeaderElector: Sendable {
    /// Names and times of an election.
    public struct Configuration: Sendable, Hashable {
        /// Who this candidate is; no other may have the same.
        public var identity: String
        /// How long others wait after the last renewal they saw.
        public var leaseDuration: Duration
        /// How long the leader goes on without a successful renewal; shorter than ``leaseDuration``.
        public var renewDeadline: Duration
        /// The time between two tries.
        public var retryPeriod: Duration

        /// Makes a configuration.
        public init(
            identity: String,
            leaseDuration: Duration = .seconds(15),
            renewDeadline: Duration = .seconds(10),
            retryPeriod: Duration = .seconds(2)
        ) {
            self.identity = identity
            self.leaseDuration = leaseDuration
            self.renewDeadline = min(renewDeadline, leaseDuration)
            self.retryPeriod = retryPeriod
        }
    }

    /// The Lease was lost while the work ran; the work has been cancelled and has ended.
    public struct LeadershipLost: Error, CustomStringConvertible {
        /// What happened.
        public var description: String { "the Lease was lost" }
    }

    private struct State {
        var election: LeaderElection
        var isLeader = false
    }

    private let configuration: Configuration
    private let access: any LeaseAccess
    private let time: TimeSource
    private let wallClock: @Sendable () -> Timestamp
    private let logger: Logger
    private let state: Lock<State>

    /// Makes an elector; nothing happens before ``run(_:)``.
    /// - Parameters:
    ///   - configuration: names and times.
    ///   - access: the Lease.
    ///   - time: the clock to measure and wait by.
    ///   - wallClock: the time written into the Lease, for people.
    ///   - logger: told about leadership.
    public init(
        configuration: Configuration,
        access: any LeaseAccess,
        time: TimeSource = .continuous,
        wallClock: @escaping @Sendable () -> Timestamp = { .now(.microseconds) },
        logger: Logger
    ) {
        self.configuration = configuration
        self.access = access
        self.time = time
        self.wallClock = wallClock
        var logger = logger
        logger[metadataKey: "leader.identity"] = "\(configuration.identity)"
        self.logger = logger
        let election = LeaderElection(
            identity: configuration.identity,
            leaseDuration: configuration.leaseDuration
        )
        self.state = Lock(State(election: election))
    }

    /// Whether the work runs now.
    public var isLeader: Bool { self.state.withLock { $0.isLeader } }

    /// Who held the Lease when it was last seen.
    public var holder: String? { self.state.withLock { $0.election.holder } }

    /// Waits until the Lease is ours and runs `lead` while it is.
    ///
    /// Ends when `lead` ends or the task is cancelled; both give the Lease back, after `lead` has ended.
    /// - Parameter lead: the work; it is cancelled when the Lease is lost.
    /// - Throws: ``LeadershipLost`` when the Lease was lost, and whatever `lead` throws. When the task is cancelled
    ///   before it leads, it just returns.
    public func run(_ lead: @escaping @Sendable () async throws -> Void) async throws {
        guard let acquired = await self.acquire() else { return }
        self.logger.info("Leading")
        self.state.withLock { $0.isLeader = true }
        let result = await self.lead(since: acquired, lead)
        self.state.withLock { $0.isLeader = false }
        switch result {
        case .success(.workEnded), .success(.cancelled):
            await self.release()
        case .success(.lost):
            self.logger.warning("Lease lost; no longer leading")
            throw LeadershipLost()
        case .failure(let error):
            await self.release()
            if !Task.isCancelled { throw error }
        }
    }

    // MARK: Acquiring

    /// Tries until the Lease is ours.
    /// - Returns: the time from before the request that took it, or nil when cancelled.
    private func acquire() async -> Duration? {
        while !Task.isCancelled {
            let start = self.time.now()
            if await self.attempt() { return start }
            // Spread, so that not all candidates ask at once.
            let pause = self.configuration.retryPeriod * Double.random(in: 1...1.2)
            guard (try? await self.time.sleep(pause)) != nil else { return nil }
        }
        return nil
    }

    /// One try to take or renew the Lease.
    private func attempt() async -> Bool {
        do {
            if !self.isLeader {
                let lease = try await self.access.read()
                let now = self.time.now()
                self.state.withLock { $0.election.seen(lease, at: now) }
            }
            let now = self.time.now()
            let action = self.state.withLock { $0.election.action(now: now, wallClock: self.wallClock()) }
            let written: Lease
            switch action {
            case .wait: return false
            case .create(let spec): written = try await self.access.create(Lease(spec: spec))
            case .replace(let lease): written = try await self.access.replace(lease)
            }
            let after = self.time.now()
            self.state.withLock { $0.election.seen(written, at: after) }
            return true
        } catch {
            if error.code == .cancelled { return false }
            self.logger.log(
                level: error.code == .conflict || error.code == .alreadyExists ? .debug : .warning,
                "Lease could not be taken or renewed",
                metadata: ["error": "\(error)"]
            )
            // It may have been written all the same, or by somebody else: look before the next try.
            await self.look()
            return false
        }
    }

    private func look() async {
        guard let lease = try? await self.access.read() else { return }
        let now = self.time.now()
        self.state.withLock { $0.election.seen(lease, at: now) }
    }

    // MARK: Leading

    private enum Ending: Sendable {
        case workEnded
        case lost
        case cancelled
    }

    private func lead(
        since acquired: Duration,
        _ work: @escaping @Sendable () async throws -> Void
    ) async -> Result<Ending, any Error> {
        await withTaskGroup(of: Result<Ending, any Error>.self) { group in
            group.addTask {
                do {
                    try await work()
                    return .success(.workEnded)
                } catch {
                    return .failure(error)
                }
            }
            group.addTask { .success(await self.renew(since: acquired)) }
            let first = await group.next() ?? .success(.workEnded)
            group.cancelAll()
            await group.waitForAll()
            return first
        }
    }

    /// Renews until that has not succeeded for too long.
    private func renew(since acquired: Duration) async -> Ending {
        var renewed = acquired
        while true {
            guard (try? await self.time.sleep(self.configuration.retryPeriod)) != nil else { return .cancelled }
            let start = self.time.now()
            let left = renewed + self.configuration.renewDeadline - start
            guard left > .zero else { return .lost }
            switch await self.attempt(within: left) {
            case true: renewed = start
            case false:
                if Task.isCancelled { return .cancelled }
                // Somebody else has it: waiting would not bring it back.
                if let holder = self.holder, holder != self.configuration.identity { return .lost }
            }
        }
    }

    /// One try that is given up after a while, however long the request hangs.
    private func attempt(within limit: Duration) async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask { await self.attempt() }
            group.addTask {
                try? await self.time.sleep(limit)
                return false
            }
            let first = await group.next() ?? false
            group.cancelAll()
            return first
        }
    }

    private func release() async {
        let wallClock = self.wallClock()
        guard let lease = self.state.withLock({ $0.election.released(wallClock: wallClock) }) else { return }
        let access = self.access
        // Not structured: our own task is usually cancelled by now, and the Lease has to be given back all the same.
        // The access bounds the time this may take.
        let result = await Task { () async -> Result<Lease, KubernetesError> in
            do throws(KubernetesError) {
                return .success(try await access.replace(lease))
            } catch {
                return .failure(error)
            }
        }
        .value
        switch result {
        case .success(let lease):
            let now = self.time.now()
            self.state.withLock { $0.election.seen(lease, at: now) }
            self.logger.info("Lease given back")
        case .failure(let error):
            self.logger.warning("Lease could not be given back", metadata: ["error": "\(error)"])
        }
    }
}
