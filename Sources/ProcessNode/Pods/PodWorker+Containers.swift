internal import Foundation
internal import Glibc
internal import KubernetesClient
internal import Logging

extension PodWorker {
    private static let retryInterval = Duration.seconds(1)

    /// Runs a container until the pod ends, or its restart policy says that it is done.
    func runContainer(_ index: Int) async {
        var backoff = RestartBackoff(first: self.context.firstRestartDelay)
        while !self.stopping.isSet, !Task.isCancelled {
            let process: ContainerProcess
            do {
                process = try await self.start(index)
            } catch let error as ContainerConfigurationError {
                await self.wait(index, reason: error.reason, message: error.message, Self.retryInterval)
                continue
            } catch {
                let reason = (error as? ContainerRuntimeError)?.reason ?? "CreateContainerError"
                let delay = max(Self.retryInterval, backoff.delay(afterRunOf: .zero))
                await self.wait(index, reason: reason, message: "\(error)", delay)
                continue
            }
            let exit = await self.attend(process, index)
            self.ended(process, exit, index)
            if self.stopping.isSet || !self.restarts(afterCode: exit.code) { return }
            let terminated = self.statuses[index].state
            self.statuses[index].lastState = terminated
            let delay = backoff.delay(
                afterRunOf: .seconds(exit.finishedAt.timeIntervalSince(process.startedAt))
            )
            if delay > .zero {
                await self.wait(
                    index,
                    reason: "CrashLoopBackOff",
                    message: "back-off \(delay) restarting failed container",
                    delay
                )
                if self.stopping.isSet {
                    self.statuses[index].state = terminated
                    return
                }
            }
            self.statuses[index].restartCount += 1
        }
    }

    private func wait(_ index: Int, reason: String, message: String, _ duration: Duration) async {
        self.statuses[index].state = .waiting(reason: reason, message: message)
        self.statusNeedsUpdate()
        await self.stopping.wait(atMost: duration)
    }

    private func restarts(afterCode code: Int32) -> Bool {
        switch self.pod.spec.restartPolicy ?? .always {
        case .always: true
        case .onFailure: code != 0
        case .never: false
        }
    }

    // MARK: One run

    private func start(_ index: Int) async throws -> ContainerProcess {
        let container = self.pod.spec.containers[index]
        let restartCount = self.statuses[index].restartCount
        let configuration = try self.configuration(of: container)
        let directory = "\(self.directory)/containers/\(container.name)"
        try FileSystem.makeDirectory(directory)
        let log = try ContainerLog(path: "\(directory)/\(restartCount).log")
        let process = try await self.context.runtime.start(
            configuration,
            paths: try self.hostPaths(for: configuration, directory: directory),
            id: "process://\(UUID().uuidString.lowercased())",
            log: log,
            inherited: self.attachments.sorted { $0.key < $1.key }.map(\.value.lock)
        )
        self.processes[index] = process
        // One earlier run is kept, for `kubectl logs --previous`.
        self.logs[index] = (self.logs[index] ?? []).suffix(1) + [log]
        if restartCount > 1 { try? FileSystem.remove("\(directory)/\(restartCount - 2).log") }
        self.statuses[index].state = .running(startedAt: process.startedAt, id: process.id)
        self.statusNeedsUpdate()
        // The end may have come while it was being started.
        if self.stopping.isSet {
            process.signal(self.deadline.map { $0 <= .now } ?? false ? SIGKILL : SIGTERM)
        }
        return process
    }

