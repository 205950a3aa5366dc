public import EventLoop
internal import Foundation
internal import PostgresClient
internal import PostgresClusterAPI

/// The clients that live on one node, inside its network namespace, and write to every instance there that lets them.
///
/// They are the only ones that can still reach an instance which is cut off from everybody else: if it goes on as
/// primary, they notice.
public struct LocalClients: Sendable {
    /// How to log in to one cluster.
    public struct Login: Codable, Sendable {
        /// The cluster's name.
        public var cluster: String
        /// The user.
        public var user: String
        /// The password.
        public var password: String
        /// The database.
        public var database: String
        /// Where what was acknowledged is written, a file for each address.
        public var directory: String
    }

    private let name: String
    private let logins: [Login]
    private let targets: String
    private let eventLoop: EventLoop

    /// Makes the clients of a node.
    /// - Parameters:
    ///   - name: the node's name.
    ///   - logins: a file with a list of ``Login``, as JSON.
    ///   - targets: a file with a cluster's name and the address of an instance of it in each line; read again and again.
    ///   - eventLoop: drives the connections.
    /// - Throws: when the file of logins cannot be read.
    public init(name: String, logins: String, targets: String, eventLoop: EventLoop) throws {
        guard let data = FileManager.default.contents(atPath: logins) else { throw ChaosError("cannot read \(logins)") }
        self.logins = try JSONDecoder().decode([Login].self, from: data)
        self.name = name
        self.targets = targets
        self.eventLoop = eventLoop
    }

    /// Runs until cancelled.
    public func run() async {
        await withDiscardingTaskGroup { group in
            var running: [String: Task<Void, Never>] = [:]
            while !Task.isCancelled {
                let text = (try? String(contentsOfFile: self.targets, encoding: .utf8)) ?? ""
                let wanted = Set(text.split(separator: "\n").map(String.init))
                for target in wanted where running[target] == nil {
                    running[target] = self.start(target)
                }
                for (target, task) in running where !wanted.contains(target) {
                    task.cancel()
                    running[target] = nil
                }
                try? await Task.sleep(for: .milliseconds(300))
            }
            let tasks = running.values
            for task in tasks { task.cancel() }
            group.addTask { for task in tasks { await task.value } }
        }
    }

    private func start(_ target: String) -> Task<Void, Never>? {
        let words = target.split(separator: " ").map(String.init)
        guard words.count == 2, let login = self.logins.first(where: { $0.cluster == words[0] }) else { return nil }
        let configuration = PostgresConfiguration(
            host: words[1],
            hostaddr: words[1],
            port: InstancePorts.postgres,
            database: login.database,
            user: login.user,
            password: login.password,
            sslMode: .require,
            applicationName: "chaos-\(self.name)",
            connectTimeout: .seconds(3)
        )
        let name = "\(self.name)-\(words[1])"
        let client = try? ChaosClient(
            name: name,
            configuration: configuration,
            eventLoop: self.eventLoop,
            output: "\(login.directory)/\(name).writes",
            pause: .milliseconds(40)
        )
        guard let client else { return nil }
        // An address may be used again, after its clients were told that it is gone.
        let first = ChaosClient.now
        // Not structured: it comes and goes with the list; `run()` awaits what is left.
        return Task { await client.run(first: first) }
    }
}
