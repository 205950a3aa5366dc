import JSON
import PostgresClusterAPI
import SeededRandom
import Testing

@testable import Fence

/// The rules of promises and the Lease among instances whose clocks, network and lives are made up: never do two of them
/// accept writes.
@Suite(.timeLimit(.minutes(2)))
struct FenceModelTests {
    @Test(arguments: 0..<10)
    func neverTwoAccept(_ seed: UInt64) async {
        var promotions = 0
        for run in 0..<2 {
            // Others are waiting for a thread.
            await Task.yield()
            var model = FenceModel(seed: seed * 100 + UInt64(run), broken: nil)
            let isSafe = model.run(steps: 900)
            #expect(isSafe, "seed \(seed * 100 + UInt64(run))")
            promotions += model.promotions
        }
        #expect(promotions > 0)
    }

    /// A model that notices nothing would prove nothing.
    @Test(arguments: FenceModel.Break.allCases)
    func aBrokenRuleIsNoticed(_ broken: FenceModel.Break) async {
        // Some breaks show once in a thousand runs: those begin where the runs before are known to show nothing.
        let first: UInt64 =
            switch broken {
            case .noStop, .noLapse, .noWatch: 0
            case .noAcknowledgement: 400
            case .forgetfulRestart: 1800
            }
        for seed in first..<first + 1000 {
            await Task.yield()
            var model = FenceModel(seed: seed, broken: broken)
            if !model.run(steps: 900) { return }
        }
        Issue.record("no run in which two accepted writes")
    }
}

struct FenceModel {
    enum Break: CaseIterable {
        /// PostgreSQL runs on without Lease and promises.
        case noStop
        /// One is promoted although it has promised another primary that it will not be.
        case noLapse
        /// A held Lease is taken without having been watched.
        case noWatch
        /// One becomes a member before the primary has said that it asks for its promises.
        case noAcknowledgement
        /// One that was started again does not assume that it had just promised.
        case forgetfulRestart
    }

    private struct Instance {
        var disk = PersistentState()
        var book: PromiseBook
        var fence: PrimaryFence?
        var lease: PrimaryLease?
        var last: PromiseLedger?
        var accepts = false
        var observation: LeaseObservation?
        var status: Status?
        var life = 0
        var offset: UInt64
        var rate: Double
    }

    private struct Status: Equatable {
        var term = 1
        var primary = "db-0"
        var members: [String]
        var joining: [String] = []
    }

    private enum Message {
        case ask(PromiseLedger.Ask, PromiseBook.Asker, Membership)
        case grant(PromiseLedger.Ask, grantor: String, to: String)
        case release(PromiseBook.Asker, PromiseLedger.Release)
    }

    private static let tick: Duration = .milliseconds(100)
    private static let duration: Duration = .seconds(3)

    private var random: SeededGenerator
    private let broken: Break?
    private var time: UInt64 = 0
    private var instances: [Instance] = []
    private var status: Status
    private var lease = PrimaryLease(cluster: "db", namespace: "x")
    private var revision = 1
    private var messages: [(at: UInt64, from: Int, to: Int, Message)] = []
    private var down: Set<Int> = []
    private var cut: Set<[Int]> = []
    /// Since when the operator has seen the Lease as it is.
    private var watched: (version: String?, since: UInt64) = (nil, 0)
    /// A failover is tried until then.
    private var failingOverUntil: UInt64 = 0
    /// How often things happen at each step; every run has its own mixture, or what needs much of one would be rare.
    private var rates: (restart: Double, members: Double, failover: Double) = (0, 0, 0)
    private(set) var promotions = 0

