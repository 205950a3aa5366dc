internal import Foundation
internal import JSON
internal import NIOCore

extension APIServer {
    func get(
        _ request: APIRequest,
        _ target: APIRequest.Target,
        _ view: ResourceView
    ) throws(StatusError) -> APIReply {
        let object = try self.find(target, view)
        return self.reply(object, view, request)
    }

    func find(_ target: APIRequest.Target, _ view: ResourceView) throws(StatusError) -> StoredObject {
        try self.store.get(view.resource, namespace: target.namespace ?? "", name: target.name)
    }

    func selector(_ request: APIRequest, _ view: ResourceView) throws(StatusError) -> ObjectSelector {
        var selector = ObjectSelector()
        if let labels = request.parameter("labelSelector") { selector.labels = try LabelSelector(parsing: labels) }
        if let fields = request.parameter("fieldSelector") {
            selector.fields = try FieldSelector(parsing: fields, for: view.definition)
        }
        return selector
    }

    private func number(_ name: String, _ request: APIRequest) throws(StatusError) -> UInt64? {
        guard let text = request.parameter(name) else { return nil }
        guard let number = UInt64(text) else { throw .badRequest("invalid \(name): \"\(text)\"") }
        return number
    }

    private func checkNotAhead(_ version: UInt64) throws(StatusError) {
        let current = self.store.resourceVersion
        guard version > current else { return }
        throw StatusError(
            code: 504,
            reason: "Timeout",
            message: "Too large resource version: \(version), current: \(current)",
            causes: [.init(reason: "ResourceVersionTooLarge", message: "Too large resource version")],
            retryAfterSeconds: 1
        )
    }

    // MARK: List

    func list(
        _ request: APIRequest,
        _ target: APIRequest.Target,
        _ view: ResourceView
    ) throws(StatusError) -> APIReply {
        let match = request.parameter("resourceVersionMatch")
        let version = try self.number("resourceVersion", request)
        if let match {
            guard match == "Exact" || match == "NotOlderThan" else {
                throw .badRequest("resourceVersionMatch: Unsupported value: \"\(match)\"")
            }
            guard version != nil else {
                throw .badRequest("resourceVersionMatch is forbidden unless resourceVersion is provided")
            }
        }
        if let version { try self.checkNotAhead(version) }
        let page = try self.store.page(
            view.resource,
            namespace: target.namespace,
            selector: self.selector(request, view),
            limit: Int(clamping: self.number("limit", request) ?? 0),
            continue: request.parameter("continue"),
            exactly: match == "Exact" ? version : nil
        )
        var metadata: [String: JSONValue] = ["resourceVersion": .string(String(page.resourceVersion))]
        metadata["continue"] = page.continueToken.map { .string($0) }
        metadata["remainingItemCount"] = page.remainingItemCount.map { .int(Int64($0)) }
        let representation = Representation(accept: request.headers["accept"])
        if representation == .table {
            var table = KubectlTable.table(
                of: page.objects,
                view: view,
                includeObject: request.parameter("includeObject"),
                now: self.now
            )
            table["metadata"] = .object(metadata)
            return .json(table)
        }
        var head: JSONValue = [
            "kind": .string(view.definition.kind + "List"), "apiVersion": .string(view.apiVersion),
            "metadata": .object(metadata),
        ]
        if representation == .partialMetadata {
            head["kind"] = "PartialObjectMetadataList"
            head["apiVersion"] = "meta.k8s.io/v1"
        }
        var bytes = ByteBuffer(bytes: head.serializedBytes().dropLast())
        bytes.writeStaticString(",\"items\":[")
        var isFirst = true
        for object in page.objects {
            if !isFirst { bytes.writeStaticString(",") }
            isFirst = false
            bytes.writeImmutableBuffer(view.encoded(object, as: representation))
        }
        bytes.writeStaticString("]}")
        return .body(status: 200, contentType: "application/json", headers: [], bytes: bytes)
    }

    // MARK: Watch

