internal import KubernetesClient

extension PostgresCluster {
    /// Every rule that this cluster breaks, in the order of its fields; empty when it is valid.
    ///
    /// These are the rules of the CRD, schema and CEL, checked again because an API server need not have done it (the
    /// embedded one leaves CEL out, and a schema may have been older when the object was written).
    public func validate() -> [ValidationProblem] {
        var checks = SpecValidation()
        if let problem = Names.problem(withClusterName: self.metadata.name ?? "") {
            checks.add("metadata.name", problem)
        }
        checks.problems += self.unreadable
        if self.unreadable.contains(where: { $0.field.hasPrefix("spec") }) { return checks.problems }
        checks.check(self.spec)
        return checks.problems
    }
}

/// The problems found so far.
struct SpecValidation {
    var problems: [ValidationProblem] = []

    mutating func add(_ field: String, _ message: String) {
        self.problems.append(ValidationProblem(field: field, message: message))
    }

    mutating func check(_ spec: PostgresClusterSpec) {
        self.range("spec.instances", spec.instances, SchemaLimits.instances)
        self.check(spec.postgres ?? .init())
        self.check(spec.storage ?? .init())
        self.check(spec.resources ?? .init())
        self.check(spec.placement ?? .init())
        self.check(spec.replication?.synchronous ?? .init(), instances: spec.instances ?? SpecDefaults.instances)
        self.quantity("spec.switchover.maximumLagBytes", spec.switchover?.maximumLagBytes, SchemaLimits.lag)
        self.range(
            "spec.switchover.prepareTimeoutSeconds",
            spec.switchover?.prepareTimeoutSeconds,
            SchemaLimits.prepareTimeoutSeconds
        )
        self.range(
            "spec.switchover.demoteTimeoutSeconds",
            spec.switchover?.demoteTimeoutSeconds,
            SchemaLimits.demoteTimeoutSeconds
        )
        self.range(
            "spec.failover.leaseDurationSeconds",
            spec.failover?.leaseDurationSeconds,
            SchemaLimits.leaseDurationSeconds
        )
        self.quantity("spec.failover.maximumLagBytes", spec.failover?.maximumLagBytes, SchemaLimits.lag)
        self.range(
            "spec.maintenance.freshNodeWaitSeconds",
            spec.maintenance?.freshNodeWaitSeconds,
            SchemaLimits.freshNodeWaitSeconds
        )
        self.text("spec.maintenance.hold", spec.maintenance?.hold, maximum: SchemaLimits.hold)
        self.check(spec.maintenance?.windows ?? [])
        self.check(spec.bootstrap ?? .init())
        if let pooler = spec.pooler { self.check(pooler) }
        self.check(roles: spec.roles ?? [], of: spec)
        self.check(databases: spec.databases ?? [], of: spec)
        if let tls = spec.tls {
            if let name = tls.secretName {
                if !Self.isSubdomain(name) { self.add("spec.tls.secretName", "is not the name of a Secret") }
            } else {
                self.add("spec.tls.secretName", "is missing; name the Secret, or leave out tls")
            }
        }
    }

    private mutating func check(_ synchronous: PostgresClusterSpec.Replication.Synchronous, instances: Int) {
        let field = "spec.replication.synchronous.count"
        self.range(field, synchronous.count, SchemaLimits.synchronousCount)
        guard synchronous.mode == .quorum else { return }
        if (synchronous.count ?? SpecDefaults.synchronousCount) >= instances {
            self.add(field, "must be less than spec.instances: the primary itself does not count")
        }
    }

    private mutating func check(_ postgres: PostgresClusterSpec.Postgres) {
        if let version = postgres.version, !SchemaLimits.postgresVersions.contains(version) {
            let known = SchemaLimits.postgresVersions.map(String.init).joined(separator: ", ")
            self.add("spec.postgres.version", "is not a version that Drover knows; use one of \(known)")
        }
        if let image = postgres.image {
            if image.isEmpty || image.unicodeScalars.contains(where: { !$0.isVisibleASCII }) {
                self.add("spec.postgres.image", "must be an image reference without blanks")
            }
            self.text("spec.postgres.image", image, maximum: SchemaLimits.image)
        }
        self.check(parameters: postgres.parameters ?? [:])
        self.check(hba: postgres.hba ?? [])
    }

