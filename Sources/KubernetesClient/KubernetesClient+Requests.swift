internal import Foundation
internal import HTTPClient
public import JSON
internal import Logging

extension KubernetesClient {
    /// Sends any request and gives the answer's body as JSON, for what has no method here.
    ///
    /// Not repeated unless it reads.
    /// - Parameters:
    ///   - method: such as `GET`.
    ///   - path: path and query, percent-encoded, such as `/version`.
    ///   - body: what to send.
    ///   - contentType: of the body.
    /// - Returns: the body, or `.null` when it is empty; text that is no JSON comes as a string.
    /// - Throws: ``KubernetesError``.
    public func raw(
        method: String,
        path: String,
        body: JSONValue? = nil,
        contentType: String = "application/json"
    ) async throws(KubernetesError) -> JSONValue {
        guard path.hasPrefix("/") else {
            throw KubernetesError(code: .configuration, message: "the path \(path) does not begin with a slash")
        }
        var call = Call(method: HTTPMethod(rawValue: method), target: path, body: body?.serializedBytes())
        call.contentType = contentType
        call.safety.isIdempotent = method == "GET" || method == "HEAD"
        let answer = try await self.perform(call).body
        if answer.isEmpty { return .null }
        return (try? JSONValue(parsing: answer)) ?? .string(String(decoding: answer, as: UTF8.self))
    }

    /// Performs a call, repeating what is safe to repeat, and gives the successful answer.
    func perform(_ call: Call) async throws(KubernetesError) -> HTTPResponse {
        var attempt = 1
        var hasRenewed = false
        while true {
            do {
                return try await self.performOnce(call)
            } catch {
                // A token may have been replaced under us: once more with the next one.
                if error.code == .unauthorized, !hasRenewed {
                    hasRenewed = true
                    continue
                }
                let delay = self.retryPolicy.delay(
                    after: error,
                    attempt: attempt,
                    safety: call.safety,
                    random: .random(in: 0...1)
                )
                guard let delay else { throw error }
                self.logger.debug(
                    "Request failed and is repeated",
                    metadata: [
                        "http.method": "\(call.method)",
                        "http.path": "\(call.target.prefix { $0 != "?" })",
                        "attempt": "\(attempt)",
                        "error": "\(error)",
                    ]
                )
                attempt += 1
                do {
                    try await Task.sleep(for: delay)
                } catch {
                    throw KubernetesError(code: .cancelled, message: "cancelled before the next try")
                }
            }
        }
    }

    /// Performs a call once, and counts it.
    private func performOnce(_ call: Call) async throws(KubernetesError) -> HTTPResponse {
        let verb = KubernetesClientMetrics.verb(call.method)
        let start = ContinuousClock.now
        defer { KubernetesClientMetrics.took(verb, start.duration(to: .now)) }
        do {
            let response = try await self.send(call)
            KubernetesClientMetrics.answered(verb, code: String(response.status))
            return response
        } catch {
            KubernetesClientMetrics.answered(verb, code: error.httpStatus.map { String($0) } ?? "\(error.code)")
            throw error
        }
    }

    private func send(_ call: Call) async throws(KubernetesError) -> HTTPResponse {
        let credentials = try await self.credentials.credentials()
        var request = self.request(call, credentials)
        request.timeout = self.requestTimeout
        let response: HTTPResponse
        do {
            response = try await self.http.send(request)
        } catch {
            throw KubernetesError(error)
        }
        guard (200..<300).contains(response.status) else {
            if response.status == 401 { self.credentials.refused(credentials) }
            throw KubernetesError(httpStatus: response.status, headers: response.headers, body: response.body)
        }
        return response
    }

    private func request(_ call: Call, _ credentials: Credentials) -> HTTPRequest {
        var headers = [
            (name: "User-Agent", value: self.userAgent),
            (name: "Accept", value: "application/json"),
        ]
        if call.body != nil { headers.append((name: "Content-Type", value: call.contentType)) }
        if let authorization = credentials.authorization {
            headers.append((name: "Authorization", value: authorization))
        }
        return HTTPRequest(
            method: call.method,
            url: self.configuration.server + call.target,
            headers: headers,
            body: call.body,
            tls: credentials.tls
        )
    }

