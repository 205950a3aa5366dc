internal import JSON
internal import NIOCore

/// One resource as clients address it: a kind in one of its versions, or under another group's name.
struct ResourceView: Sendable {
    let definition: ResourceDefinition
    /// Group and version of the path; objects are shown in it.
    let group: String
    let version: String

    /// Core events under `events.k8s.io`, which have one storage and two spellings.
    var isEventAlias: Bool { self.group == "events.k8s.io" }

    var apiVersion: String { self.group.isEmpty ? self.version : "\(self.group)/\(self.version)" }
    var resource: GroupResource { self.definition.name }
    /// As messages name it.
    var publicName: GroupResource { GroupResource(self.definition.name.resource, group: self.group) }
    private var isStoredForm: Bool { self.apiVersion == self.definition.apiVersion }

    /// The schema the object must have.
    var schema: ResourceDefinition.Version {
        self.definition.version(self.version) ?? self.definition.versions[0]
    }

    private static let eventFields = [
        (core: "involvedObject", events: "regarding"), (core: "message", events: "note"),
        (core: "reportingComponent", events: "reportingController"), (core: "source", events: "deprecatedSource"),
        (core: "firstTimestamp", events: "deprecatedFirstTimestamp"),
        (core: "lastTimestamp", events: "deprecatedLastTimestamp"), (core: "count", events: "deprecatedCount"),
    ]

    /// A client's object in the form it is stored in.
    func stored(_ object: JSONValue) -> JSONValue {
        guard !self.isStoredForm else { return object }
        var object = object
        object["apiVersion"] = .string(self.definition.apiVersion)
        if self.isEventAlias {
            for names in Self.eventFields {
                if let value = object[names.events] {
                    object[names.events] = nil
                    object[names.core] = value
                }
            }
        }
        return object
    }

    /// A stored object in the form this view shows.
    func shown(_ object: JSONValue) -> JSONValue {
        guard !self.isStoredForm else { return object }
        var object = object
        object["apiVersion"] = .string(self.apiVersion)
        if self.isEventAlias {
            for names in Self.eventFields {
                if let value = object[names.core] {
                    object[names.core] = nil
                    object[names.events] = value
                }
            }
        }
        return object
    }

    /// The text of an object for clients; shared between all of them when it is the stored form.
    ///
    /// Tables are made where it is known what their rows carry; here they are plain objects.
    func encoded(_ object: StoredObject, as representation: Representation) -> ByteBuffer {
        if representation == .partialMetadata {
            return ByteBuffer(bytes: TableFormat.partial(object.value).serializedBytes())
        }
        return self.isStoredForm ? object.encoded : ByteBuffer(bytes: self.shown(object.value).serializedBytes())
    }
}