    init(seed: UInt64, broken: Break?) {
        self.random = SeededGenerator(seed: seed)
        self.broken = broken
        let count = Int.random(in: 2...4, using: &self.random)
        self.status = Status(members: (0..<min(count, 3)).map { "db-\($0)" })
        for index in 0..<count {
            let offset = UInt64.random(in: 0...1_000_000_000_000, using: &self.random)
            let rates: [Double] = [0.99, 1, 1.01]
            let rate = rates.randomElement(using: &self.random) ?? 1
            var disk = PersistentState()
            disk.isBootstrapped = true
            disk.highestTerm = 1
            if index == 0 {
                disk.ownTerm = 1
                disk.promotions = [.init(term: 1, timeline: 1, switchLSN: 0)]
            }
            self.instances.append(
                Instance(
                    disk: disk,
                    book: PromiseBook(disk: disk, now: BootTime(nanoseconds: offset)),
                    offset: offset,
                    rate: rate
                )
            )
        }
        self.lease.document[path: ["metadata", "resourceVersion"]] = "1"
        self.rates.restart = self.chance(0.7) ? 0.004 : 0.03
        self.rates.members = self.chance(0.7) ? 0.05 : 0.3
        self.rates.failover = self.chance(0.7) ? 0.008 : 0.03
    }

    private func now(_ index: Int) -> BootTime {
        let elapsed = Double(self.time) * 100_000_000 * self.instances[index].rate
        return BootTime(nanoseconds: self.instances[index].offset + UInt64(elapsed))
    }

    private func name(_ index: Int) -> String { "db-\(index)" }
    private func index(_ name: String) -> Int { Int(name.dropFirst(3)) ?? 0 }
    private func incarnation(_ index: Int) -> String { "\(index).\(self.instances[index].life)" }

    private mutating func chance(_ probability: Double) -> Bool {
        Double.random(in: 0..<1, using: &self.random) < probability
    }

    /// - Returns: false when two accepted writes at once.
    mutating func run(steps: Int) -> Bool {
        for _ in 0..<steps {
            self.step()
            if self.instances.count(where: { $0.accepts }) > 1 { return false }
        }
        return true
    }

    private mutating func step() {
        self.time += 1
        for index in self.instances.indices {
            if self.chance(0.01) { self.down.formSymmetricDifference([index]) }
            for other in 0..<index where self.chance(0.015) { self.cut.formSymmetricDifference([[other, index]]) }
        }
        // The end of the fence is kept by the clock, before anything else happens.
        for index in self.instances.indices where self.instances[index].accepts && self.broken != .noStop {
            if self.instances[index].fence?.isHeld(now: self.now(index)) != true { self.stop(index) }
        }
        self.deliver()
        for index in self.instances.indices.shuffled(using: &self.random) {
            if self.chance(self.rates.restart) { self.restart(index) }
            self.look(index)
            self.decide(index)
            self.uphold(index)
        }
        self.operate()
    }

    // MARK: The network

    private mutating func send(_ message: Message, from: Int, to: Int) {
        guard !self.cut.contains([min(from, to), max(from, to)]) else { return }
        self.messages.append((self.time + UInt64.random(in: 0...8, using: &self.random), from, to, message))
        if self.chance(0.05) {
            self.messages.append((self.time + UInt64.random(in: 0...25, using: &self.random), from, to, message))
        }
    }

    private mutating func deliver() {
        let due = self.messages.filter { $0.at <= self.time }.shuffled(using: &self.random)
        self.messages.removeAll { $0.at <= self.time }
        for (_, from, to, message) in due where !self.cut.contains([min(from, to), max(from, to)]) {
            switch message {
            case .ask(let ask, let asker, _):
                let one = self.instances[to]
                // As the instance does it: what it rests on first.
                if asker.term > one.disk.ownTerm, one.accepts { self.stop(to) }
                if self.instances[to].disk.note(term: asker.term) { self.instances[to].book.saw(term: asker.term) }
                self.instances[to].disk.longestPromise = Self.duration
                let refusal = self.instances[to].book
                    .asked(
                        by: asker,
                        podUID: "p\(from)",
                        ask: ask.number,
                        duration: ask.duration,
                        .init(
                            highestTerm: self.instances[to].disk.highestTerm,
                            ownPrimaryTerm: self.instances[to].fence.map { $0.term },
                            chosen: one.status.map { ($0.term, $0.primary) }
                        ),
                        now: self.now(to)
                    )
                if refusal == nil {
                    self.send(.grant(ask, grantor: self.incarnation(to), to: asker.incarnation), from: to, to: from)
                }
            case .grant(let ask, let grantor, let life):
                guard life == self.incarnation(to) else { continue }
                self.instances[to].fence?.ledger.granted(ask, by: grantor)
            case .release(let asker, let release):
                self.instances[to].book
                    .givenBack(
                        by: asker,
                        ask: release.ask,
                        toThisLife: release.grantor == self.incarnation(to)
                    )
            }
        }
    }

