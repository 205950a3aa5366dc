/// Which names of roles, databases, schemas and extensions a spec may give.
///
/// The instance asks the same again of everything that it is told to make.
public enum DeclaredNames {
    /// The roles of PostgreSQL's own that a role may be put into: the others let it read, write or run files of the
    /// server, and by that become superuser.
    public static let grantablePredefinedRoles = [
        "pg_checkpoint", "pg_maintain", "pg_monitor", "pg_read_all_data", "pg_read_all_settings", "pg_read_all_stats",
        "pg_signal_backend", "pg_stat_scan_tables", "pg_use_reserved_connections", "pg_write_all_data",
    ]

    /// Names that mean something else where roles are named, or belong to somebody.
    public static let reservedRoles = ["postgres", "public", "none", "all", "replication"]
    /// The databases that every server has.
    public static let reservedDatabases = ["postgres", "template0", "template1"]

    private static let form =
        "must begin with a letter or '_', go on with these, digits, '.', '$' and '-', "
        + "and have at most \(SchemaLimits.identifier) characters"
    private static let taken = "is a name that PostgreSQL or Drover needs; choose another one"

    /// What is wrong with a role that is to be made, changed or dropped, or that is to own something; nil when nothing is.
    public static func problem(withRole name: String) -> String? {
        guard self.isName(name) else { return self.form }
        return self.reservedRoles.contains(name) || self.isReserved(name) ? self.taken : nil
    }

    /// What is wrong with putting somebody into a role.
    public static func problem(withMembershipIn name: String) -> String? {
        guard self.isName(name) else { return self.form }
        guard name.hasPrefix("pg_") else { return self.problem(withRole: name) }
        if self.grantablePredefinedRoles.contains(name) { return nil }
        return "is not a role that members can be given: it leads to the rights of a superuser, or is PostgreSQL's own"
    }

    /// What is wrong with a database.
    public static func problem(withDatabase name: String) -> String? {
        guard self.isName(name) else { return self.form }
        return self.reservedDatabases.contains(name) || self.isReserved(name) ? self.taken : nil
    }

    /// What is wrong with a schema that is to be made, or given to somebody.
    public static func problem(withSchema name: String) -> String? {
        guard self.isName(name) else { return self.form }
        return name == "drover" || name == "information_schema" || self.isReserved(name) ? self.taken : nil
    }

    /// What is wrong with the name of an extension.
    public static func problem(withExtension name: String) -> String? {
        guard self.isName(name) else { return self.form }
        return name == "plpgsql" ? "is part of every database" : nil
    }

    /// What is wrong with an encoding, a locale or a version.
    public static func problem(withWord text: String) -> String? {
        let isGood =
            (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                self.isLetter(byte) || self.isDigit(byte) || [0x2D, 0x2E, 0x5F, 0x40, 0x2B].contains(byte)
            }
        return isGood ? nil : "must have 1 to 64 letters, digits, '.', '_', '-', '+' and '@'"
    }

    private static func isReserved(_ name: String) -> Bool { name.hasPrefix("pg_") || name.hasPrefix("drover_") }

    private static func isName(_ name: String) -> Bool {
        guard let first = name.utf8.first, name.utf8.count <= SchemaLimits.identifier else { return false }
        return (self.isLetter(first) || first == UInt8(ascii: "_"))
            && name.utf8.allSatisfy {
                self.isLetter($0) || self.isDigit($0) || [0x24, 0x2D, 0x2E, 0x5F].contains($0)
            }
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) }
    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
}

/// The roles that go with a database, so that what is made in it later can be read and written by others.
public struct AccessRoles: Hashable, Sendable {
    /// Whose members make and change tables.
    public let owner: String
    /// Whose members write.
    public let writer: String
    /// Whose members read.
    public let reader: String

    /// The roles of a database.
    public init(database: String) {
        self.owner = "\(database)_owner"
        self.writer = "\(database)_writer"
        self.reader = "\(database)_reader"
    }

    /// All three.
    public var all: [String] { [self.owner, self.writer, self.reader] }
}
