package import EventLoop
internal import Foundation
internal import InstanceAPI
package import Logging
package import PodProgram
package import PoolerAPI
internal import PostgresClient
package import PostgresClusterAPI

/// Runs PgBouncer, and does with it what ``PauseMachine`` says.
///
/// What changes goes into the machine first; its actions are then carried out one after the other by one task, so that
/// the order of the machine is the order of PgBouncer.
package actor Pooler {
    enum Work: Sendable {
        case action(PauseMachine.Action)
        /// The settings, or the certificates, have changed.
        case reload
        /// Everything before this has been carried out.
        case mark(CheckedContinuation<Void, Never>)
    }

    let configuration: PoolerConfiguration
    let console: BouncerConsole
    let processes: Processes
    let logger: Logger
    var machine = PauseMachine()
    var spec: ResolvedPooler?
    var counters = PoolerCounters()
    var process: Processes.ID?
    var isTerminating = false
    /// What PgBouncer uses.
    var loadedCertificates: LoadedCertificates?
    var certificateSubscribers: [AsyncStream<Void>.Continuation] = []
    /// Pauses that PgBouncer has been sent and has not answered.
    private var pausing: Set<UInt64> = []
    private var askers: [UInt64: [CheckedContinuation<(isPaused: Bool, isDrained: Bool), Never>]] = [:]
    private var timer: Task<Void, Never>?
    private var changeWaiters: [CheckedContinuation<Void, Never>] = []
    private let work: AsyncStream<Work>
    private let workContinuation: AsyncStream<Work>.Continuation

    package init(
        configuration: PoolerConfiguration,
        processes: Processes,
        eventLoop: EventLoop,
        logger: Logger
    ) {
        self.configuration = configuration
        self.processes = processes
        self.logger = logger
        self.console = BouncerConsole(
            socketDirectory: configuration.directory,
            port: configuration.port,
            eventLoop: eventLoop
        )
        (self.work, self.workContinuation) = AsyncStream.makeStream()
    }

    // MARK: Inputs

    /// The cluster was seen.
    package func saw(_ cluster: PostgresCluster) async {
        if let pooler = cluster.spec.resolved.pooler {
            self.machine.configured(pooler)
            if let old = self.spec, old.mode != pooler.mode || old.parameters != pooler.parameters {
                self.workContinuation.yield(.reload)
            }
            self.spec = pooler
        }
        guard let status = cluster.status else { return }
        self.perform(self.machine.observed(ClusterView(status), now: .now))
    }

    /// Holds clients; answers when no transaction is under way any more, or when their time is over.
    package func pause(_ request: PauseRequest) async throws -> PauseResponse {
        guard !self.isTerminating else { throw InstanceAPIError(.terminating, "the pooler has been told to stop") }
        let (id, isAnswered, actions) = try self.machine.pauseAsked(request, now: .now).mapError(Self.refusal).get()
        if !actions.isEmpty { self.counters.pauses += 1 }
        // Asked before anything is carried out, so that no answer is missed.
        self.perform(actions)
        var outcome = (isPaused: self.machine.isPaused, isDrained: self.pausing.isEmpty)
        if !isAnswered {
            outcome = await withCheckedContinuation { self.askers[id, default: []].append($0) }
        }
        var running: [RunningTransaction] = []
        if !outcome.isDrained, let servers = try? await self.console.activeServers() {
            running = servers.prefix(32).map { RunningTransaction(database: $0, user: $1, backend: $2) }
        }
        let remaining = self.machine.pauseEnd.map { ContinuousClock.now.duration(to: $0) } ?? .zero
        return PauseResponse(
            podUID: self.configuration.podUID,
            isPaused: outcome.isPaused,
            isDrained: outcome.isDrained,
            remainingMilliseconds: max(0, Int64(remaining / .milliseconds(1))),
            running: running
        )
    }

    /// Lets clients go on, to the primary named.
    package func resume(_ request: ResumeRequest) async throws -> PoolerStatus {
        guard ClusterView.isAddress(request.address), request.primary.utf8.count <= 63 else {
            throw InstanceAPIError(.badRequest, "primary or address cannot be used")
        }
        self.perform(try self.machine.resumeAsked(request, now: .now).mapError(Self.refusal).get())
        await withCheckedContinuation { self.workContinuation.yield(.mark($0)) }
        return self.status()
    }

    package func status() -> PoolerStatus {
        PoolerStatus(
            podUID: self.configuration.podUID,
            term: self.machine.term,
            isPaused: self.machine.isPaused,
            primary: self.machine.target?.primary,
            address: self.machine.target?.address,
            isRunning: self.machine.isRunning,
            certificates: self.loadedCertificates
        )
    }

    /// Whether clients may come.
    var isReady: Bool { self.machine.isRunning && !self.isTerminating }

    private static func refusal(_ refusal: PauseMachine.Refusal) -> InstanceAPIError {
        switch refusal {
        case .staleTerm(let term): InstanceAPIError(.staleTerm, "term \(term) has been seen")
        case .tooSoon(let wait):
            InstanceAPIError(.busy, "clients were held a moment ago; ask again in \(wait)")
        case .notRunning: InstanceAPIError(.notRunning, "PgBouncer does not run")
        case .sessionMode: InstanceAPIError(.badRequest, "clients are not held in session mode")
        }
    }

    /// The certificates have changed.
    func certificatesChanged() {
        self.logger.notice("The certificates have changed")
        self.workContinuation.yield(.reload)
        for subscriber in self.certificateSubscribers { subscriber.yield() }
    }

    func certificateChanges() -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        self.certificateSubscribers.append(continuation)
        return stream
    }

    // MARK: The machine and the clock

    func perform(_ actions: [PauseMachine.Action]) {
        for action in actions {
            if case .answer(let id, let isPaused, let isDrained) = action {
                for asker in self.askers.removeValue(forKey: id) ?? [] {
                    asker.resume(returning: (isPaused, isDrained))
                }
            } else {
                self.workContinuation.yield(.action(action))
            }
        }
        self.timer?.cancel()
        self.timer = nil
        if let deadline = self.machine.nextDeadline {
            // Not structured: it belongs to the pause, not to whoever began it.
            self.timer = Task {
                try? await Task.sleep(until: deadline, clock: .continuous)
                if !Task.isCancelled { self.tick() }
            }
        }
        let waiters = self.changeWaiters
        self.changeWaiters = []
        for waiter in waiters { waiter.resume() }
    }

    private func tick() {
        let isOver = self.machine.pauseEnd.map { $0 <= .now } ?? false
        if isOver {
            self.counters.expired += 1
            self.logger.warning("Nobody ended the pause in time, clients go on")
        }
        self.perform(self.machine.clockAdvanced(now: .now))
    }

    /// Waits for the next change.
    func waitForChange() async {
        await withCheckedContinuation { self.changeWaiters.append($0) }
    }

    // MARK: Carrying out

    /// Carries out what the machine says, for as long as the task lives.
    func carryOut() async {
        for await work in self.work {
            switch work {
            case .action(.pause(let id)): self.sendPause(id)
            case .action(.retarget(let target)):
                self.logger.notice("Leading to another primary", metadata: ["instance.name": "\(target.primary)"])
                await self.reload()
            case .action(.resume): await self.sendResume()
            case .action(.answer): break
            case .reload: await self.reload()
            case .mark(let continuation): continuation.resume()
            }
        }
    }

    private func sendPause(_ id: UInt64) {
        self.pausing.insert(id)
        // Not structured: the answer comes when the last transaction has ended, and what ends the pause must not wait
        // behind it.
        Task {
            do {
                try await self.console.command("PAUSE", timeout: nil)
                self.pausing.remove(id)
                self.perform(self.machine.drained(id, now: .now))
            } catch {
                self.pausing.remove(id)
                self.logger.warning("PgBouncer does not pause", metadata: ["error": "\(error)"])
                self.perform(self.machine.pauseFailed(id, now: .now))
            }
        }
    }

    /// `RESUME` until nothing that could still pause is under way: a `PAUSE` that was sent before may arrive behind.
    private func sendResume() async {
        guard let process = self.process else { return }
        for _ in 0..<20 {
            do {
                try await self.console.command("RESUME", timeout: .seconds(1))
            } catch {
                // "not paused" is as good.
                if error.code != .server {
                    self.logger.warning("PgBouncer does not resume", metadata: ["error": "\(error)"])
                }
            }
            guard self.process == process else { return }
            if self.pausing.isEmpty { return }
            let end = ContinuousClock.now + .milliseconds(100)
            while !self.pausing.isEmpty, ContinuousClock.now < end { try? await Task.sleep(for: .milliseconds(1)) }
            if self.pausing.isEmpty { return }
        }
        // Clients that are held for ever are worse than clients that connect again.
        self.logger.error("PgBouncer cannot be resumed and is started anew")
        await self.processes.signal(process, 9)
    }

    private func reload() async {
        guard let process = self.process, let target = self.machine.target else { return }
        // A console that is slow for once is no reason to drop every client.
        for attempt in 1...Self.reloadAttempts {
            do {
                let certificates = BouncerCertificates(directory: self.configuration.certificates)
                try self.writeSettings(target, certificates)
                try await self.console.command("RELOAD", timeout: .seconds(2))
                self.loadedCertificates = certificates?.names
                return
            } catch {
                guard self.process == process else { return }
                self.logger.warning(
                    "PgBouncer cannot be reloaded",
                    metadata: ["error": "\(error)", "attempt": "\(attempt)"]
                )
            }
        }
        self.logger.error("PgBouncer cannot be reloaded and is started anew")
        await self.processes.signal(process, 9)
    }

    private static let reloadAttempts = 3

    func writeSettings(_ target: PoolerTarget, _ certificates: BouncerCertificates?) throws {
        var settings = BouncerSettings(
            target: target,
            serverPort: self.configuration.serverPort,
            listenAddress: self.configuration.podIP,
            port: self.configuration.port,
            socketDirectory: self.configuration.directory,
            certificates: self.configuration.certificates,
            mode: self.spec?.mode ?? .transaction,
            parameters: self.spec?.parameters ?? [:]
        )
        settings.hasServerCertificate = certificates?.hasServerCertificate ?? false
        settings.hasServerBundle = certificates?.hasServerBundle ?? false
        try BouncerFile.write(settings.text(), to: self.configuration.settingsFile)
    }
}
