internal import Fence
internal import PostgresClusterAPI

/// What PostgreSQL does by itself.
extension World {
    // MARK: Starting and ending

    /// Starts PostgreSQL; it lets connections in after a while, when it runs on.
    func startPostgres(_ process: InstanceModel, asPrimary: Bool, isClosed: Bool = false) -> Postmaster {
        let postmaster = Postmaster(
            number: self.number(),
            instance: process.instance,
            volume: process.volume,
            machine: process.machine,
            isPrimary: asPrimary
        )
        postmaster.isClosed = isClosed
        postmaster.synchronous = process.volume.synchronous
        postmaster.term = process.disk.ownTerm
        process.volume.data?.shutdownEnd = nil
        if !asPrimary, let data = process.volume.data {
            // Redo begins at the restart point; connections are let in somewhere on the way.
            process.volume.data?.replayed = self.random.chance(0.5) ? data.end : min(data.restartPoint, data.end)
        }
        self.after(self.random.between(20, 400) * Self.millisecond) {
            postmaster.machine.run {
                guard postmaster.isAlive else { return }
                postmaster.accepts = true
                if asPrimary {
                    self.beginAccepting(postmaster)
                } else {
                    self.replay(postmaster)
                    self.connectStandby(postmaster)
                }
                process.postgresCameUp(postmaster)
            }
        }
        return postmaster
    }

    /// The postmaster is gone, in whatever way; what is flushed stays.
    func endPostgres(_ postmaster: Postmaster) {
        guard postmaster.isAlive else { return }
        postmaster.isAlive = false
        postmaster.accepts = false
        self.stopAccepting(postmaster)
        postmaster.waiting = []
        self.disconnect(postmaster)
        for link in postmaster.standbys { self.reset(link) }
        postmaster.standbys = []
        for each in self.processes where each.isAlive && each.postmaster === postmaster {
            each.postgresEnded(postmaster)
        }
    }

    func beginAccepting(_ postmaster: Postmaster) {
        guard !postmaster.isAccepting, postmaster.isAlive, !postmaster.isStopping, !postmaster.isQuitting else {
            return
        }
        postmaster.isAccepting = true
        self.history.accepting.append(postmaster)
        self.checkAcceptance(of: postmaster)
    }

    func stopAccepting(_ postmaster: Postmaster) {
        guard postmaster.isAccepting else { return }
        postmaster.isAccepting = false
        self.history.accepting.removeAll { $0 === postmaster }
    }

    // MARK: The log

    func append(_ postmaster: Postmaster, bytes: Int) {
        postmaster.volume.data?.append(bytes)
        self.ship(postmaster)
    }

    /// The last record of a primary that ends in good order.
    @discardableResult
    func writeShutdownRecord(_ postmaster: Postmaster) -> UInt64 {
        self.append(postmaster, bytes: 104)
        postmaster.volume.data?.shutDown()
        return postmaster.volume.data?.end ?? 0
    }

    /// What initdb makes.
    func newDataDirectory() -> DataDirectory {
        DataDirectory(
            systemIdentifier: UInt64(self.number()),
            branches: [Branch(id: self.number(), timeline: 1, start: 0)],
            end: 1000,
            replayed: 1000,
            restartPoint: 1000,
            newestTimeline: 1,
            checkpointTimeline: 1,
            oldestWAL: 0
        )
    }

    /// Tells the connected standbys of what is new.
    private func ship(_ postmaster: Postmaster) {
        for standby in postmaster.standbys { self.ship(postmaster, to: standby) }
    }

    private func ship(_ primary: Postmaster, to link: Postmaster.Standby) {
        let standby = link.postmaster
        let connection = link.connection
        self.send(from: primary.machine.endpoint, to: standby.machine.endpoint) {
            standby.machine.run {
                guard standby.isAlive, standby.connection == connection, let source = standby.source?.volume.data else {
                    return
                }
                self.receive(standby, from: source, primary: primary, connection: connection)
            }
        }
    }