    private mutating func check(parameters: [String: String]) {
        if parameters.count > SchemaLimits.parameters {
            self.add("spec.postgres.parameters", "has more than \(SchemaLimits.parameters) entries")
            return
        }
        var seen: Set<String> = []
        for (name, value) in parameters.sorted(by: { $0.key < $1.key }) {
            guard Self.isParameterName(name) else {
                self.add(
                    "spec.postgres.parameters",
                    "'\(Self.shown(name))' is not the name of a setting: letters, digits and '_', with at most one '.'"
                )
                continue
            }
            let field = "spec.postgres.parameters.\(name)"
            if let reason = OwnedParameters.reason(for: name) {
                self.add(field, "may not be set: \(reason)")
            }
            if !seen.insert(name.lowercased()).inserted {
                self.add(field, "is given twice, in different case; leave one out")
            }
            self.text(field, value, maximum: SchemaLimits.parameterValue)
            self.check(value: value, ofParameter: name.lowercased(), field: field)
        }
    }

    private mutating func check(value: String, ofParameter name: String, field: String) {
        switch name {
        case "max_wal_senders", "max_replication_slots":
            let isNumber = (2...4).contains(value.utf8.count) && value.utf8.allSatisfy { (0x30...0x39).contains($0) }
            if !isNumber || value.hasPrefix("0") {
                self.add(field, "must be a number from 10 to 9999; replicas cannot follow with less")
            }
        default:
            break
        }
    }

    private mutating func check(hba: [String]) {
        if hba.count > SchemaLimits.hbaLines {
            self.add("spec.postgres.hba", "has more than \(SchemaLimits.hbaLines) lines")
            return
        }
        for (index, line) in hba.enumerated() {
            let field = "spec.postgres.hba[\(index)]"
            self.text(field, line, maximum: SchemaLimits.hbaLine)
            if line.unicodeScalars.count <= SchemaLimits.hbaLine, let problem = HostBasedRule.problem(with: line) {
                self.add(field, problem)
            }
        }
    }

    private mutating func check(_ windows: [MaintenanceWindow]) {
        if windows.count > SchemaLimits.maintenanceWindows {
            self.add("spec.maintenance.windows", "may have \(SchemaLimits.maintenanceWindows) at most")
        }
        for (index, window) in windows.enumerated() {
            let field = "spec.maintenance.windows[\(index)]"
            if window.startMinute == nil { self.add(field + ".start", "must be a time of the day in UTC, as 02:30") }
            if let days = window.days, Set(days).count != days.count { self.add(field + ".days", "has a day twice") }
            if window.durationMinutes == nil { self.add(field + ".durationMinutes", "is missing") }
            self.range(field + ".durationMinutes", window.durationMinutes, SchemaLimits.windowMinutes)
        }
    }

    private mutating func check(_ storage: PostgresClusterSpec.Storage) {
        if storage.size == nil {
            self.add("spec.storage.size", "is missing; say how large each volume shall be, as 10Gi")
        }
        self.quantity("spec.storage.size", storage.size, SchemaLimits.storage)
        if let name = storage.storageClassName, !Self.isSubdomain(name) {
            self.add("spec.storage.storageClassName", "is not the name of a storage class")
        }
    }

    private mutating func check(_ resources: PostgresClusterSpec.Resources) {
        for (part, values) in [("requests", resources.requests ?? [:]), ("limits", resources.limits ?? [:])] {
            for (name, value) in values.sorted(by: { $0.key < $1.key }) {
                let field = "spec.resources.\(part).\(Self.shown(name))"
                switch name {
                case "cpu":
                    self.quantity(field, value, SchemaLimits.cpu)
                case "memory", "ephemeral-storage", "hugepages-2Mi", "hugepages-1Gi":
                    self.quantity(field, value, SchemaLimits.memory)
                default:
                    self.add(
                        field,
                        "is not a resource that Drover knows; use cpu, memory, ephemeral-storage, hugepages"
                    )
                }
            }
        }
        for name in ["cpu", "memory"] {
            if let request = resources.requests?[name], let limit = resources.limits?[name], request > limit {
                self.add("spec.resources.requests.\(name)", "is more than the limit; lower it or raise the limit")
            }
        }
    }