    // MARK: An instance

    private mutating func restart(_ index: Int) {
        self.instances[index].accepts = false
        self.instances[index].life += 1
        self.instances[index].fence = nil
        self.instances[index].lease = nil
        self.instances[index].last = nil
        self.instances[index].observation = nil
        self.instances[index].status = nil
        let disk = self.broken == .forgetfulRestart ? PersistentState() : self.instances[index].disk
        self.instances[index].book = PromiseBook(disk: disk, now: self.now(index))
    }

    private mutating func stop(_ index: Int) {
        self.instances[index].accepts = false
        self.instances[index].last = self.instances[index].fence?.ledger ?? self.instances[index].last
        self.instances[index].fence = nil
        self.instances[index].lease = nil
    }

    private mutating func look(_ index: Int) {
        guard !self.down.contains(index), self.chance(0.4) else { return }
        self.read(index)
    }

    private mutating func read(_ index: Int) {
        self.instances[index].status = self.status
        if self.instances[index].observation?.lease?.resourceVersion != self.lease.resourceVersion {
            self.instances[index].observation = LeaseObservation(lease: self.lease, since: self.now(index))
        }
        if let (holder, ask) = self.lease.givenBack {
            self.instances[index].book
                .givenBack(
                    by: .init(term: holder.term, primary: holder.instance, incarnation: holder.nonce),
                    ask: ask
                )
        }
        if self.instances[index].fence?.term == self.status.term {
            self.instances[index].fence?.ledger
                .read(
                    Membership(members: self.status.members, joining: self.status.joining)
                )
        }
    }

    private func leaseState(_ index: Int) -> RoleFacts.Lease {
        let one = self.instances[index]
        guard let observation = one.observation else { return .unknown }
        if one.lease != nil, let fence = one.fence, fence.holdsLease(now: self.now(index)) {
            return .mine(term: fence.term)
        }
        if self.broken == .noWatch { return .obtainable(term: observation.lease?.term ?? 0) }
        return observation.state(
            instance: self.name(index),
            podUID: "p\(index)",
            duration: max(Self.duration, one.disk.longestPromise),
            isNewCluster: false,
            now: self.now(index)
        )
    }

