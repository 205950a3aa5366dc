internal import Foundation
internal import Glibc
internal import JSON
internal import KubernetesClient
internal import Logging

/// Runs one pod from its arrival on the node to its end.
///
///     prepare volumes -> run containers, again and again -> let go of volumes -> last status -> delete the object
///
/// Volumes are let go before the object goes, so that whoever sees the pod gone finds its volume free.
actor PodWorker {
    /// Why a pod ends although its containers would go on.
    enum Ending: Sendable {
        /// Its object is being deleted; the node finishes that.
        case deleted
        /// Its object is gone already.
        case vanished
        /// The node goes down.
        case nodeShutdown
    }

    nonisolated let key: ObjectKey
    nonisolated let uid: String
    let context: PodContext
    let logger: Logger
    /// Set when no container may be started any more.
    nonisolated let stopping = Latch()

    var pod: NodePod
    var statuses: [ContainerStatus]
    var processes: [Int: ContainerProcess] = [:]
    var logs: [Int: [ContainerLog]] = [:]
    var address: IPv4Address?
    var ending: Ending?
    private var endedByItself = false
    var deadline: ContinuousClock.Instant?

    // Volumes
    var objects = PodObjects()
    var knownObjects: Set<ObjectName> = []
    var tokens: [String: ServiceAccountToken] = [:]
    var attachments: [String: VolumeClaims.Attachment] = [:]
    var hasVolumes = false

    // Status
    let startTime: Date
    var publishedStatus: JSONValue?
    private let statusChanges: AsyncStream<Void>
    private let statusChanged: AsyncStream<Void>.Continuation
    private let publisherEnded = Latch()
    /// Set, and replaced by a new one, when the deadline comes nearer.
    private var deadlineMoved = Latch()

    init(_ pod: NodePod, context: PodContext) {
        self.key = pod.key
        self.uid = pod.uid
        self.pod = pod
        self.context = context
        var logger = context.logger
        logger[metadataKey: "pod.name"] = "\(pod.key)"
        self.logger = logger
        let now = Date.now
        self.startTime = pod.status?["startTime"]?.dateValue ?? now
        self.statuses = pod.spec.containers.map { container in
            var status = ContainerStatus(name: container.name, image: container.image ?? "")
            let old = pod.status?["containerStatuses"]?.arrayValue?
                .first { $0["name"]?.stringValue == container.name }
            if let old { status.resume(from: old, now: now) }
            return status
        }
        (self.statusChanges, self.statusChanged) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    // MARK: From outside

    /// Takes over what may change in a pod: labels, annotations, and that it is being deleted.
    func update(_ pod: NodePod) {
        let labelsChanged =
            pod.metadata.labels != self.pod.metadata.labels || pod.metadata.annotations != self.pod.metadata.annotations
        self.pod.metadata = pod.metadata
        if labelsChanged, self.hasVolumes { self.refreshVolumes() }
        // A node that was silent for too long comes back to pods that others have called unready.
        if let published = self.publishedStatus, let said = pod.status,
            Self.readiness(said) != Self.readiness(published)
        {
            self.pod.status = said
            self.publishedStatus = nil
            self.statusNeedsUpdate()
        }
        if pod.metadata.deletionTimestamp != nil {
            self.end(.deleted, after: pod.gracePeriod)
        }
    }

    private static func readiness(_ status: JSONValue) -> String? {
        status["conditions"]?.arrayValue?.first { $0["type"]?.stringValue == "Ready" }?["status"]?.stringValue
    }

    /// Ends the pod: SIGTERM now, SIGKILL after `grace`.
    ///
    /// Called again it can only make the end come sooner.
    func end(_ ending: Ending, after grace: Duration) {
        if self.ending == nil || ending != .nodeShutdown { self.ending = ending }
        let deadline = ContinuousClock.now + grace
        if self.deadline.map({ deadline < $0 }) ?? true {
            self.deadline = deadline
            self.deadlineMoved.set()
            self.deadlineMoved = Latch()
        }
        guard !self.stopping.isSet else { return }
        self.stopping.set()
        for process in self.processes.values { process.signal(SIGTERM) }
    }

    /// The log of a container: the newest run, or the one before.
    func log(of container: String?, previous: Bool) -> ContainerLog? {
        let index = container.map { name in self.statuses.firstIndex { $0.name == name } } ?? 0
        guard let index, let logs = self.logs[index] else { return nil }
        return previous ? logs.dropLast().last : logs.last
    }

    // MARK: The life of the pod

    /// Runs the pod; ends when nothing of it is left to do.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.publishStatuses() }
            group.addTask { await self.enforceDeadline() }
            for name in self.objectNames {
                group.addTask { await self.follow(name) }
            }
            if !self.pod.isTerminal {
                group.addTask { await self.keepTokens() }
                await self.live()
            }
            await self.conclude()
            group.cancelAll()
        }
        if let address = self.address { self.context.addresses.release(address) }
        try? FileSystem.remove(self.directory)
    }

    /// Where everything of the pod lies that is not on a claimed volume.
    nonisolated var directory: String { "\(self.context.podsDirectory)/\(self.uid)" }

    private func live() async {
        if self.pod.metadata.deletionTimestamp != nil {
            self.end(.deleted, after: .zero)
        } else {
            let preferred = self.pod.status?["podIP"]?.stringValue.flatMap { IPv4Address($0) }
            self.address = self.context.addresses.take(preferred: preferred)
            if self.address == nil {
                self.logger.error("no address left for pod")
            }
            self.statusNeedsUpdate()
        }
        if await self.prepareVolumes() {
            await withDiscardingTaskGroup { group in
                for index in self.pod.spec.containers.indices {
                    group.addTask { await self.runContainer(index) }
                }
            }
        }
        for index in self.statuses.indices {
            self.statuses[index].isReady = false
            self.statuses[index].isStarted = false
        }
        self.releaseVolumes()
    }

    private func conclude() async {
        if !self.pod.isTerminal {
            self.statusNeedsUpdate()
            if self.ending == nil {
                // The object stays until somebody deletes it.
                self.endedByItself = true
                await self.stopping.wait()
            }
            self.statusChanged.finish()
            await self.publisherEnded.wait()
            await self.publishStatus()
        } else {
            await self.stopping.wait()
        }
        if self.ending == .deleted { await self.deleteObject() }
    }

    private func deleteObject() async {
        var pause = RetryPause()
        while !Task.isCancelled, self.ending == .deleted {
            do {
                try await self.context.client.delete(
                    Pod.self,
                    self.key.name,
                    namespace: self.key.namespace,
                    options: DeleteOptions(gracePeriodSeconds: 0, preconditions: Preconditions(uid: self.uid))
                )
                return
            } catch {
                if error.code == .notFound || error.code == .conflict { return }
                self.logger.warning("cannot delete pod", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: pause.next())
            }
        }
    }

    private func enforceDeadline() async {
        await self.stopping.wait()
        while !Task.isCancelled, let deadline = self.deadline {
            let rest = ContinuousClock.now.duration(to: deadline)
            if rest <= .zero {
                for process in self.processes.values { process.signal(SIGKILL) }
                return
            }
            await self.deadlineMoved.wait(atMost: rest)
        }
    }

    // MARK: Status

    /// Says that the status of the pod may have changed.
    func statusNeedsUpdate() {
        self.statusChanged.yield()
    }

    private func publishStatuses() async {
        for await _ in self.statusChanges {
            await self.publishStatus()
        }
        self.publisherEnded.set()
    }

    /// Patches the status until the API server has what is true now.
    private func publishStatus() async {
        var tries = 0
        var pause = RetryPause()
        while !Task.isCancelled, self.ending != .vanished {
            let status = self.draft.document(old: self.publishedStatus ?? self.pod.status, now: .now)
            if status == self.publishedStatus { return }
            do {
                let patch = Patch.strategic(["metadata": ["uid": .string(self.uid)], "status": status])
                _ = try await self.context.client.patchObject(
                    Pod.resourceType,
                    self.key.name,
                    namespace: self.key.namespace,
                    patch,
                    subresource: "status"
                )
                self.publishedStatus = status
            } catch {
                if error.code == .notFound || error.code == .conflict { return }
                tries += 1
                // When the node goes down the API server may be on its way, too.
                if self.ending == .nodeShutdown, tries >= 3 { return }
                self.logger.warning("cannot patch status of pod", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: pause.next())
            }
        }
    }

    private var draft: PodStatusDraft {
        PodStatusDraft(
            restartPolicy: self.pod.spec.restartPolicy ?? .always,
            containers: self.statuses,
            podIP: self.address.map(\.description),
            hostIP: self.context.hostIP,
            startTime: self.startTime,
            failure: self.ending == .nodeShutdown && !self.endedByItself
                ? ("Terminated", "Pod was terminated in response to imminent node shutdown.") : nil,
            isEnding: self.stopping.isSet
        )
    }
}