    /// Reads a list page by page.
    func eachPage(
        _ path: ResourcePath,
        selector: Selector,
        pageSize: Int,
        onPage: (_ body: [UInt8]) throws(KubernetesError) -> ListMeta
    ) async throws(KubernetesError) -> String {
        var next: String?
        while true {
            var query = selector.query
            if pageSize > 0 { query.append((name: "limit", value: String(pageSize))) }
            if let next { query.append((name: "continue", value: next)) }
            let metadata = try onPage(try await self.perform(Call(.get, path, query: query)).body)
            guard let token = metadata.continue, !token.isEmpty else { return metadata.resourceVersion ?? "" }
            next = token
        }
    }

    // MARK: Watching

    struct WatchRequest {
        var path: ResourcePath
        var selector: Selector
        var resourceVersion: String?
        var timeout: Duration?
    }

    /// Opens a watch and gives its events to `body`; `decode` reads the object out of a whole line.
    func withWatch<Object: Sendable, R>(
        _ watch: WatchRequest,
        decode: @escaping @Sendable (_ line: Data) throws -> Object,
        _ body: (WatchEvents<Object>) async throws -> R
    ) async throws -> R {
        var query = watch.selector.query
        query.append((name: "watch", value: "true"))
        query.append((name: "allowWatchBookmarks", value: "true"))
        if let version = watch.resourceVersion { query.append((name: "resourceVersion", value: version)) }
        if let timeout = watch.timeout {
            query.append((name: "timeoutSeconds", value: String(max(1, timeout.components.seconds))))
        }
        let credentials = try await self.credentials.credentials()
        var request = self.request(Call(.get, watch.path, query: query), credentials)
        request.timeout = nil
        // A server sends a bookmark every minute or so; one that is silent for long is not there any more.
        request.idleTimeout = .seconds(180)
        request.connection = .dedicated
        do {
            return try await self.http.withStream(request) { head, chunks in
                KubernetesClientMetrics.answered("watch", code: String(head.status))
                guard (200..<300).contains(head.status) else {
                    if head.status == 401 { self.credentials.refused(credentials) }
                    var text: [UInt8] = []
                    for try await chunk in chunks where text.count < 1 << 20 {
                        text.append(contentsOf: chunk)
                    }
                    throw KubernetesError(httpStatus: head.status, headers: head.headers, body: text)
                }
                let events = WatchEvents<Object>(chunks: chunks) { line throws(KubernetesError) in
                    try Self.decodeEvent(line, decode)
                }
                return try await body(events)
            }
        } catch let error as HTTPClientError {
            let error = KubernetesError(error)
            KubernetesClientMetrics.answered("watch", code: "\(error.code)")
            throw error
        }
    }

    /// Reads one line of a watch.
    static func decodeEvent<Object: Sendable>(
        _ line: [UInt8],
        _ decode: (Data) throws -> Object
    ) throws(KubernetesError) -> WatchEvent<Object> {
        let data = Data(line)
        guard let type = try? JSONDecoder().decode(EventLine.self, from: data).type else {
            throw KubernetesError(code: .malformedAnswer, message: "a line of the watch is no event")
        }
        func metadata() -> Decoding.MetadataOnly {
            (try? JSONDecoder().decode(ObjectLine<Decoding.MetadataOnly>.self, from: data).object) ?? .init()
        }
        switch type {
        case "BOOKMARK":
            return .bookmark(resourceVersion: metadata().metadata?.resourceVersion ?? "")
        case "ERROR":
            let status = try? JSONDecoder().decode(ObjectLine<Status>.self, from: data).object
            throw KubernetesError(status: status, httpStatus: nil, message: nil)
        case "ADDED", "MODIFIED", "DELETED":
            let object: Object
            do {
                object = try decode(data)
            } catch {
                let problem = metadata().problem(error)
                return .undecodable(
                    key: problem.key,
                    resourceVersion: problem.resourceVersion,
                    reason: problem.reason
                )
            }
            return type == "ADDED" ? .added(object) : type == "MODIFIED" ? .modified(object) : .deleted(object)
        default:
            throw KubernetesError(code: .malformedAnswer, message: "the watch has an event of an unknown type")
        }
    }
}
