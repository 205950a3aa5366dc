import EventLoop
import Foundation
import HTTPClient
import JSON
import KubernetesClient
import KubernetesServer
import Logging
import Testing

@testable import ProcessNode

/// An embedded API server and nodes that have joined it.
struct NodeFixture {
    let client: KubernetesClient
    let configuration: KubernetesConfiguration
    let eventLoop: EventLoop
    let directory: String
    let logger: Logger
    let url: String
    let token: String

    static let logger: Logger = {
        var logger = Logger(label: "node-test")
        logger.logLevel =
            ProcessInfo.processInfo.environment["DROVER_TEST_LOG"].flatMap { Logger.Level(rawValue: $0) } ?? .critical
        return logger
    }()

    /// Runs `body` with a server; nodes come by ``withNode(_:zone:_:)``.
    static func run(_ body: (NodeFixture) async throws -> Void) async throws {
        try await PlaygroundServer.withServer(logger: self.logger) { server in
            try await withTemporaryDirectory { directory in
                let kubeconfig = directory + "/kubeconfig"
                try FileSystem.write(Array(server.kubeconfig().utf8), to: kubeconfig)
                let configuration = try KubernetesConfiguration.kubeconfig(path: kubeconfig)
                try await withEventLoop { loop in
                    let client = KubernetesClient(configuration: configuration, eventLoop: loop, logger: self.logger)
                    try await body(
                        NodeFixture(
                            client: client,
                            configuration: configuration,
                            eventLoop: loop,
                            directory: directory,
                            logger: self.logger,
                            url: try #require(server.url),
                            token: server.administratorToken
                        )
                    )
                    client.shutdown()
                }
            }
        }
    }

    /// Runs a node around `body`, cancelled at the end.
    func withNode<Result>(
        _ name: String = "node-a",
        zone: String = "zone-a",
        change: (inout ProcessNodeConfiguration) -> Void = { _ in },
        _ body: (ProcessNode) async throws -> Result
    ) async throws -> Result {
        var configuration = ProcessNodeConfiguration(name: name, zone: zone, dataDirectory: self.directory + "/data")
        // Tests that run at the same time must not share addresses.
        configuration.podCIDR = "127.\(Int.random(in: 128...250)).\(Int.random(in: 1...250)).0/24"
        change(&configuration)
        let node = ProcessNode(
            configuration: configuration,
            kubernetes: self.configuration,
            eventLoop: self.eventLoop,
            logger: self.logger
        )
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await node.run() }
            await node.waitUntilReady()
            let result: Result
            do {
                result = try await body(node)
            } catch {
                group.cancelAll()
                throw error
            }
            group.cancelAll()
            while let end = await group.nextResult() {
                if case .failure(let error) = end, !(error is CancellationError) { throw error }
            }
            return result
        }
    }

    /// Creates a pod on a node that runs a shell script.
    @discardableResult
    func createPod(
        _ name: String,
        node: String = "node-a",
        script: String,
        container: JSONValue = [:],
        spec: JSONValue = [:]
    ) async throws -> JSONValue {
        var first = container
        first["name"] = "main"
        first["image"] = first["image"] ?? "any"
        first["command"] = ["sh", "-c", .string(script)]
        var document = spec
        document["nodeName"] = .string(node)
        document["containers"] = [first]
        document["securityContext"] = ["runAsUser": 5432, "runAsGroup": 5432]
        document["terminationGracePeriodSeconds"] = document["terminationGracePeriodSeconds"] ?? 20
        return try await self.client.createObject(
            Pod.resourceType,
            ["metadata": ["name": .string(name), "namespace": "default"], "spec": document]
        )
    }

    func pod(_ name: String) async throws -> JSONValue? {
        try await self.client.listObjects(Pod.resourceType, namespace: "default", selector: .named(name)).items.first
    }

    /// Waits until a pod is as wanted, and gives it.
    @discardableResult
    func wait(
        for name: String,
        _ what: Comment,
        sourceLocation: SourceLocation = #_sourceLocation,
        _ condition: (JSONValue) -> Bool
    ) async throws -> JSONValue {
        var last: JSONValue = nil
        try await eventually("pod \(name) never \(what.rawValue)", sourceLocation: sourceLocation) {
            last = try await self.pod(name) ?? nil
            return condition(last)
        }
        return last
    }

    func log(_ name: String, query: String = "") async throws -> (status: Int, text: String) {
        let http = HTTPClient(eventLoop: self.eventLoop, tls: TLSSettings(verifyPeer: false))
        defer { http.shutdown() }
        let answer = try await http.send(
            HTTPRequest(
                url: "\(self.url)/api/v1/namespaces/default/pods/\(name)/log\(query)",
                headers: [("Authorization", "Bearer \(self.token)")]
            )
        )
        return (answer.status, String(decoding: answer.body, as: UTF8.self))
    }

    /// Reads a log until it ends; tells what there is whenever something has come.
    func followLog(_ name: String, _ progress: (String) async throws -> Void) async throws -> String {
        let http = HTTPClient(eventLoop: self.eventLoop, tls: TLSSettings(verifyPeer: false))
        defer { http.shutdown() }
        let request = HTTPRequest(
            url: "\(self.url)/api/v1/namespaces/default/pods/\(name)/log?follow=true",
            headers: [("Authorization", "Bearer \(self.token)")],
            timeout: nil
        )
        return try await http.withStream(request) { _, chunks in
            var text = ""
            for try await chunk in chunks {
                text += String(decoding: chunk, as: UTF8.self)
                try await progress(text)
            }
            return text
        }
    }

    func delete(_ name: String, grace: Int64? = nil) async throws {
        try await self.client.delete(
            Pod.self,
            name,
            namespace: "default",
            options: DeleteOptions(gracePeriodSeconds: grace)
        )
    }
}

extension JSONValue {
    var containerStatus: JSONValue { self["status"]?["containerStatuses"]?[0] ?? nil }
    var isReady: Bool { self.containerStatus["ready"]?.boolValue == true && self.condition("Ready") == "True" }
    var phase: String? { self["status"]?["phase"]?.stringValue }

    func condition(_ type: String) -> String? {
        self["status"]?["conditions"]?.arrayValue?.first { $0["type"]?.stringValue == type }?["status"]?.stringValue
    }
}