    /// Probes a running container until it ends.
    private func attend(_ process: ContainerProcess, _ index: Int) async -> ContainerExit {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.probe(process, index) }
            let exit = await process.waitForExit()
            group.cancelAll()
            if let exit { return exit }
            process.signal(SIGKILL)
            // Not structured: being cancelled must not keep us from waiting until the volumes are out of use.
            return await Task { await process.waitForExit() }.value ?? ContainerExit(code: 137, finishedAt: .now)
        }
    }

    private func ended(_ process: ContainerProcess, _ exit: ContainerExit, _ index: Int) {
        self.processes[index] = nil
        self.statuses[index].state = .terminated(
            code: exit.code,
            reason: exit.code == 0 ? "Completed" : "Error",
            startedAt: process.startedAt,
            finishedAt: exit.finishedAt,
            id: process.id
        )
        self.statuses[index].isReady = false
        self.statuses[index].isStarted = false
        self.logger.info(
            "container ended",
            metadata: ["container.name": "\(self.statuses[index].name)", "exit.code": "\(exit.code)"]
        )
        self.statusNeedsUpdate()
    }

    private func configuration(of container: ContainerSpecification) throws -> ContainerConfiguration {
        if container.image?.hasPrefix("missing/") == true {
            throw ContainerConfigurationError(
                reason: "ErrImagePull",
                message: "image not found: \(container.image ?? "")"
            )
        }
        let hostname = self.pod.spec.hostname ?? self.key.name
        let environment = try PodEnvironment.resolve(
            container,
            fields: self.fields,
            objects: self.objects,
            base: [
                "HOSTNAME": hostname, "KUBERNETES_SERVICE_HOST": self.context.serviceHost,
                "KUBERNETES_SERVICE_PORT": "\(self.context.servicePort)",
                "KUBERNETES_SERVICE_PORT_HTTPS": "\(self.context.servicePort)",
            ]
        )
        let command = ((container.command ?? []) + (container.args ?? []))
            .map { ContainerEnvironment.expand($0, environment) }
        guard container.command?.isEmpty == false else {
            throw ContainerConfigurationError(
                reason: "CreateContainerError",
                message: "no command: this node has no images whose command it could run"
            )
        }
        let context = container.securityContext
        let podContext = self.pod.spec.securityContext
        let user = UInt32(clamping: context?.runAsUser ?? podContext?.runAsUser ?? 0)
        if user == 0, context?.runAsNonRoot ?? podContext?.runAsNonRoot ?? false {
            throw ContainerConfigurationError(message: "container has runAsNonRoot and would run as root")
        }
        return ContainerConfiguration(
            hostname: hostname,
            command: command,
            workingDirectory: container.workingDir.flatMap { $0.isEmpty ? nil : $0 },
            environment: environment,
            userID: user,
            groupID: UInt32(clamping: context?.runAsGroup ?? podContext?.runAsGroup ?? Int64(user)),
            hasReadOnlyRoot: context?.readOnlyRootFilesystem ?? false,
            mounts: try self.mounts(of: container)
        )
    }

    private func hostPaths(
        for configuration: ContainerConfiguration,
        directory: String
    ) throws(FileSystemError) -> ContainerHostPaths {
        let home = configuration.environment["HOME"] ?? "/"
        let user = "drover:x:\(configuration.userID):\(configuration.groupID)::\(home):/bin/sh"
        try Self.add(user, to: "/etc/passwd", id: configuration.userID, at: "\(directory)/passwd")
        try Self.add(
            "drover:x:\(configuration.groupID):",
            to: "/etc/group",
            id: configuration.groupID,
            at: "\(directory)/group"
        )
        return ContainerHostPaths(
            executables: self.context.executables,
            passwd: "\(directory)/passwd",
            group: "\(directory)/group",
            hidden: self.context.hidden
        )
    }

    /// Copies a user or group file of the host with one entry more, unless the number has a name there.
    private static func add(
        _ entry: String,
        to file: String,
        id: UInt32,
        at path: String
    ) throws(FileSystemError) {
        var lines = String(decoding: (try? FileSystem.read(file)) ?? [], as: UTF8.self).split(separator: "\n")
        let isKnown = lines.contains { line in
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            return fields.count > 2 && fields[2] == "\(id)"
        }
        if !isKnown { lines.append(Substring(entry)) }
        try FileSystem.replace(path, with: Array((lines.joined(separator: "\n") + "\n").utf8))
    }

    // MARK: Probes

    private func probe(_ process: ContainerProcess, _ index: Int) async {
        let container = self.pod.spec.containers[index]
        do {
            let make = { (specification: ProbeSpecification) throws(ContainerConfigurationError) -> Probe in
                try Probe(specification, address: self.address?.description ?? "", ports: container.ports ?? [])
            }
            let startup = try container.startupProbe.map(make)
            let liveness = try container.livenessProbe.map(make)
            let readiness = try container.readinessProbe.map(make)
            if let startup {
                guard await self.waitForStart(startup, process) else { return }
            }
            self.report(process, index, isStarted: true)
            guard let readiness else {
                self.report(process, index, isReady: true)
                if let liveness { await self.watchLife(liveness, process) }
                return
            }
            await withDiscardingTaskGroup { group in
                if let liveness { group.addTask { await self.watchLife(liveness, process) } }
                await self.watchReadiness(readiness, process, index)
            }
        } catch {
            self.logger.error("a probe makes no sense", metadata: ["error": "\(error)"])
        }
    }

    private func report(_ process: ContainerProcess, _ index: Int, isStarted: Bool? = nil, isReady: Bool? = nil) {
        // The end may have been seen first.
        guard self.processes[index] === process, process.exit == nil else { return }
        if let isStarted { self.statuses[index].isStarted = isStarted }
        if let isReady { self.statuses[index].isReady = isReady }
        self.statusNeedsUpdate()
    }

    private func waitForStart(_ probe: Probe, _ process: ContainerProcess) async -> Bool {
        var state = ProbeState(
            isPassing: false,
            successThreshold: probe.successThreshold,
            failureThreshold: probe.failureThreshold
        )
        try? await Task.sleep(for: probe.initialDelay)
        while !Task.isCancelled {
            let problem = await self.context.probes.problem(of: probe, in: process)
            if Task.isCancelled { return false }
            if state.probed(succeeded: problem == nil) {
                if state.isPassing { return true }
                await self.restart(process, probe, problem)
                return false
            }
            try? await Task.sleep(for: probe.period)
        }
        return false
    }

    private func watchLife(_ probe: Probe, _ process: ContainerProcess) async {
        var state = ProbeState(
            isPassing: true,
            successThreshold: probe.successThreshold,
            failureThreshold: probe.failureThreshold
        )
        try? await Task.sleep(for: probe.initialDelay)
        while !Task.isCancelled, !self.stopping.isSet {
            let problem = await self.context.probes.problem(of: probe, in: process)
            if Task.isCancelled || self.stopping.isSet { return }
            if state.probed(succeeded: problem == nil), !state.isPassing {
                await self.restart(process, probe, problem)
                return
            }
            try? await Task.sleep(for: probe.period)
        }
    }

    private func watchReadiness(_ probe: Probe, _ process: ContainerProcess, _ index: Int) async {
        var state = ProbeState(
            isPassing: false,
            successThreshold: probe.successThreshold,
            failureThreshold: probe.failureThreshold
        )
        try? await Task.sleep(for: probe.initialDelay)
        while !Task.isCancelled {
            let problem = await self.context.probes.problem(of: probe, in: process)
            if Task.isCancelled { return }
            if state.probed(succeeded: problem == nil) {
                if let problem {
                    self.logger.info("container is not ready", metadata: ["reason": "\(problem)"])
                }
                self.report(process, index, isReady: state.isPassing)
            }
            try? await Task.sleep(for: probe.period)
        }
    }

    /// Ends a container that a probe found wanting; its restart policy decides about the rest.
    private func restart(_ process: ContainerProcess, _ probe: Probe, _ problem: String?) async {
        self.logger.warning("container failed its probe", metadata: ["reason": "\(problem ?? "")"])
        process.signal(SIGTERM)
        let grace = probe.gracePeriod ?? .seconds(self.pod.spec.terminationGracePeriodSeconds ?? 30)
        // Cancelled when it has ended.
        try? await Task.sleep(for: grace)
        process.signal(SIGKILL)
    }
}
