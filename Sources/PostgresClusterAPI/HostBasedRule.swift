/// The lines of `pg_hba.conf` that a spec may hold.
///
/// One line that PostgreSQL cannot read keeps it from starting at all, so only what is certain to be read is let in:
///
///     host|hostssl|hostnossl  DATABASES  ROLES  all|samehost|samenet|ADDRESS/BITS  METHOD
///
/// with method `scram-sha-256`, `md5`, `reject` or, under `hostssl`, `cert`; there also with `clientcert=verify-ca` or
/// `clientcert=verify-full` behind the first three.
enum HostBasedRule {
    /// What is wrong with a line, nil when nothing is.
    static func problem(with line: String) -> String? {
        let fields = line.split(separator: " ").map(String.init)
        guard let type = fields.first, ["host", "hostssl", "hostnossl"].contains(type), line.hasPrefix(type) else {
            return "must begin with host, hostssl or hostnossl"
        }
        guard fields.count >= 5 else {
            return "must be: \(type) DATABASES ROLES ADDRESS/BITS METHOD"
        }
        for list in fields[1...2] where !self.isNameList(list) {
            return
                "names of databases and roles may have letters, digits and _ $ + . -, with commas and no blanks between"
        }
        guard ["all", "samehost", "samenet"].contains(fields[3]) || self.isNetwork(fields[3]) else {
            return "the address must be all, samehost, samenet, or a network such as 10.0.0.0/8 or fd00::/8"
        }
        let isTLS = type == "hostssl"
        switch (fields[4], fields.count) {
        case ("scram-sha-256", 5), ("md5", 5), ("reject", 5):
            return nil
        case ("cert", 5) where isTLS:
            return nil
        case ("scram-sha-256", 6), ("md5", 6), ("reject", 6):
            if isTLS, ["clientcert=verify-ca", "clientcert=verify-full"].contains(fields[5]) { return nil }
            return "the only option is clientcert=verify-ca or clientcert=verify-full, and only under hostssl"
        default:
            return "the method must be scram-sha-256, md5, reject or, under hostssl, cert, with nothing behind it"
        }
    }

    /// Names with commas between; a comma at the end would swallow the next field.
    private static func isNameList(_ text: String) -> Bool {
        text.split(separator: ",", omittingEmptySubsequences: false)
            .allSatisfy { name in
                !name.isEmpty
                    && name.utf8.allSatisfy {
                        (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0)
                            || "_$+.-".utf8.contains($0)
                    }
            }
    }

    /// An address with the number of its leading bits that count.
    private static func isNetwork(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, (1...3).contains(parts[1].utf8.count),
            parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let bits = Int(parts[1]),
            let width = self.width(ofAddress: String(parts[0]))
        else { return false }
        return bits <= width
    }

    /// 32 or 128, nil when the text is no address in the usual notation.
    private static func width(ofAddress text: String) -> Int? {
        text.contains(":") ? (self.isIPv6(text) ? 128 : nil) : (self.isIPv4(text) ? 32 : nil)
    }

    private static func isIPv4(_ text: String) -> Bool {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { part in
                (1...3).contains(part.utf8.count) && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
                    && (part.utf8.count == 1 || part.utf8.first != UInt8(ascii: "0")) && (Int(part) ?? 256) < 256
            }
    }

    private static func isIPv6(_ text: String) -> Bool {
        let halves = text.split(separator: "::", omittingEmptySubsequences: false)
        guard halves.count <= 2 else { return false }
        var groups = 0
        for half in halves where !half.isEmpty {
            let parts = half.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.allSatisfy({ (1...4).contains($0.utf8.count) && $0.utf8.allSatisfy(Self.isHexDigit) }) else {
                return false
            }
            groups += parts.count
        }
        return halves.count == 2 ? groups <= 7 : groups == 8
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
    }
}
