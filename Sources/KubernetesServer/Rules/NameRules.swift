internal import JSON

/// The rules for names, labels and annotations.
enum NameRules {
    /// How a kind's names may look.
    enum Style: Sendable {
        /// Lower-case letters, digits, `-` and `.`, at most 253: most kinds.
        case dns1123Subdomain
        /// Lower-case letters, digits and `-`, at most 63: namespaces.
        case dns1123Label
        /// The same, starting with a letter: services.
        case dns1035Label
        /// Anything that is one segment of a path: roles and bindings.
        case pathSegment
    }

    /// The style of a built-in kind's or custom resource's names.
    static func style(of resource: GroupResource) -> Style {
        switch (resource.group, resource.resource) {
        case ("", "namespaces"): .dns1123Label
        case ("", "services"): .dns1035Label
        case ("rbac.authorization.k8s.io", _): .pathSegment
        default: .dns1123Subdomain
        }
    }

    private static func isLower(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) }
    private static func isUpper(_ byte: UInt8) -> Bool { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) }
    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private static func isLabel(_ text: some StringProtocol, startsWithLetter: Bool = false) -> Bool {
        let bytes = Array(text.utf8)
        guard let first = bytes.first, let last = bytes.last else { return false }
        guard self.isLower(first) || (!startsWithLetter && self.isDigit(first)) else { return false }
        guard self.isLower(last) || self.isDigit(last) else { return false }
        return bytes.allSatisfy { self.isLower($0) || self.isDigit($0) || $0 == UInt8(ascii: "-") }
    }

    private static func isSubdomain(_ text: some StringProtocol) -> Bool {
        !text.isEmpty && text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { self.isLabel($0) }
    }

    /// Letters, digits, `-`, `_` and `.`, letters or digits at both ends.
    private static func isQualifiedPart(_ text: some StringProtocol) -> Bool {
        func isWord(_ byte: UInt8) -> Bool { self.isLower(byte) || self.isUpper(byte) || self.isDigit(byte) }
        let bytes = Array(text.utf8)
        guard let first = bytes.first, let last = bytes.last, isWord(first), isWord(last) else { return false }
        return bytes.allSatisfy {
            isWord($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".")
        }
    }

    private static let subdomainHint =
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
        + "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
        + "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
    private static let labelHint =
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
        + "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
        + "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
    private static let label1035Hint =
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
        + "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
        + "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"

    /// What is wrong with a name.
    static func problems(name: String, style: Style, field: String = "metadata.name") -> [FieldProblem] {
        let value = JSONValue.string(name)
        func long(_ maximum: Int) -> [FieldProblem] {
            name.utf8.count > maximum ? [.invalid(field, value, "must be no more than \(maximum) characters")] : []
        }
        switch style {
        case .dns1123Subdomain:
            return long(253) + (self.isSubdomain(name) ? [] : [.invalid(field, value, self.subdomainHint)])
        case .dns1123Label:
            return long(63) + (self.isLabel(name) ? [] : [.invalid(field, value, self.labelHint)])
        case .dns1035Label:
            let isRight = self.isLabel(name, startsWithLetter: true)
            return long(63) + (isRight ? [] : [.invalid(field, value, self.label1035Hint)])
        case .pathSegment:
            if name == "." || name == ".." { return [.invalid(field, value, "may not be '\(name)'")] }
            for character in ["/", "%"] where name.contains(character) {
                return [.invalid(field, value, "may not contain '\(character)'")]
            }
            return name.isEmpty ? [.required(field)] : []
        }
    }

    /// Whether a text may be the key of a label, annotation or taint.
    static func isQualifiedName(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard let name = parts.last, parts.count <= 2, name.utf8.count <= 63, self.isQualifiedPart(name) else {
            return false
        }
        if parts.count == 2 { return parts[0].utf8.count <= 253 && self.isSubdomain(parts[0]) }
        return true
    }

    /// Whether a text may be the value of a label.
    static func isLabelValue(_ text: String) -> Bool {
        text.isEmpty || (text.utf8.count <= 63 && self.isQualifiedPart(text))
    }

    private static let maximumAnnotationBytes = 256 * 1_024

    /// What is wrong with the metadata of an object, its name apart when it is still to be generated.
    static func problems(metadata: JSONValue, style: Style) -> [FieldProblem] {
        var problems: [FieldProblem] = []
        if let name = metadata["name"]?.stringValue, !name.isEmpty {
            problems += self.problems(name: name, style: style)
        } else if let prefix = metadata["generateName"]?.stringValue, !prefix.isEmpty {
            // What follows is a letter or digit.
            problems += self.problems(name: prefix + "x", style: style, field: "metadata.generateName")
        }
        problems += self.problems(labels: metadata["labels"], field: "metadata.labels")
        problems += self.problems(annotations: metadata["annotations"])
        problems += self.problems(finalizers: metadata["finalizers"])
        problems += self.problems(ownerReferences: metadata["ownerReferences"])
        return problems
    }

    /// What is wrong with labels.
    static func problems(labels: JSONValue?, field: String) -> [FieldProblem] {
        guard let labels, !labels.isNull else { return [] }
        guard case .object(let members) = labels else { return [.typeInvalid(field, labels, "must be an object")] }
        var problems: [FieldProblem] = []
        for (key, value) in members.sorted(by: { $0.key < $1.key }) {
            if !self.isQualifiedName(key) {
                problems.append(
                    .invalid(
                        field,
                        .string(key),
                        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
                            + "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex "
                            + "used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
                    )
                )
            }
            guard let text = value.stringValue else {
                problems.append(.typeInvalid("\(field).\(key)", value, "must be a string"))
                continue
            }
            if text.utf8.count > 63 {
                problems.append(.invalid(field, value, "must be no more than 63 characters"))
            } else if !self.isLabelValue(text) {
                problems.append(
                    .invalid(
                        field,
                        value,
                        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
                            + "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or "
                            + "'my_value',  or '12345', regex used for validation is "
                            + "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
                    )
                )
            }
        }
        return problems
    }

    private static func problems(annotations: JSONValue?) -> [FieldProblem] {
        let field = "metadata.annotations"
        guard let annotations, !annotations.isNull else { return [] }
        guard case .object(let members) = annotations else {
            return [.typeInvalid(field, annotations, "must be an object")]
        }
        var problems: [FieldProblem] = []
        var total = 0
        for (key, value) in members.sorted(by: { $0.key < $1.key }) {
            if !self.isQualifiedName(key.lowercased()) {
                problems.append(.invalid(field, .string(key), "must be a qualified name"))
            }
            guard let text = value.stringValue else {
                problems.append(.typeInvalid("\(field).\(key)", value, "must be a string"))
                continue
            }
            total += key.utf8.count + text.utf8.count
        }
        if total > self.maximumAnnotationBytes { problems.append(.tooLong(field, self.maximumAnnotationBytes)) }
        return problems
    }

    private static func problems(finalizers: JSONValue?) -> [FieldProblem] {
        let field = "metadata.finalizers"
        guard let finalizers, !finalizers.isNull else { return [] }
        guard case .array(let elements) = finalizers else {
            return [.typeInvalid(field, finalizers, "must be an array")]
        }
        let simple: Set<String> = ["foregroundDeletion", "orphan", "kubernetes"]
        return elements.enumerated()
            .compactMap { index, element in
                let name = element.stringValue ?? ""
                if simple.contains(name) || (self.isQualifiedName(name) && name.contains("/")) { return nil }
                // Of custom resources the server takes plain names too, as long as they are qualified names.
                if self.isQualifiedName(name) { return nil }
                return .invalid("\(field)[\(index)]", element, "name must be a qualified name")
            }
    }

    private static func problems(ownerReferences: JSONValue?) -> [FieldProblem] {
        let field = "metadata.ownerReferences"
        guard let ownerReferences, !ownerReferences.isNull else { return [] }
        guard case .array(let elements) = ownerReferences else {
            return [.typeInvalid(field, ownerReferences, "must be an array")]
        }
        var problems: [FieldProblem] = []
        for (index, element) in elements.enumerated() {
            for key in ["apiVersion", "kind", "name", "uid"] where (element[key]?.stringValue ?? "").isEmpty {
                problems.append(.invalid("\(field)[\(index)].\(key)", element[key] ?? "", "must not be empty"))
            }
        }
        if elements.count(where: { $0["controller"]?.boolValue == true }) > 1 {
            problems.append(
                .invalid(field, ownerReferences, "Only one reference can have Controller set to true")
            )
        }
        return problems
    }
}
