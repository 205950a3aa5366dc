internal import EventLoop
internal import Foundation
internal import JSON
internal import Logging
internal import NIOCore

/// The API: authenticates, authorises and carries out requests, and knows nothing of sockets.
final class APIServer: Sendable {
    struct Configuration: Sendable {
        var administratorToken: String
        var servicePrefix: String
        /// PEM of the authority clients must trust; in `kube-root-ca.crt` of every namespace.
        var authorityPEM: String
    }

    let store: ObjectStore
    let configuration: Configuration
    let tokens: TokenIssuer
    let authorizer: Authorizer
    let usedPermissions = UsedPermissions()
    let admission: Admission
    let logs: any PodLogSource
    let counters = RequestCounters()
    let logger: Logger

    init(
        store: ObjectStore,
        configuration: Configuration,
        tokens: TokenIssuer,
        logs: any PodLogSource,
        logger: Logger
    ) {
        self.store = store
        self.configuration = configuration
        self.tokens = tokens
        self.authorizer = Authorizer(store: store)
        self.admission = Admission(store: store, servicePrefix: configuration.servicePrefix)
        self.logs = logs
        self.logger = logger
    }

    var now: Date { self.store.configuration.now() }

    /// Carries out one request; never throws, a refusal is an answer too.
    func handle(_ request: APIRequest) async -> APIReply {
        self.counters.count(request)
        do throws(StatusError) {
            var request = request
            request.identity = try self.authenticate(request)
            try self.authorize(request)
            return try await self.route(request)
        } catch {
            return .failure(error)
        }
    }

    // MARK: Who

    private func authenticate(_ request: APIRequest) throws(StatusError) -> Identity {
        guard let header = request.headers["authorization"] else { return .anonymous }
        guard header.lowercased().hasPrefix("bearer ") else { throw .unauthorized() }
        guard let identity = self.identity(of: String(header.dropFirst("bearer ".count)).trimmedSpaces) else {
            throw .unauthorized()
        }
        return identity
    }

    func identity(of token: String, audiences: [String] = [TokenIssuer.issuer]) -> Identity? {
        token == self.configuration.administratorToken
            ? .administrator : self.tokens.identity(of: token, audiences: audiences, in: self.store)
    }

    /// Looks whether a request is allowed; `verb` is what it does beside what its method says, as an apply that creates.
    func authorize(_ request: APIRequest, verb: String? = nil) throws(StatusError) {
        if request.identity.isAdministrator { return }
        var attributes = Authorizer.Attributes(verb: verb ?? request.verb)
        if let target = request.target, !target.resource.isEmpty {
            attributes.group = target.group
            attributes.resource = target.resource
            attributes.subresource = target.subresource
            attributes.namespace = target.namespace ?? ""
            attributes.name = target.name
            if attributes.name.isEmpty, let selector = request.parameter("fieldSelector"),
                selector.hasPrefix("metadata.name="), !selector.contains(",")
            {
                // A list or watch of one name counts as about that name.
                attributes.name = String(selector.drop { $0 != "=" }.drop { $0 == "=" })
            }
        } else {
            attributes.verb = request.method == "HEAD" ? "get" : request.method.lowercased()
            attributes.path = request.path
        }
        guard self.authorizer.isAllowed(request.identity, attributes) else {
            throw self.authorizer.refusal(request.identity, attributes)
        }
        self.usedPermissions.note(request.identity, attributes)
    }

    // MARK: Where

    private static let pathNotFound = StatusError(
        code: 404,
        reason: "NotFound",
        message: "the server could not find the requested resource"
    )

    private func route(_ request: APIRequest) async throws(StatusError) -> APIReply {
        guard let target = request.target, !target.resource.isEmpty else {
            if request.path == UsedPermissions.path, request.identity.isAdministrator {
                return .json(self.usedPermissions.document)
            }
            if let reply = self.discovery(request) { return reply }
            throw Self.pathNotFound
        }
        if let reply = try self.review(request, target) { return reply }
        guard let view = self.view(target) else { throw Self.pathNotFound }
        if view.definition.isNamespaced {
            guard target.namespace != nil || (target.name.isEmpty && request.method == "GET") else {
                throw Self.pathNotFound
            }
        } else if target.namespace != nil {
            throw Self.pathNotFound
        }
        if !target.subresource.isEmpty { return try await self.subresource(request, target, view) }
        switch (request.method, target.name.isEmpty) {
        case ("GET", true), ("HEAD", true):
            return request.isWatch ? try self.watch(request, target, view) : try self.list(request, target, view)
        case ("GET", false), ("HEAD", false):
            if request.isWatch { return try self.watch(request, target, view) }
            return try self.get(request, target, view)
        case ("POST", true): return try self.create(request, target, view)
        case ("PUT", false): return try self.update(request, target, view)
        case ("PATCH", false): return try self.patch(request, target, view)
        case ("DELETE", false): return try self.delete(request, target, view)
        case ("DELETE", true): return try self.deleteCollection(request, target, view)
        default:
            throw .methodNotAllowed("the server does not allow this method on the requested resource")
        }
    }

    /// The resource a path names, in the version it names.
    func view(_ target: APIRequest.Target) -> ResourceView? {
        if target.group == "events.k8s.io", target.version == "v1", target.resource == "events" {
            return self.store.definition(of: .events)
                .map {
                    ResourceView(definition: $0, group: target.group, version: target.version)
                }
        }
        guard let definition = self.store.definition(of: GroupResource(target.resource, group: target.group)),
            definition.version(target.version) != nil
        else { return nil }
        return ResourceView(definition: definition, group: target.group, version: target.version)
    }

    func reply(
        _ object: StoredObject,
        _ view: ResourceView,
        _ request: APIRequest,
        status: Int = 200,
        warnings: [String] = []
    ) -> APIReply {
        let representation = Representation(accept: request.headers["accept"])
        if representation == .table {
            var table = KubectlTable.table(
                of: [object],
                view: view,
                includeObject: request.parameter("includeObject"),
                now: self.now
            )
            table["metadata"] = ["resourceVersion": .string(String(object.resourceVersion))]
            return .json(table, status: status, headers: Self.warningHeaders(warnings))
        }
        return .body(
            status: status,
            contentType: "application/json",
            headers: Self.warningHeaders(warnings),
            bytes: view.encoded(object, as: representation)
        )
    }

    static func warningHeaders(_ warnings: [String]) -> [(name: String, value: String)] {
        warnings.map { warning in
            (name: "warning", value: "299 - \"\(warning.filter { $0 != "\"" && $0 != "\n" })\"")
        }
    }
}