    func watch(
        _ request: APIRequest,
        _ target: APIRequest.Target,
        _ view: ResourceView
    ) throws(StatusError) -> APIReply {
        var selector = try self.selector(request, view)
        if !target.name.isEmpty {
            selector.fields.requirements += FieldSelector.field("metadata.name", equals: target.name).requirements
        }
        let version = try self.number("resourceVersion", request)
        let wantsInitialEvents = request.flag("sendInitialEvents") && request.query["sendInitialEvents"] != nil
        let start: WatchStart
        if wantsInitialEvents {
            start = .existingThenBookmark
        } else if let version, version > 0 {
            try self.checkNotAhead(version)
            start = .after(version)
        } else {
            start = .existing
        }
        let representation = Representation(accept: request.headers["accept"])
        let wantsBookmarks = request.flag("allowWatchBookmarks") && request.query["allowWatchBookmarks"] != nil
        let includeObject = request.parameter("includeObject")
        let seconds = try self.number("timeoutSeconds", request).map { Double(min($0, 86_400)) }
        let timeout = Duration.seconds(seconds ?? Double.random(in: 1_800...3_600))
        let watch: (events: AsyncStream<WatchEvent>, stop: @Sendable () -> Void)
        do {
            watch = try self.store.openWatch(
                view.resource,
                namespace: target.namespace,
                selector: selector,
                from: start
            )
        } catch {
            // Past authentication and parsing, a watch reports in its stream.
            return .body(
                status: 200,
                contentType: "application/json",
                headers: [],
                bytes: Self.line("ERROR", ByteBuffer(bytes: error.body.serializedBytes()))
            )
        }
        let now = self.store.configuration.now
        let pieces = watch.events.compactMap { event -> ByteBuffer? in
            let type: StaticString
            let object: StoredObject
            switch event {
            case .added(let added): (type, object) = ("ADDED", added)
            case .modified(let modified): (type, object) = ("MODIFIED", modified)
            case .deleted(let deleted): (type, object) = ("DELETED", deleted)
            case .bookmark(let version, let isEnd):
                guard wantsBookmarks else { return nil }
                return Self.line(
                    "BOOKMARK",
                    Self.bookmark(view, version, representation, isEndOfInitialEvents: isEnd)
                )
            }
            guard representation == .table else {
                return Self.line(type, view.encoded(object, as: representation))
            }
            var table = KubectlTable.table(of: [object], view: view, includeObject: includeObject, now: now())
            table["metadata"] = ["resourceVersion": .string(String(object.resourceVersion))]
            return Self.line(type, ByteBuffer(bytes: table.serializedBytes()))
        }
        return .stream(contentType: "application/json", timeout: timeout, pieces: pieces, stop: watch.stop)
    }

    private static func line(_ type: StaticString, _ object: ByteBuffer) -> ByteBuffer {
        var line = ByteBuffer()
        line.reserveCapacity(object.readableBytes + 40)
        line.writeStaticString("{\"type\":\"")
        line.writeStaticString(type)
        line.writeStaticString("\",\"object\":")
        line.writeImmutableBuffer(object)
        line.writeStaticString("}\n")
        return line
    }

    private static func bookmark(
        _ view: ResourceView,
        _ version: UInt64,
        _ representation: Representation,
        isEndOfInitialEvents: Bool
    ) -> ByteBuffer {
        var metadata: JSONValue = ["resourceVersion": .string(String(version)), "creationTimestamp": nil]
        if isEndOfInitialEvents { metadata["annotations"] = ["k8s.io/initial-events-end": "true"] }
        let object: JSONValue
        switch representation {
        case .object:
            object = [
                "kind": .string(view.definition.kind), "apiVersion": .string(view.apiVersion), "metadata": metadata,
            ]
        case .partialMetadata:
            object = [
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
            ]
        case .table:
            object = [
                "kind": "Table", "apiVersion": "meta.k8s.io/v1",
                "metadata": ["resourceVersion": .string(String(version))], "columnDefinitions": [], "rows": [],
            ]
        }
        return ByteBuffer(bytes: object.serializedBytes())
    }
}