    private mutating func check(_ bootstrap: PostgresClusterSpec.Bootstrap) {
        for (field, word) in [("encoding", bootstrap.initdb?.encoding), ("locale", bootstrap.initdb?.locale)] {
            if let word, let problem = DeclaredNames.problem(withWord: word) {
                self.add("spec.bootstrap.initdb.\(field)", problem)
            }
        }
        for (field, name) in [("database", bootstrap.database), ("owner", bootstrap.owner)] {
            guard let name else { continue }
            let field = "spec.bootstrap.\(field)"
            if !Self.isIdentifier(name) {
                self.add(
                    field,
                    "must begin with a lower-case letter or '_', go on with these and digits, "
                        + "and have at most \(SchemaLimits.identifier) characters"
                )
            } else if Self.reservedIdentifiers.contains(name)
                || ["pg_", "drover_"].contains(where: name.hasPrefix)
            {
                self.add(field, "is a name that PostgreSQL or Drover needs; choose another one")
            }
        }
    }

    /// Names of databases and roles that exist already or mean something else.
    static let reservedIdentifiers = ["postgres", "template0", "template1", "public", "none", "replication", "all"]
}

extension SpecValidation {
    mutating func range(_ field: String, _ value: Int?, _ range: ClosedRange<Int>) {
        guard let value, !range.contains(value) else { return }
        self.add(field, "must be from \(range.lowerBound) to \(range.upperBound)")
    }

    private mutating func quantity(_ field: String, _ value: Quantity?, _ range: ClosedRange<Quantity>) {
        guard let value else { return }
        if value.text.utf8.count > SchemaLimits.quantity {
            self.add(field, "is longer than \(SchemaLimits.quantity) characters")
        } else if !range.contains(value) {
            self.add(field, "must be from \(range.lowerBound) to \(range.upperBound)")
        } else if value.text.hasPrefix("+") {
            self.add(field, "must be written without a sign")
        }
    }

    /// A text that ends up in a file or a message: bounded, on one line.
    mutating func text(_ field: String, _ value: String?, maximum: Int) {
        guard let value else { return }
        if value.unicodeScalars.count > maximum {
            self.add(field, "is longer than \(maximum) characters")
        }
        if value.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) {
            self.add(field, "may not contain line breaks or other control characters")
        }
    }

    /// A name out of a spec, short enough for a message.
    private static func shown(_ name: String) -> String {
        name.unicodeScalars.count <= 64 ? name : "\(name.prefix(61))..."
    }

    /// A setting's name: an identifier, or two with a dot between.
    private static func isParameterName(_ name: String) -> Bool {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return name.utf8.count <= SchemaLimits.parameterName && parts.count <= 2
            && parts.allSatisfy { part in
                part.utf8.first.map { $0.isLetter || $0 == UInt8(ascii: "_") } ?? false
                    && part.utf8.allSatisfy { $0.isLetter || $0.isDigit || $0 == UInt8(ascii: "_") }
            }
    }

    private static func isIdentifier(_ name: String) -> Bool {
        guard let first = name.utf8.first, name.utf8.count <= SchemaLimits.identifier else { return false }
        let isStart: (UInt8) -> Bool = { (0x61...0x7A).contains($0) || $0 == UInt8(ascii: "_") }
        return isStart(first) && name.utf8.allSatisfy { isStart($0) || $0.isDigit }
    }

    /// A DNS-1123 subdomain.
    static func isSubdomain(_ name: String) -> Bool {
        name.utf8.count <= SchemaLimits.name
            && name.utf8.allSatisfy { (0x61...0x7A).contains($0) || $0.isDigit || $0 == 0x2D || $0 == 0x2E }
            && name.split(separator: ".", omittingEmptySubsequences: false)
                .allSatisfy { !$0.isEmpty && !$0.hasPrefix("-") && !$0.hasSuffix("-") }
    }

    /// `name`, or `prefix/name`.
    static func isLabelKey(_ key: String) -> Bool {
        let parts = key.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard let name = parts.last, parts.count <= 2, parts.count == 1 || Self.isSubdomain(parts[0]) else {
            return false
        }
        let isEnd: (UInt8) -> Bool = { $0.isLetter || $0.isDigit }
        return (1...63).contains(name.utf8.count) && (name.utf8.first.map(isEnd) ?? false)
            && (name.utf8.last.map(isEnd) ?? false)
            && name.utf8.allSatisfy { isEnd($0) || [0x2D, 0x2E, 0x5F].contains($0) }
    }
}

extension UInt8 {
    fileprivate var isDigit: Bool { (0x30...0x39).contains(self) }
    fileprivate var isLetter: Bool { (0x41...0x5A).contains(self) || (0x61...0x7A).contains(self) }
}

extension Unicode.Scalar {
    fileprivate var isVisibleASCII: Bool { (0x21...0x7E).contains(self.value) }
}
