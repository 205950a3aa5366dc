internal import ClusterPlanning
internal import PostgresClusterAPI

/// The node agents.
extension World {
    /// Looks after the pods of a machine once: starts, restarts, stops, reports.
    func kubelet(_ machine: Machine) {
        guard !machine.isKubeletDue else { return }
        machine.isKubeletDue = true
        self.after(self.random.between(5, 120) * Self.millisecond) {
            machine.isKubeletDue = false
            self.lookAfter(machine)
        }
    }

    /// Every machine has a look at its pods now and then, whatever it was told.
    func kubelets() {
        self.after(self.random.between(700, 1000) * Self.millisecond) { self.kubelets() }
        for machine in self.machines where machine.isAlive { self.lookAfter(machine) }
    }

    private func lookAfter(_ machine: Machine) {
        guard machine.isAlive, !machine.isSuspended, !self.api.isDown,
            !self.network.isBlocked(machine.endpoint, Network.api),
            !self.network.isBlocked(Network.api, machine.endpoint)
        else { return }
        self.tend(machine)
    }

    private func tend(_ machine: Machine) {
        // A process whose pod is gone, or another one, is stopped: a kubelet that has not seen the deletion coming gives it
        // all of its usual time.
        for process in self.processes where process.isAlive && process.machine === machine {
            guard self.api.pod(process.instance)?.uid != process.podUID, !process.isToldToStop else { continue }
            self.stop(process, gracePeriod: 30 * Self.second)
        }
        for pod in self.api.pods where pod.node == machine.name { self.tend(machine, pod) }
    }

    private func tend(_ machine: Machine, _ pod: PodObject) {
        let process = self.processes.first { $0.isAlive && $0.podUID == pod.uid }
        if pod.isTerminating {
            if let process {
                self.stop(process, gracePeriod: pod.gracePeriod)
            } else {
                self.note(pod.instance, "pod \(pod.uid) has ended")
                self.removePod(pod.instance, uid: pod.uid)
            }
            return
        }
        if process == nil {
            if pod.isReady || (pod.isRunning && !pod.isContainerDown) {
                self.updatePod(pod.instance, uid: pod.uid) {
                    if $0.isReady { $0.notReadySince = machine.clock.wall(self.now) }
                    $0.isReady = false
                    $0.isContainerDown = true
                }
            }
            self.startProcess(pod, on: machine)
            return
        }
        guard let process else { return }
        let isReady = process.isReady
        guard pod.isReady != isReady || !pod.isRunning || pod.isContainerDown else { return }
        self.updatePod(pod.instance, uid: pod.uid) {
            if $0.isReady, !isReady { $0.notReadySince = machine.clock.wall(self.now) }
            $0.isReady = isReady
            $0.isRunning = true
            $0.isContainerDown = false
        }
    }

    private func startProcess(_ pod: PodObject, on machine: Machine) {
        guard let volume = self.volumes[pod.instance], volume.user == nil else { return }
        if let bound = volume.machine, bound != machine.name { return }
        if let ended = self.endedAt[pod.uid], self.now < ended + self.random.between(100, 1500) * Self.millisecond {
            return
        }
        let process = InstanceModel(world: self, pod: pod, volume: volume, machine: machine)
        volume.user = process
        self.processes.append(process)
        self.note(pod.instance, "process \(process.nonce) starts on \(machine.name)")
        process.start()
    }

    /// Tells a process to stop, and ends it when it has not done so in time.
    private func stop(_ process: InstanceModel, gracePeriod: Int) {
        guard !process.isToldToStop else { return }
        process.isToldToStop = true
        if gracePeriod > 0 {
            self.note(process.instance, "process \(process.nonce) is told to stop")
            process.receive { $0.terminate(gracePeriod: gracePeriod) }
        }
        self.after(gracePeriod) {
            guard process.isAlive else { return }
            process.machine.run { self.kill(process) }
        }
    }

    /// The end of a supervisor, by SIGKILL or of its own accord; PostgreSQL dies with it.
    func kill(_ process: InstanceModel) {
        guard process.isAlive else { return }
        process.isAlive = false
        self.note(process.instance, "process \(process.nonce) has ended")
        if let postmaster = process.postmaster {
            // The parent-death signal, and the watchdog right after it.
            self.endPostgres(postmaster)
        }
        process.watcher?.isEnded = true
        process.watcher = nil
        process.turns = []
        process.frozenWork = []
        if process.volume.user === process { process.volume.user = nil }
        self.endedAt[process.podUID] = self.now
        self.processes.removeAll { $0 === process }
        for each in self.operators { each.connectionEnded(process.podUID) }
        self.kubelet(process.machine)
    }
}
