internal import Foundation
internal import EventLoop
internal import JSON
internal import NIOCore
internal import Synchronization

/// A file with one line per change, from which a restarted server gets its objects back.
///
/// Nothing is synced to disk: it is for a killed process, not for a lost machine.
final class Journal: Sendable {
    /// What a file holds.
    struct Contents {
        struct Record {
            let resource: GroupResource
            let object: JSONValue
        }

        var objects: [Record] = []
        var resourceVersion: UInt64 = 0

        /// Reads a journal; a missing file is an empty one, and a last line cut short by a kill is ignored.
        init(path: String) throws {
            guard let data = FileManager.default.contents(atPath: path) else { return }
            var latest: [ObjectKey: JSONValue] = [:]
            for line in data.split(separator: UInt8(ascii: "\n")) {
                guard let record = try? JSONValue(parsing: line), let resource = record["resource"]?.stringValue,
                    let version = record["version"]?.intValue
                else { continue }
                self.resourceVersion = max(self.resourceVersion, UInt64(max(0, version)))
                let key = ObjectKey(
                    GroupResource(resource, group: record["group"]?.stringValue ?? ""),
                    namespace: record["namespace"]?.stringValue ?? "",
                    name: record["name"]?.stringValue ?? ""
                )
                latest[key] = record["object"]
            }
            self.objects = latest.filter { !$0.key.name.isEmpty }
                .map { Record(resource: $0.key.resource, object: $0.value) }
        }
    }

    private let path: String
    private let handle: Lock<(file: FileHandle, lines: Int)>

    /// Writes a new journal that holds just the current objects, and goes on from it.
    init(path: String, rewriting state: ObjectStore.State) throws {
        self.path = path
        self.handle = Lock(try Self.write(state, to: path))
    }

    private static func write(_ state: ObjectStore.State, to path: String) throws -> (file: FileHandle, lines: Int) {
        var bytes: [UInt8] = []
        var lines = 1
        self.line(nil, object: nil, resourceVersion: state.resourceVersion, into: &bytes)
        for table in state.tables.values {
            for object in table.objects.values {
                self.line(object.key, object: object, resourceVersion: object.resourceVersion, into: &bytes)
                lines += 1
            }
        }
        try Data(bytes).write(to: URL(fileURLWithPath: path), options: .atomic)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try file.seekToEnd()
        return (file: file, lines: lines)
    }

    private static func line(
        _ key: ObjectKey?,
        object: StoredObject?,
        resourceVersion: UInt64,
        into bytes: inout [UInt8]
    ) {
        var head: JSONValue = [
            "resource": .string(key?.resource.resource ?? ""), "group": .string(key?.resource.group ?? ""),
            "namespace": .string(key?.namespace ?? ""), "name": .string(key?.name ?? ""),
            "version": .int(Int64(clamping: resourceVersion)),
        ]
        if object == nil { head["removed"] = true }
        head.serialize(into: &bytes)
        if let object {
            // Spliced in, so that the text which watchers get as well is made once.
            bytes.removeLast()
            bytes.append(contentsOf: ",\"object\":".utf8)
            bytes.append(contentsOf: object.encoded.readableBytesView)
            bytes.append(UInt8(ascii: "}"))
        }
        bytes.append(UInt8(ascii: "\n"))
    }

    func append(_ object: StoredObject) {
        self.append(object.key, object: object, resourceVersion: object.resourceVersion)
    }

    func append(removed key: ObjectKey, resourceVersion: UInt64) {
        self.append(key, object: nil, resourceVersion: resourceVersion)
    }

    private func append(_ key: ObjectKey, object: StoredObject?, resourceVersion: UInt64) {
        var bytes: [UInt8] = []
        Self.line(key, object: object, resourceVersion: resourceVersion, into: &bytes)
        self.handle.withLock { handle in
            // A full disk costs durability of the playground, not its service.
            try? handle.file.write(contentsOf: Data(bytes))
            handle.lines += 1
        }
    }

    /// Whether the file is mostly history.
    func wantsRewrite(objects: Int) -> Bool {
        self.handle.withLock { $0.lines > 10_000 + 4 * objects }
    }

    func rewrite(_ state: ObjectStore.State) {
        self.handle.withLock { handle in
            guard let fresh = try? Self.write(state, to: self.path) else { return }
            try? handle.file.close()
            handle = fresh
        }
    }
}
