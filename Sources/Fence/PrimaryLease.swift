package import JSON
package import PostgresClusterAPI

/// The primary Lease as it was read, with all its fields, so that a PUT loses none.
package struct PrimaryLease: Sendable, Hashable {
    package var document: JSONValue {
        didSet { self.read() }
    }
    /// Empty when it is free.
    package private(set) var holderIdentity = ""
    package private(set) var holder: LeaseHolder?
    package private(set) var resourceVersion: String?
    package private(set) var duration = Duration.seconds(15)
    /// The end of the shutdown checkpoint of the primary that gave the Lease back.
    package private(set) var shutdownLSN: LSN?
    /// The newest term that the Lease knows of: its holder's, or that of the one that gave it back.
    package private(set) var term = 0

    package init(document: JSONValue) {
        self.document = document
        self.read()
    }

    // Looked at far more often than changed.
    private mutating func read() {
        let metadata = self.document["metadata"]
        let spec = self.document["spec"]
        let annotations = metadata?["annotations"]
        let identity = spec?["holderIdentity"]?.stringValue ?? ""
        if identity != self.holderIdentity {
            self.holderIdentity = identity
            self.holder = LeaseHolder(identity)
        }
        self.resourceVersion = metadata?["resourceVersion"]?.stringValue
        self.duration = .seconds(max(1, spec?["leaseDurationSeconds"]?.intValue ?? 15))
        self.shutdownLSN = annotations?[Annotations.shutdownLSN]?.stringValue.flatMap { LSN($0) }
        let givenBack = annotations?[Annotations.shutdownTerm]?.stringValue.flatMap { Int($0) }
        self.term = max(self.holder?.term ?? 0, givenBack ?? 0)
    }

    /// A Lease that does not exist yet.
    package init(cluster: String, namespace: String) {
        self.document = [
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": [
                "name": .string(Names(cluster: cluster).lease), "namespace": .string(namespace),
                "labels": [Labels.cluster: .string(cluster)],
            ],
            "spec": [:],
        ]
        self.read()
    }

    package func annotation(_ key: String) -> String? {
        self.document[path: ["metadata", "annotations", key]]?.stringValue
    }

    package mutating func annotate(_ key: String, _ value: String?) {
        self.document[path: ["metadata", "annotations", key]] = value.map { .string($0) }
    }

    package mutating func hold(by holder: LeaseHolder, duration: Duration, now: String) {
        let previous = self.holderIdentity
        self.document[path: ["spec", "holderIdentity"]] = .string(holder.description)
        self.document[path: ["spec", "leaseDurationSeconds"]] = .int(duration.components.seconds)
        self.document[path: ["spec", "renewTime"]] = .string(now)
        guard previous != holder.description else { return }
        self.document[path: ["spec", "acquireTime"]] = .string(now)
        let transitions = self.document[path: ["spec", "leaseTransitions"]]?.intValue ?? 0
        self.document[path: ["spec", "leaseTransitions"]] = .int(transitions &+ 1)
        // What the last primary left is done with: this one begins its own life.
        self.annotate(Annotations.shutdownLSN, nil)
        self.annotate(Annotations.shutdownTerm, nil)
        self.annotate(Annotations.moveRequested, nil)
        self.annotate(Annotations.givenBack, nil)
    }

    /// Who gave it back, and up to which ask that one needs no promises any more.
    package var givenBack: (holder: LeaseHolder, ask: Int64)? {
        guard let text = self.annotation(Annotations.givenBack), let cut = text.lastIndex(of: "/"),
            let holder = LeaseHolder(String(text[..<cut])), let ask = Int64(text[text.index(after: cut)...])
        else { return nil }
        return (holder, ask)
    }

    /// Makes it free.
    ///
    /// With the Lease all promises are given back: `newestAsk` is the number of the newest ask for one.
    package mutating func giveBack(shutdownLSN: LSN?, by holder: LeaseHolder, newestAsk: Int64, now: String) {
        let term = holder.term
        self.annotate(Annotations.givenBack, "\(holder)/\(newestAsk)")
        self.document[path: ["spec", "holderIdentity"]] = ""
        self.document[path: ["spec", "renewTime"]] = .string(now)
        self.annotate(Annotations.shutdownLSN, shutdownLSN?.description)
        self.annotate(Annotations.shutdownTerm, String(term))
        self.annotate(Annotations.moveRequested, nil)
    }
}

/// What this instance has seen of the Lease, on its own clock.
package struct LeaseObservation: Sendable, Hashable {
    /// Nil when there is none.
    package var lease: PrimaryLease?
    /// Since when it has been like this.
    package var since: BootTime

    package init(lease: PrimaryLease?, since: BootTime) {
        self.lease = lease
        self.since = since
    }

    /// The state for a decision.
    ///
    /// `duration` is what the spec wants; the longer of this and the Lease's own counts. `isNewCluster` says whether
    /// there has never been a primary, nor a data directory.
    package func state(
        instance: String,
        podUID: String,
        duration: Duration,
        isNewCluster: Bool,
        now: BootTime
    ) -> RoleFacts.Lease {
        guard let lease = self.lease else {
            // A Lease that is gone may have had a holder, unless there never was a primary.
            if isNewCluster { return .obtainable(term: 0) }
            return now >= self.since + duration ? .obtainable(term: 0) : .taken(term: 0)
        }
        if lease.holderIdentity.isEmpty {
            // Given back. One that nobody has given back was made anew in the place of one that may have had a holder.
            if lease.term > 0 || isNewCluster { return .obtainable(term: lease.term) }
            return now >= self.since + max(duration, lease.duration) ? .obtainable(term: 0) : .taken(term: 0)
        }
        // The operator never accepts writes: it keeps the place for whomever status names.
        if lease.holder?.isOperator == true { return .obtainable(term: lease.term) }
        // An earlier incarnation in this very pod is dead: its successor is asking.
        if let holder = lease.holder, holder.instance == instance, holder.podUID == podUID {
            return .obtainable(term: lease.term)
        }
        return now >= self.since + max(duration, lease.duration)
            ? .obtainable(term: lease.term) : .taken(term: lease.term)
    }
}
