import Foundation
import Hummingbird
import JSON
import Logging
import PodProgram
import NIOCore

/// The little of the Kubernetes API that an instance uses, with one cluster and one Lease, and failures on demand.
actor SmallKubernetes {
    static let namespace = "test"

    private var objects: [String: JSONValue] = [:]
    private var revision = 100
    private var watchers: [UUID: (path: String, continuation: AsyncStream<JSONValue>.Continuation)] = [:]
    private(set) var isDown = false
    private(set) var leaseWrites = 0

    // MARK: What a test plays the operator with

    func put(_ path: String, _ object: JSONValue) {
        let isNew = self.objects[path] == nil
        self.revision += 1
        var object = object
        object[path: ["metadata", "resourceVersion"]] = .string(String(self.revision))
        self.objects[path] = object
        self.notify(path, isNew ? "ADDED" : "MODIFIED", object)
    }

    func get(_ path: String) -> JSONValue? { self.objects[path] }

    func remove(_ path: String) {
        guard let old = self.objects.removeValue(forKey: path) else { return }
        self.revision += 1
        self.notify(path, "DELETED", old)
    }

    func change(_ path: String, _ body: (inout JSONValue) -> Void) {
        guard var object = self.objects[path] else { return }
        body(&object)
        self.put(path, object)
    }

    /// From now on nothing is answered.
    func goDown() {
        self.isDown = true
        for watcher in self.watchers.values { watcher.continuation.finish() }
        self.watchers = [:]
    }

    func comeUp() { self.isDown = false }

    private func notify(_ path: String, _ type: String, _ object: JSONValue) {
        for watcher in self.watchers.values where path == watcher.path {
            watcher.continuation.yield(["type": .string(type), "object": object])
        }
    }

    // MARK: Serving

    struct Failure: Error {
        var code: Int
        var reason: String
    }

    func check() throws {
        if self.isDown { throw Failure(code: 503, reason: "ServiceUnavailable") }
    }

    func list(_ path: String) throws -> JSONValue {
        try self.check()
        return [
            "apiVersion": "v1", "kind": "List", "metadata": ["resourceVersion": .string(String(self.revision))],
            "items": .array(self.objects[path].map { [$0] } ?? []),
        ]
    }

    func read(_ path: String) throws -> JSONValue {
        try self.check()
        guard let object = self.objects[path] else { throw Failure(code: 404, reason: "NotFound") }
        return object
    }

    func replace(_ path: String, _ object: JSONValue) throws -> JSONValue {
        let old = try self.read(path)
        let given = object[path: ["metadata", "resourceVersion"]]?.stringValue
        guard given == nil || given == old[path: ["metadata", "resourceVersion"]]?.stringValue else {
            throw Failure(code: 409, reason: "Conflict")
        }
        self.leaseWrites += 1
        self.put(path, object)
        return try self.read(path)
    }

    func create(_ path: String, _ object: JSONValue) throws -> JSONValue {
        try self.check()
        guard self.objects[path] == nil else { throw Failure(code: 409, reason: "AlreadyExists") }
        self.put(path, object)
        return try self.read(path)
    }

    func watch(_ path: String, from version: Int) throws -> AsyncStream<JSONValue> {
        try self.check()
        let (stream, continuation) = AsyncStream.makeStream(of: JSONValue.self)
        let id = UUID()
        self.watchers[id] = (path, continuation)
        continuation.onTermination = { _ in Task { await self.unwatch(id) } }
        if let object = self.objects[path],
            let current = object[path: ["metadata", "resourceVersion"]]?.stringValue.flatMap({ Int($0) }),
            current > version
        {
            continuation.yield(["type": "MODIFIED", "object": object])
        }
        return stream
    }

    private func unwatch(_ id: UUID) { self.watchers[id] = nil }
}

extension SmallKubernetes {
    nonisolated func router() -> Router<BasicRequestContext> {
        let router = Router()
        for (group, plural) in [("drover.dev", "postgresclusters"), ("coordination.k8s.io", "leases")] {
            let base = RouterPath("/apis/\(group)/v1/namespaces/\(Self.namespace)/\(plural)")
            router.get(base) { request, _ in
                try await self.answering {
                    let query = request.uri.queryParameters
                    let selector = String(query["fieldSelector"] ?? "").replacing("metadata.name=", with: "")
                    let path = "\(plural)/\(selector)"
                    if query["watch"] == "true" || query["watch"] == "1" {
                        let version = query["resourceVersion"].flatMap { Int($0) } ?? 0
                        let events = try await self.watch(path, from: version)
                        return Response(
                            status: .ok,
                            headers: [.contentType: "application/json"],
                            body: ResponseBody { writer in
                                for await event in events {
                                    try await writer.write(ByteBuffer(bytes: event.serializedBytes() + [0x0A]))
                                }
                                try await writer.finish(nil)
                            }
                        )
                    }
                    return Self.json(try await self.list(path))
                }
            }
            router.get(base.appendingPath(":name")) { _, context in
                try await self.answering {
                    Self.json(try await self.read("\(plural)/\(try context.parameters.require("name"))"))
                }
            }
            router.put(base.appendingPath(":name")) { request, context in
                try await self.answering {
                    let body = try await Self.body(request)
                    return Self.json(
                        try await self.replace("\(plural)/\(try context.parameters.require("name"))", body)
                    )
                }
            }
            router.post(base) { request, _ in
                try await self.answering {
                    let body = try await Self.body(request)
                    let name = body[path: ["metadata", "name"]]?.stringValue ?? ""
                    return Self.json(try await self.create("\(plural)/\(name)", body))
                }
            }
        }
        return router
    }

    private nonisolated func answering(_ body: () async throws -> Response) async throws -> Response {
        do {
            return try await body()
        } catch let failure as Failure {
            return Self.json(
                [
                    "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": .string(failure.reason),
                    "code": .int(Int64(failure.code)), "message": "made by the test",
                ],
                status: failure.code
            )
        }
    }

    private static func body(_ request: Request) async throws -> JSONValue {
        let buffer = try await request.body.collect(upTo: 1 << 20)
        return try JSONValue(parsing: Array(buffer.readableBytesView))
    }

    private static func json(_ value: JSONValue, status: Int = 200) -> Response {
        Response(
            status: .init(code: status),
            headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: value.serializedBytes()))
        )
    }

    /// Serves on a free port while `body` runs.
    static func serving<Result: Sendable>(
        _ body: @Sendable @escaping (SmallKubernetes, Int) async throws -> Result
    ) async throws -> Result {
        let kubernetes = SmallKubernetes()
        let (ports, continuation) = AsyncStream.makeStream(of: Int.self)
        var logger = Logger(label: "small-kubernetes")
        logger.logLevel = .critical
        let application = Application(
            router: kubernetes.router(),
            configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { channel in continuation.yield(channel.localAddress?.port ?? 0) },
            logger: logger
        )
        return try await withThrowingTaskGroup(of: Result?.self) { [logger] group in
            group.addTask {
                // Cancelled itself, it would drop connections that have just been accepted, which traps.
                try await ServerRun.untilCancelled(application, logger: logger)
                return nil
            }
            group.addTask {
                guard let port = await ports.first(where: { _ in true }) else { throw CancellationError() }
                return try await body(kubernetes, port)
            }
            defer { group.cancelAll() }
            while let result = try await group.next() {
                if let result { return result }
            }
            throw CancellationError()
        }
    }
}

extension RouterPath {
    func appendingPath(_ component: String) -> RouterPath { RouterPath("\(self.description)/\(component)") }
}