    private func receive(_ standby: Postmaster, from source: DataDirectory, primary: Postmaster, connection: Int) {
        guard !standby.volume.isFull else { return }
        standby.volume.data?.receive(from: source, upTo: source.end)
        guard let end = standby.volume.data?.end else { return }
        self.replay(standby)
        self.send(from: standby.machine.endpoint, to: primary.machine.endpoint) {
            primary.machine.run { self.confirm(primary, connection: connection, flushed: end) }
        }
    }

    /// A standby says what it has flushed; commits may have waited for that.
    private func confirm(_ primary: Postmaster, connection: Int, flushed: UInt64) {
        guard primary.isAlive, let index = primary.standbys.firstIndex(where: { $0.connection == connection }) else {
            return
        }
        primary.standbys[index].flushed = max(primary.standbys[index].flushed, flushed)
        self.release(primary)
    }

    /// Lets commits go on that enough standbys have.
    func release(_ primary: Postmaster) {
        guard !primary.waiting.isEmpty, primary.isAlive, !primary.isStopping else { return }
        var safe = UInt64.max
        let setting = primary.synchronous
        if setting.count > 0 {
            let flushed = primary.standbys.filter { setting.standbys.contains($0.postmaster.instance) }.map(\.flushed)
                .sorted(by: >)
            safe = flushed.count >= setting.count ? flushed[setting.count - 1] : 0
        }
        while let first = primary.waiting.first, first.end <= safe {
            primary.waiting.removeFirst()
            var row = first
            row.guarantee = safe == .max ? .asynchronous : .synchronous
            self.history.rows.append(row)
            self.history.acknowledged += 1
        }
    }

    /// Redo goes on, sometimes slowly.
    func replay(_ standby: Postmaster) {
        guard standby.isAlive, !standby.isPaused, let data = standby.volume.data, data.replayed < data.end else {
            return
        }
        if self.isChaotic, self.random.chance(0.05) {
            standby.isPaused = true
            self.after(self.random.between(10, 2500) * Self.millisecond) {
                standby.isPaused = false
                standby.machine.run { self.replay(standby) }
            }
            return
        }
        standby.volume.data?.replayed = data.end
        if self.random.chance(0.1) { standby.volume.data?.restartPoint = data.end }
    }

    // MARK: Streaming

    /// A standby looks for somebody to stream from, again and again.
    func connectStandby(_ standby: Postmaster) {
        guard standby.isAlive, !standby.isPrimary, standby.connection == nil else { return }
        standby.search = self.number()
        self.tryToConnect(standby, search: standby.search)
    }

    private func tryToConnect(_ standby: Postmaster, search: Int) {
        guard standby.isAlive, !standby.isPrimary, standby.connection == nil, standby.search == search else { return }
        guard let process = self.process(of: standby), let address = process.upstreamAddress else { return }
        defer {
            if standby.connection == nil {
                self.after(self.random.between(200, 600) * Self.millisecond) {
                    standby.machine.run { self.tryToConnect(standby, search: search) }
                }
            }
        }
        guard let data = standby.volume.data, data.replayed == data.end, !standby.isPaused,
            let primary = self.postmaster(at: address), primary.isAlive, primary.accepts, primary.isPrimary,
            !primary.isStopping, !primary.machine.isSuspended,
            !self.network.isBlocked(standby.machine.endpoint, primary.machine.endpoint),
            !self.network.isBlocked(primary.machine.endpoint, standby.machine.endpoint),
            let source = primary.volume.data, data.canStream(from: source)
        else { return }
        self.checkStream(standby, data, from: primary, source)
        let connection = self.number()
        standby.connection = connection
        standby.source = primary
        standby.volume.data?.newestTimeline = max(data.newestTimeline, source.newestTimeline)
        let link = Postmaster.Standby(postmaster: standby, connection: connection, flushed: data.end)
        primary.standbys.append(link)
        self.ship(primary, to: link)
        process.streamingChanged(true)
        self.after(self.random.between(1500, 2500) * Self.millisecond) { self.keepAlive(standby, connection) }
    }