    private mutating func decide(_ index: Int) {
        let now = self.now(index)
        let one = self.instances[index]
        // One that was primary asks before it runs.
        if one.fence == nil, !one.accepts, one.disk.ownTerm == one.disk.highestTerm,
            one.disk.mayGoOn(in: one.disk.ownTerm),
            one.status.map({ $0.term == one.disk.ownTerm && $0.primary == self.name(index) }) ?? true,
            let membership = one.disk.membership
        {
            self.begin(index, term: one.disk.ownTerm, membership)
        } else if let fence = one.fence, !one.accepts, one.lease == nil,
            fence.term != one.disk.highestTerm || (one.status.map { $0.primary != self.name(index) } ?? false)
        {
            self.stop(index)
        }
        let fence = self.instances[index].fence
        let facts = RoleFacts(
            instance: self.name(index),
            disk: one.disk,
            status: one.status.map { .init(term: $0.term, primary: $0.primary, members: $0.members) },
            lease: self.leaseState(index),
            promisedTerm: fence.flatMap { $0.holdsPromises(now: now) ? $0.term : nil },
            hasPromised: self.broken != .noLapse && one.book.expiry(now: now) != nil,
            postmaster: one.accepts ? .primary : .standby,
            upstream: one.status.map { .init(primary: $0.primary, term: $0.term) }
        )
        switch RoleMachine.decide(facts) {
        case .noteTerm(let term):
            _ = self.instances[index].disk.note(term: term)
            self.instances[index].book.saw(term: term)
        case .takeLease(let term):
            self.takeLease(index, term: term)
        case .promote(let term):
            guard one.status?.members.contains(self.name(index)) == true else { return }
            self.instances[index].disk.ownTerm = term
            self.instances[index].disk.promotions.append(.init(term: term, timeline: 1, switchLSN: 0))
            self.instances[index].accepts = true
            self.promotions += 1
        case .startPrimary:
            self.instances[index].accepts = true
        case .adopt(let term):
            self.takeLease(index, term: term)
            if self.instances[index].fence?.term == term {
                self.instances[index].disk.ownTerm = term
                self.instances[index].disk.promotions.append(.init(term: term, timeline: 1, switchLSN: 0))
            }
        case .fence(let reason):
            if self.broken != .noStop || reason != .leaseLost { self.stop(index) }
        case .wait, .askOthers, .initialize, .clone, .startStandby, .verifyAndFollow:
            break
        }
    }

    private mutating func begin(_ index: Int, term: Int, _ membership: Membership) {
        self.instances[index].fence = PrimaryFence(
            ledger: PromiseLedger(
                instance: self.name(index),
                term: term,
                membership: membership,
                after: self.instances[index].fence?.ledger ?? self.instances[index].last
            )
        )
        self.instances[index].lease = nil
    }

    private func holder(_ index: Int, _ term: Int) -> LeaseHolder {
        LeaseHolder(instance: self.name(index), podUID: "p\(index)", nonce: self.incarnation(index), term: term)
    }

    /// Writes the Lease if nobody has since it was read; the answer may be lost.
    private mutating func put(_ next: PrimaryLease) -> PrimaryLease? {
        guard next.resourceVersion == self.lease.resourceVersion else { return nil }
        self.revision += 1
        self.lease = next
        self.lease.document[path: ["metadata", "resourceVersion"]] = .string(String(self.revision))
        return self.chance(0.1) ? nil : self.lease
    }

    private mutating func takeLease(_ index: Int, term: Int) {
        guard !self.down.contains(index), var next = self.instances[index].observation?.lease else { return }
        let started = self.now(index)
        next.hold(by: self.holder(index, term), duration: Self.duration, now: "t")
        guard let held = self.put(next) else { return }
        self.read(index)
        guard self.status.term == term, self.status.primary == self.name(index) else { return }
        let membership = Membership(members: self.status.members, joining: self.status.joining)
        if self.instances[index].fence?.term != term {
            self.instances[index].disk.membership = membership
            self.begin(index, term: term, membership)
        }
        self.instances[index].lease = held
        self.instances[index].fence?.wroteLease(startedAt: started, duration: Self.duration)
    }

    private mutating func uphold(_ index: Int) {
        guard self.instances[index].fence != nil else { return }
        let now = self.now(index)
        let asks = self.instances[index].fence?.ledger.dueAsks(duration: Self.duration, now: now) ?? []
        for ask in asks {
            let asker = PromiseBook.Asker(
                term: ask.term,
                primary: self.name(index),
                incarnation: self.incarnation(index)
            )
            self.send(.ask(ask, asker, Membership(members: [], joining: [])), from: index, to: self.index(ask.peer))
        }
        if let new = self.instances[index].fence?.acknowledgeable(now: now) {
            self.instances[index].disk.membership = new
            self.instances[index].fence?.ledger.acknowledge(new)
        }
        guard self.instances[index].accepts, !self.down.contains(index), let fence = self.instances[index].fence,
            let due = fence.leaseDue(duration: Self.duration), due <= now, var next = self.instances[index].lease,
            self.chance(0.5)
        else { return }
        next.hold(by: self.holder(index, fence.term), duration: Self.duration, now: "t")
        if let held = self.put(next) {
            self.instances[index].lease = held
            self.instances[index].fence?.wroteLease(startedAt: now, duration: Self.duration)
        } else if self.lease.holderIdentity == self.holder(index, fence.term).description {
            self.instances[index].lease = self.lease
            self.instances[index].fence?.leaseChanged()
        } else {
            self.stop(index)
        }
    }

