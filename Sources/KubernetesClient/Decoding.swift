internal import Foundation
internal import JSON

/// What is shared by the readers of lists and watches.
enum Decoding {
    struct Problem: Sendable {
        var key: ObjectKey
        var resourceVersion: String
        var reason: String
    }

    struct MetadataOnly: Decodable {
        struct Fields: Decodable {
            var name: String?
            var namespace: String?
            var resourceVersion: String?
        }

        var metadata: Fields?

        func problem(_ error: any Error) -> Problem {
            Problem(
                key: ObjectKey(namespace: self.metadata?.namespace ?? "", name: self.metadata?.name ?? ""),
                resourceVersion: self.metadata?.resourceVersion ?? "",
                reason: Decoding.describe(error)
            )
        }
    }

    /// Where decoding failed, without the value there, which may be secret.
    static func describe(_ error: any Error) -> String {
        func path(_ keys: [any CodingKey]) -> String {
            keys.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
        }
        switch error {
        case DecodingError.keyNotFound(let key, let context): return "\(path(context.codingPath + [key])) is missing"
        case DecodingError.valueNotFound(_, let context): return "\(path(context.codingPath)) is null"
        case DecodingError.typeMismatch(_, let context): return "\(path(context.codingPath)) has the wrong type"
        case DecodingError.dataCorrupted(let context): return "\(path(context.codingPath)) is not valid"
        default: return "it is not JSON"
        }
    }
}

/// A list whose items are decoded one by one, so that a bad one costs itself only.
struct TypedList<Item: Decodable>: Decodable {
    private enum CodingKeys: String, CodingKey {
        case metadata
        case items
    }

    private struct Skipped: Decodable {
        init(from decoder: any Decoder) throws {}
    }

    var metadata: ListMeta
    var items: [Item] = []
    var problems: [Decoding.Problem] = []

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.metadata = try container.decode(ListMeta.self, forKey: .metadata)
        // Go writes an empty list as null at times.
        guard container.contains(.items), try !container.decodeNil(forKey: .items) else { return }
        var list = try container.nestedUnkeyedContainer(forKey: .items)
        self.items.reserveCapacity(list.count ?? 0)
        while !list.isAtEnd {
            do {
                self.items.append(try list.decode(Item.self))
            } catch {
                // A failed element is not passed over; reading it as something else does that.
                guard let metadata = try? list.decode(Decoding.MetadataOnly.self) else {
                    _ = try list.decode(Skipped.self)
                    self.problems.append(Decoding.MetadataOnly().problem(error))
                    continue
                }
                self.problems.append(metadata.problem(error))
            }
        }
    }
}

/// What every line of a watch has.
struct EventLine: Decodable {
    var type: String
}

/// The object of a line of a watch.
struct ObjectLine<Object: Decodable>: Decodable {
    var object: Object
}