    /// Notices a connection that brings nothing any more.
    private func keepAlive(_ standby: Postmaster, _ connection: Int) {
        guard standby.isAlive, standby.connection == connection, let primary = standby.source else { return }
        let isBroken =
            !primary.isAlive || primary.machine.isSuspended
            || self.network.isBlocked(primary.machine.endpoint, standby.machine.endpoint)
            || self.network.isBlocked(standby.machine.endpoint, primary.machine.endpoint)
        if isBroken {
            standby.machine.run {
                guard standby.connection == connection else { return }
                self.disconnect(standby)
                self.process(of: standby)?.streamingChanged(false)
                self.connectStandby(standby)
            }
            return
        }
        // Whatever was lost on the way is sent again: this is TCP.
        if let link = primary.standbys.first(where: { $0.connection == connection }) { self.ship(primary, to: link) }
        self.after(self.random.between(700, 1500) * Self.millisecond) { self.keepAlive(standby, connection) }
    }

    /// The other end of a connection has died, and says so if its machine still can.
    private func reset(_ link: Postmaster.Standby) {
        let standby = link.postmaster
        self.after(self.latency()) {
            standby.machine.run {
                guard standby.isAlive, standby.connection == link.connection else { return }
                self.disconnect(standby)
                self.process(of: standby)?.streamingChanged(false)
                self.connectStandby(standby)
            }
        }
    }

    func disconnect(_ standby: Postmaster) {
        guard let connection = standby.connection else { return }
        standby.source?.standbys.removeAll { $0.connection == connection }
        standby.connection = nil
        standby.source = nil
    }

    // MARK: Leaving recovery

    /// Promotes: all that was received is replayed first, then a new timeline begins.
    func promote(_ postmaster: Postmaster, term: Int) {
        guard var data = postmaster.volume.data else { return }
        self.disconnect(postmaster)
        data.replayed = data.end
        let timeline = max(data.newestTimeline, data.timeline) + 1
        data.branches.append(Branch(id: self.number(), timeline: timeline, start: data.end))
        data.newestTimeline = timeline
        data.end += 100
        data.replayed = data.end
        postmaster.volume.data = data
        postmaster.isPrimary = true
        postmaster.term = term
        self.history.promotions += 1
        self.note(postmaster.instance, "is primary of term \(term), timeline \(timeline) from \(data.end - 100)")
        self.beginAccepting(postmaster)
        self.after(self.random.between(200, 3000) * Self.millisecond) {
            guard postmaster.isAlive else { return }
            postmaster.volume.data?.checkpointTimeline = timeline
        }
    }

    // MARK: Clients

    /// A client writes wherever it is let in.
    func clientWrites() {
        // Most often when something is going on that may lose it.
        let isAtRest = self.api.status.transition == nil && self.history.accepting.count == 1
        self.after(self.random.between(30, isAtRest ? 1200 : 200) * Self.millisecond) { self.clientWrites() }
        guard let postmaster = self.random.pick(self.history.accepting), !postmaster.machine.isSuspended,
            !postmaster.isStopping, !postmaster.isClosed, !postmaster.volume.isFull,
            let data = postmaster.volume.data, let branch = data.branches.last
        else { return }
        self.append(postmaster, bytes: self.random.between(8, 120) * 8)
        guard let end = postmaster.volume.data?.end else { return }
        postmaster.waiting.append(
            GlobalHistory.Row(branch: branch.id, term: postmaster.term, end: end, guarantee: .asynchronous)
        )
        self.release(postmaster)
    }

    // MARK: Finding each other

    func process(of postmaster: Postmaster) -> InstanceModel? {
        self.processes.first { $0.isAlive && $0.postmaster === postmaster }
    }

    private func postmaster(at address: String) -> Postmaster? {
        self.processes.first { $0.isAlive && $0.address == address }?.postmaster
    }
}
