internal import EventLoop
internal import Foundation
internal import Logging
internal import PodProgram

/// PgBouncer's life.
extension Pooler {
    /// Keeps PgBouncer running until the pooler is told to stop and it has stopped.
    package func run() async throws {
        try BouncerFile.makeDirectory(self.configuration.directory)
        await withDiscardingTaskGroup { group in
            group.addTask { await self.carryOut() }
            group.addTask { await self.watchCertificates() }
            await self.keepRunning()
            group.cancelAll()
        }
    }

    private func keepRunning() async {
        var delay = Duration.milliseconds(50)
        while !self.isTerminating {
            guard let target = self.machine.startTarget else {
                await self.waitForChange()
                continue
            }
            let began = ContinuousClock.now
            await self.runOnce(target)
            delay = began.duration(to: .now) > .seconds(10) ? .milliseconds(50) : min(delay * 2, .seconds(5))
            if !self.isTerminating { try? await Task.sleep(for: delay) }
        }
    }

    private func runOnce(_ target: PoolerTarget) async {
        let process: Processes.ID
        let certificates: BouncerCertificates?
        do {
            certificates = BouncerCertificates(directory: self.configuration.certificates)
            try self.writeSettings(target, certificates)
            process = try await self.processes.start(
                Processes.Program(
                    path: self.configuration.program,
                    arguments: ["-q", self.configuration.settingsFile],
                    environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"]
                )
            )
        } catch {
            self.logger.error("PgBouncer cannot be started", metadata: ["error": "\(error)"])
            return
        }
        self.process = process
        self.counters.starts += 1
        if await self.waitForConsole(of: process) {
            self.loadedCertificates = certificates?.names
            self.logger.notice("PgBouncer runs", metadata: ["instance.name": "\(target.primary)"])
            self.perform(self.machine.bouncerStarted(leadingTo: target, now: .now))
        }
        let exit = await self.processes.exit(of: process)
        await self.processes.forget(process)
        self.process = nil
        if !self.isTerminating { self.logger.error("PgBouncer has ended", metadata: ["exit": "\(exit)"]) }
        self.perform(self.machine.bouncerEnded(now: .now))
    }

    /// It says nowhere that it is up, so it is asked until it answers.
    private func waitForConsole(of process: Processes.ID) async -> Bool {
        let deadline = ContinuousClock.now + .seconds(10)
        while await !self.processes.hasEnded(process) {
            do {
                try await self.console.command("SHOW VERSION", timeout: .seconds(1))
                return true
            } catch {
                guard ContinuousClock.now < deadline else {
                    self.logger.error("PgBouncer does not answer", metadata: ["error": "\(error)"])
                    await self.processes.signal(process, 9)
                    return false
                }
                try? await Task.sleep(for: .milliseconds(10))
            }
        }
        return false
    }

    /// SIGTERM: new clients go elsewhere, transactions under way come to their end, then the rest is let go.
    package func terminate() async {
        guard !self.isTerminating else { return }
        self.isTerminating = true
        self.logger.notice("Told to stop")
        self.perform([])
        guard let process = self.process else { return }
        let end = ContinuousClock.now + self.configuration.gracePeriod - .seconds(10)
        // Until it has got about that no new clients should come here.
        try? await Task.sleep(for: .seconds(2))
        // Whoever is held now would be let go without ever having had a turn.
        while self.machine.isPaused, ContinuousClock.now < end { await self.waitForChange() }
        await self.processes.signal(process, 2)
        // Not structured: the end of PgBouncer ends the program, and this with it.
        Task {
            try? await Task.sleep(until: end, clock: .continuous)
            await self.processes.signal(process, 15)
        }
    }

    /// Mounted Secrets change under us, more than a minute after they were changed; that is soon enough to look.
    private func watchCertificates() async {
        var known = BouncerCertificates(directory: self.configuration.certificates)
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(10))
            guard let now = BouncerCertificates(directory: self.configuration.certificates), now != known else {
                continue
            }
            known = now
            self.certificatesChanged()
        }
    }
}
