internal import KubernetesClient

/// Who leads, as seen by one candidate; no clock, no requests.
///
/// What the Lease says of time is never compared with this machine's clock: a holder is gone when its Lease was *seen*
/// unchanged for a whole duration.
struct LeaderElection {
    enum Action: Equatable {
        /// Create the Lease with this content.
        case create(LeaseSpec)
        /// Replace the Lease that was read with this content, on condition that it is unchanged.
        case replace(Lease)
        /// Somebody else leads.
        case wait
    }

    let identity: String
    let leaseDuration: Duration

    private var lease: Lease?
    private var seenSince: Duration?

    init(identity: String, leaseDuration: Duration) {
        self.identity = identity
        self.leaseDuration = leaseDuration
    }

    /// Who held the Lease when it was last seen.
    var holder: String? {
        guard let holder = self.lease?.spec?.holderIdentity, !holder.isEmpty else { return nil }
        return holder
    }

    /// The Lease was read, or written.
    mutating func seen(_ lease: Lease?, at now: Duration) {
        let isSame =
            self.seenSince != nil && self.lease?.metadata.resourceVersion == lease?.metadata.resourceVersion
            && self.lease?.spec == lease?.spec && self.lease?.metadata.uid == lease?.metadata.uid
        if !isSame { self.seenSince = now }
        self.lease = lease
    }

    /// What to do to lead, or to go on leading.
    func action(now: Duration, wallClock: Timestamp) -> Action {
        guard var lease = self.lease else {
            return .create(self.taken(previous: nil, wallClock: wallClock))
        }
        if let holder = self.holder, holder != self.identity {
            let announced = lease.spec?.leaseDurationSeconds.map { Duration.seconds(min(max($0, 0), 86_400)) }
            // Of two durations the longer one: the holder may live by either.
            let duration = max(announced ?? .zero, self.leaseDuration)
            guard let since = self.seenSince, now - since >= duration else { return .wait }
        }
        lease.spec = self.taken(previous: lease.spec, wallClock: wallClock)
        return .replace(lease)
    }

    /// The Lease given back, or nil when there is nothing to give.
    func released(wallClock: Timestamp) -> Lease? {
        guard var lease = self.lease, self.holder == self.identity else { return nil }
        lease.spec?.holderIdentity = ""
        lease.spec?.leaseDurationSeconds = 1
        lease.spec?.renewTime = wallClock
        lease.spec?.acquireTime = wallClock
        return lease
    }

    private func taken(previous: LeaseSpec?, wallClock: Timestamp) -> LeaseSpec {
        var spec = previous ?? LeaseSpec()
        if spec.holderIdentity != self.identity {
            spec.leaseTransitions = previous == nil ? 0 : (spec.leaseTransitions ?? 0) + 1
            spec.acquireTime = wallClock
        }
        spec.holderIdentity = self.identity
        spec.leaseDurationSeconds = max(1, Int(self.leaseDuration.components.seconds))
        spec.renewTime = wallClock
        return spec
    }
}
