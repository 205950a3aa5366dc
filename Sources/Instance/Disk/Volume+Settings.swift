internal import Foundation
internal import Glibc
internal import PostgresClusterAPI

/// What PostgreSQL has accepted of a spec: what there is to fall back on.
package struct AcceptedSettings: Codable, Sendable, Hashable {
    /// For `postgresql.conf`, by lower-case name.
    package var parameters: [String: String]
    /// For `pg_hba.conf`.
    package var rules: [String]

    package init(parameters: [String: String] = [:], rules: [String] = []) {
        // As PostgreSQL does; and the same for whoever compares.
        self.parameters = Dictionary(parameters.map { ($0.key.lowercased(), $0.value) }) { first, _ in first }
        self.rules = rules
    }
}

/// Settings that PostgreSQL has accepted, and a place where it can look at others.
extension Volume {
    /// What was accepted last; nil when nothing was, or nobody can read it any more.
    package func acceptedSettings() -> AcceptedSettings? {
        guard let bytes = try? self.read(self.layout.acceptedSettings) else { return nil }
        return try? JSONDecoder().decode(AcceptedSettings.self, from: Data(bytes))
    }

    /// Keeps what was accepted.
    package func save(_ settings: AcceptedSettings) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
        try self.write(Array(encoder.encode(settings)), to: self.layout.acceptedSettings)
    }

    /// A directory that is to PostgreSQL what the data directory is as long as it does not start: it reads its settings
    /// there, knows what system it belongs to, and can make its shared memory.
    package func makeScratch(_ conf: String, version: Int) throws {
        let scratch = self.layout.scratch
        try self.remove(scratch)
        for path in ["", "/global", "/pg_notify", "/pg_dynshmem"] {
            guard unsafe mkdir(scratch + path, 0o700) == 0 else {
                throw VolumeError(operation: "mkdir", path: scratch + path, code: errno)
            }
        }
        try self.write(Array("\(version)\n".utf8), to: scratch + "/PG_VERSION")
        try self.write([], to: scratch + "/postgresql.auto.conf")
        try self.write(Array(conf.utf8), to: scratch + "/postgresql.conf")
        try self.write(self.read(self.layout.controlFile), to: scratch + "/global/pg_control")
    }

    /// Opens a file of the scratch directory for what a program says; whoever asks closes it.
    package func openInScratch(_ name: String) throws -> Int32 {
        let path = "\(self.layout.scratch)/\(name)"
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw VolumeError(operation: "create", path: path, code: errno) }
        return descriptor
    }
}
