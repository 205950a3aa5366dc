internal import KubernetesClient

/// Something keeps the operator from looking after a cluster.
public struct OperatorError: Error, Sendable, CustomStringConvertible {
    /// What went wrong, as far as a program cares.
    public enum Code: Sendable, Hashable {
        /// An object of a name we need belongs to somebody else.
        case nameTaken
        /// A file cannot be written.
        case files
        /// The instance cannot be asked now.
        case instanceUnreachable
        /// The instance refused.
        case instanceRefused
    }

    /// What went wrong.
    public var code: Code
    /// The same for people, with what to do.
    public var message: String

    /// Makes an error.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message.
    public var description: String { self.message }
}

extension OperatorError {
    /// Refuses to touch what is not ours.
    static func checkOwner(of metadata: ObjectMeta, kind: String, uid: String) throws {
        guard metadata.ownerReferences?.contains(where: { $0.uid == uid }) == true else {
            throw OperatorError(
                .nameTaken,
                "\(kind) \(metadata.name ?? "") belongs to somebody else: rename the cluster, or delete that object"
            )
        }
    }
}
