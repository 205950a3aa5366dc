/// Where things are on an instance's volume.
package struct VolumeLayout: Sendable, Hashable {
    package var root: String

    package init(root: String = "/var/lib/drover") {
        self.root = root
    }

    /// PGDATA.
    package var data: String { self.root + "/pgdata" }
    /// A data directory that is not finished yet.
    package var incoming: String { self.root + "/pgdata.incoming" }
    /// The directory of PostgreSQL's local socket.
    package var sockets: String { self.root + "/run" }
    /// WAL that only this instance ever had, kept aside for a while.
    package var divergent: String { self.root + "/divergent" }
    package var state: String { self.root + "/state" }
    package var stateFile: String { self.state + "/instance.json" }
    /// What PostgreSQL has accepted of a spec.
    package var acceptedSettings: String { self.state + "/settings.json" }
    /// Room that is given up when there is no other left.
    package var reserve: String { self.state + "/reserve" }
    package var temporary: String { self.root + "/tmp" }
    /// Where PostgreSQL looks at settings before they count.
    package var scratch: String { self.temporary + "/settings" }
    /// Copies of the mounted certificates, with the permissions that PostgreSQL and libpq insist on.
    package var certificates: String { self.root + "/tls" }

    package var controlFile: String { self.data + "/global/pg_control" }
    package var standbySignal: String { self.data + "/standby.signal" }
    package var promoteFile: String { self.data + "/promote" }
    package var walDirectory: String { self.data + "/pg_wal" }
}