    private mutating func demote(_ index: Int) {
        guard let fence = self.instances[index].fence else { return }
        self.instances[index].disk.demotion = .init(term: fence.term)
        let lease = self.instances[index].lease
        self.stop(index)
        let asker = PromiseBook.Asker(
            term: fence.term,
            primary: self.name(index),
            incarnation: self.incarnation(index)
        )
        for release in fence.ledger.releases {
            self.send(.release(asker, release), from: index, to: self.index(release.peer))
        }
        guard !self.down.contains(index), var next = lease else { return }
        next.giveBack(
            shutdownLSN: nil,
            by: self.holder(index, fence.term),
            newestAsk: fence.ledger.newestAsk,
            now: "t"
        )
        _ = self.put(next)
    }

    // MARK: The operator

    private mutating func operate() {
        if self.chance(0.012), let next = self.status.members.randomElement(using: &self.random) {
            let old = self.index(self.status.primary)
            if self.chance(0.5), self.instances[old].accepts { self.demote(old) }
            self.status.term += 1
            self.status.primary = next
        }
        self.failOver()
        guard self.chance(self.rates.members) else { return }
        let primary = self.index(self.status.primary)
        if let new = self.status.joining.first {
            let known = self.instances[primary].fence
                .flatMap { fence in
                    self.instances[primary].accepts && fence.term == self.status.term ? fence.ledger.membership : nil
                }
            guard self.broken == .noAcknowledgement || known?.joining.contains(new) == true else { return }
            self.status.joining = []
            self.status.members.append(new)
        } else if let out = self.instances.indices.map({ self.name($0) })
            .first(where: { !self.status.members.contains($0) })
        {
            self.status.joining = [out]
        } else if self.status.members.count > 2,
            let leaves = self.status.members.filter({ $0 != self.status.primary }).randomElement(using: &self.random)
        {
            self.status.members.removeAll { $0 == leaves }
        }
    }

    /// Withhold, take the Lease once the right to write has ended, decide.
    private mutating func failOver() {
        if self.watched.version != self.lease.resourceVersion {
            self.watched = (self.lease.resourceVersion, self.time)
        }
        if self.chance(self.rates.failover) { self.failingOverUntil = self.time + 80 }
        guard self.time < self.failingOverUntil, self.chance(0.5) else { return }
        let next = self.status.term + 1
        if self.lease.holder?.isOperator == true, self.lease.term == next {
            self.failingOverUntil = 0
            self.status.term = next
            self.status.primary = self.status.members.randomElement(using: &self.random) ?? self.status.primary
            return
        }
        let others = self.status.members.filter { $0 != self.status.primary }.map { self.index($0) }
        for other in others { self.instances[other].book.withhold(below: next) }
        let isUnchanged = Self.tick * Int(self.time - self.watched.since) >= Self.duration
        let isLapsed = others.contains { self.instances[$0].book.expiry(now: self.now($0)) == nil }
        let isGivenBack = self.lease.holderIdentity.isEmpty && self.lease.term == self.status.term
        guard isGivenBack || isUnchanged && isLapsed else { return }
        var taken = self.lease
        let holder = LeaseHolder(instance: LeaseHolder.operatorName, podUID: "o", nonce: "n", term: next)
        taken.hold(by: holder, duration: Self.duration, now: "t")
        _ = self.put(taken)
    }
}
