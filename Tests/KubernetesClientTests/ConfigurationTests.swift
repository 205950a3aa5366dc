import Foundation
import HTTPClient
import ScriptedServer
import Synchronization
import Testing

@testable import KubernetesClient

@Suite(.timeLimit(.minutes(3)))
struct ConfigurationTests {
    private static func kubeconfig(cluster: String, user: String, rest: String = "current-context: c") -> String {
        """
        apiVersion: v1
        kind: Config
        clusters: [{name: k, cluster: \(cluster)}]
        users: [{name: u, user: \(user)}]
        contexts:
        - {name: c, context: {cluster: k, user: u, namespace: shop}}
        - {name: other, context: {cluster: k, user: u}}
        \(rest)
        """
    }

    static let ca = Data("CA".utf8).base64EncodedString()
    static let certificate = Data("CERT".utf8).base64EncodedString()
    static let key = Data("KEY".utf8).base64EncodedString()

    @Test(
        arguments: [
            (
                "{server: 'https://h:6443/'}", "{token: t}",
                KubernetesConfiguration(
                    server: "https://h:6443",
                    namespace: "shop",
                    authentication: .token(.text("t"))
                )
            ),
            (
                "{server: 'https://h', certificate-authority-data: \(ca)}",
                "{client-certificate-data: \(certificate), client-key-data: \(key)}",
                KubernetesConfiguration(
                    server: "https://h",
                    namespace: "shop",
                    certificateAuthority: .text("CA"),
                    clientCertificate: .text("CERT"),
                    clientKey: .text("KEY")
                )
            ),
            (
                "{server: 'https://h', certificate-authority: ca.crt}",
                "{client-certificate: /abs/c.crt, client-key: c.key, tokenFile: t, token: ignored}",
                KubernetesConfiguration(
                    server: "https://h",
                    namespace: "shop",
                    certificateAuthority: .file("./ca.crt"),
                    clientCertificate: .file("/abs/c.crt"),
                    clientKey: .file("./c.key"),
                    authentication: .token(.file("./t"))
                )
            ),
            (
                "{server: 'https://h', insecure-skip-tls-verify: true, tls-server-name: api}",
                "{username: me, password: p}",
                KubernetesConfiguration(
                    server: "https://h",
                    namespace: "shop",
                    tlsServerName: "api",
                    skipsTLSVerification: true,
                    authentication: .basic(username: "me", password: "p")
                )
            ),
            (
                "{server: 'https://h'}",
                "{exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: aws, args: [eks, get-token], "
                    + "env: [{name: A, value: b}], provideClusterInfo: true, interactiveMode: Never}}",
                KubernetesConfiguration(
                    server: "https://h",
                    namespace: "shop",
                    authentication: .exec(
                        .init(
                            command: "aws",
                            arguments: ["eks", "get-token"],
                            environment: ["A": "b"],
                            apiVersion: "client.authentication.k8s.io/v1beta1",
                            provideClusterInfo: true
                        )
                    )
                )
            ),
            (
                "{server: 'http://h'}", "{}",
                KubernetesConfiguration(server: "http://h", namespace: "shop")
            ),
        ]
    )
    func kubeconfigIsRead(_ cluster: String, _ user: String, _ expected: KubernetesConfiguration) throws {
        let configuration = try KubernetesConfiguration.kubeconfig(yaml: Self.kubeconfig(cluster: cluster, user: user))
        #expect(configuration == expected)
    }

    @Test(
        arguments: [
            ("", nil, "current-context"),
            ("a: [", nil, "YAML"),
            ("clusters: 7", nil, "clusters"),
            (kubeconfig(cluster: "{server: 'https://h'}", user: "{}", rest: ""), nil, "current-context"),
            (kubeconfig(cluster: "{server: 'https://h'}", user: "{}"), "missing", "no context missing"),
            (kubeconfig(cluster: "{server: 'h:6443'}", user: "{}"), nil, "server URL"),
            (kubeconfig(cluster: "{}", user: "{}"), nil, "server URL"),
            (kubeconfig(cluster: "{server: 'https://h', certificate-authority-data: '*'}", user: "{}"), nil, "base64"),
            (kubeconfig(cluster: "{server: 'https://h'}", user: "{client-certificate: a}"), nil, "without key"),
            (kubeconfig(cluster: "{server: 'https://h'}", user: "{token: [SECRET]}"), nil, "token"),
            (
                "contexts: [{name: c, context: {cluster: x, user: u}}]\ncurrent-context: c", nil,
                "no cluster x for context c"
            ),
            (
                "clusters: [{name: k, cluster: {server: 'https://h'}}]\n"
                    + "contexts: [{name: c, context: {cluster: k, user: u}}]\ncurrent-context: c",
                nil, "no user u"
            ),
        ]
    )
    func brokenKubeconfigSaysWhatIsWrong(_ yaml: String, _ context: String?, _ words: String) {
        do throws(KubernetesError) {
            _ = try KubernetesConfiguration.kubeconfig(yaml: yaml, context: context)
            Issue.record("it was read")
        } catch {
            #expect(error.code == .configuration)
            #expect(error.message.contains(words), "\(error.message)")
            #expect(!error.message.contains("SECRET"))
        }
    }

    @Test func otherContextCanBeNamed() throws {
        let yaml = Self.kubeconfig(cluster: "{server: 'https://h'}", user: "{}")
        #expect(try KubernetesConfiguration.kubeconfig(yaml: yaml, context: "other").namespace == "default")
    }

    @Test func filesOfKUBECONFIGAreMergedAndTheFirstCounts() async throws {
        try await withDirectory { directory in
            try Self.kubeconfig(cluster: "{server: 'https://one', certificate-authority: ca}", user: "{}", rest: "")
                .write(toFile: "\(directory)/one", atomically: true, encoding: .utf8)
            try Self.kubeconfig(cluster: "{server: 'https://two'}", user: "{}")
                .write(toFile: "\(directory)/two", atomically: true, encoding: .utf8)
            let configuration = try KubernetesConfiguration.load(
                context: nil,
                environment: ["KUBECONFIG": "\(directory)/missing:\(directory)/one:\(directory)/two"]
            )
            #expect(configuration.server == "https://one")
            #expect(configuration.certificateAuthority == .file("\(directory)/ca"))
        }
    }

    @Test func homeIsTheLastPlaceToLook() async throws {
        try await withDirectory { directory in
            #expect(throws: KubernetesError.self) {
                try KubernetesConfiguration.load(context: nil, environment: ["HOME": directory])
            }
            try FileManager.default.createDirectory(atPath: "\(directory)/.kube", withIntermediateDirectories: false)
            try Self.kubeconfig(cluster: "{server: 'https://home'}", user: "{}")
                .write(toFile: "\(directory)/.kube/config", atomically: true, encoding: .utf8)
            let configuration = try KubernetesConfiguration.load(context: nil, environment: ["HOME": directory])
            #expect(configuration.server == "https://home")
        }
    }

    @Test func podHasItsTokenItsAuthorityAndItsNamespace() async throws {
        try await withDirectory { directory in
            let environment = ["KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"]
            #expect(throws: KubernetesError.self) {
                try KubernetesConfiguration.inCluster(environment: environment, directory: directory)
            }
            #expect(throws: KubernetesError.self) {
                try KubernetesConfiguration.inCluster(environment: [:], directory: directory)
            }
            try "t".write(toFile: "\(directory)/token", atomically: true, encoding: .utf8)
            try "shop\n".write(toFile: "\(directory)/namespace", atomically: true, encoding: .utf8)
            let configuration = try KubernetesConfiguration.inCluster(environment: environment, directory: directory)
            #expect(configuration.server == "https://[fd00::1]:6443")
            #expect(configuration.namespace == "shop")
            #expect(configuration.certificateAuthority == .file("\(directory)/ca.crt"))
            #expect(configuration.authentication == .token(.file("\(directory)/token")))
        }
    }

    @Test func descriptionHoldsNoCredentials() {
        let configuration = KubernetesConfiguration(
            server: "https://h",
            clientKey: .text("SECRET"),
            authentication: .token(.text("SECRET"))
        )
        #expect(!"\(configuration)".contains("SECRET"))
    }
}

@Suite(.timeLimit(.minutes(3)))
struct AuthenticationTests {
    /// The `Authorization` headers of a few requests; 401 for those that are not `wanted`.
    private func headers(
        _ authentication: KubernetesConfiguration.Authentication,
        refusing refused: String? = nil,
        _ body: (KubernetesClient) async throws -> Void
    ) async throws -> [String] {
        let requests = Requests()
        try await withAPIServer(configuring: KubernetesConfiguration(server: "", authentication: authentication)) {
            connection in
            while let request = try await connection.next() {
                requests.append(request)
                if request.headers["authorization"] == refused, refused != nil {
                    try await connection.answer(401, status(401, "Unauthorized"))
                } else {
                    try await connection.answer(#"{"metadata":{"name":"x"}}"#)
                }
            }
        } _: { client in
            try await body(client)
        }
        return requests.all.map { $0.headers["authorization"] ?? "none" }
    }

    @Test func tokenAndPasswordAreSent() async throws {
        let token = try await self.headers(.token(.text("abc"))) { _ = try await $0.get(Node.self, "x") }
        #expect(token == ["Bearer abc"])
        let basic = try await self.headers(.basic(username: "me", password: "pass")) {
            _ = try await $0.get(Node.self, "x")
        }
        #expect(basic == ["Basic bWU6cGFzcw=="])
        let none = try await self.headers(.none) { _ = try await $0.get(Node.self, "x") }
        #expect(none == ["none"])
    }

    @Test func tokenFileIsReadAgainWhenTheServerRefusesTheToken() async throws {
        try await withDirectory { directory in
            let path = "\(directory)/token"
            try "old\n".write(toFile: path, atomically: true, encoding: .utf8)
            let headers = try await self.headers(.token(.file(path)), refusing: "Bearer old") { client in
                let failure = await kubernetesError { _ = try await client.get(Node.self, "x") }
                #expect(failure?.code == .unauthorized)
                try "new\n".write(toFile: path, atomically: true, encoding: .utf8)
                _ = try await client.get(Node.self, "x")
            }
            #expect(headers == ["Bearer old", "Bearer old", "Bearer new"])
        }
    }

    @Test func missingTokenFileIsAConfigurationError() async throws {
        let headers = try await self.headers(.token(.file("/nowhere/token"))) { client in
            let failure = await kubernetesError { _ = try await client.get(Node.self, "x") }
            #expect(failure?.code == .configuration)
        }
        #expect(headers == [])
    }

    private func plugin(_ script: String, in directory: String) throws -> KubernetesConfiguration.ExecPlugin {
        let path = "\(directory)/plugin"
        try "#!/bin/sh\n\(script)\n".write(toFile: path, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        return .init(command: path, arguments: ["arg"], environment: ["EXTRA": "more"], provideClusterInfo: true)
    }

    @Test func pluginIsRunOnceForManyRequests() async throws {
        try await withDirectory { directory in
            let plugin = try self.plugin(
                """
                echo run >> '\(directory)/runs'
                echo "$KUBERNETES_EXEC_INFO" > '\(directory)/info'
                echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",'
                echo '"status":{"token":"'"$1-$EXTRA"'","expirationTimestamp":"2999-01-01T00:00:00Z"}}'
                """,
                in: directory
            )
            let headers = try await self.headers(.exec(plugin)) { client in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<5 { group.addTask { _ = try await client.get(Node.self, "x") } }
                    try await group.waitForAll()
                }
                _ = try await client.get(Node.self, "x")
            }
            #expect(headers == Array(repeating: "Bearer arg-more", count: 6))
            #expect(try String(contentsOfFile: "\(directory)/runs", encoding: .utf8) == "run\n")
            let info = try String(contentsOfFile: "\(directory)/info", encoding: .utf8)
            #expect(info.contains("\"kind\":\"ExecCredential\""))
            #expect(info.contains("\"server\":"))
        }
    }

    @Test func pluginIsRunAgainWhenItsTokenIsRefused() async throws {
        try await withDirectory { directory in
            let plugin = try self.plugin(
                """
                echo run >> '\(directory)/runs'
                echo "{\\"apiVersion\\":\\"client.authentication.k8s.io/v1\\",\\"kind\\":\\"ExecCredential\\","
                echo "\\"status\\":{\\"token\\":\\"t$(wc -l < '\(directory)/runs')\\"}}"
                """,
                in: directory
            )
            let headers = try await self.headers(.exec(plugin), refusing: "Bearer t1") { client in
                _ = try await client.get(Node.self, "x")
            }
            #expect(headers == ["Bearer t1", "Bearer t2"])
        }
    }

    @Test(arguments: ["exit 3", "echo nothing", "echo '{\"status\":{}}'", "echo '{}'"])
    func pluginThatFailsIsAConfigurationError(_ script: String) async throws {
        try await withDirectory { directory in
            let plugin = try self.plugin(script, in: directory)
            _ = try await self.headers(.exec(plugin)) { client in
                let failure = await kubernetesError { _ = try await client.get(Node.self, "x") }
                #expect(failure?.code == .configuration)
                #expect(failure?.message.contains("credential plugin") == true)
            }
        }
    }

    @Test func missingPluginIsAConfigurationErrorWithItsHint() async throws {
        var plugin = KubernetesConfiguration.ExecPlugin(command: "no-such-plugin-anywhere")
        plugin.installHint = "install it"
        _ = try await self.headers(.exec(plugin)) { client in
            let failure = await kubernetesError { _ = try await client.get(Node.self, "x") }
            #expect(failure?.code == .configuration)
            #expect(failure?.message.contains("install it") == true)
        }
    }
}

@Suite struct RetryPolicyTests {
    @Test func delaysDoubleUpToTheirBoundWithJitter() {
        let policy = RetryPolicy(maximumAttempts: 100, baseDelay: .milliseconds(100), maximumDelay: .seconds(3))
        let error = KubernetesError(code: .serviceUnavailable, message: "")
        let safe = RetryPolicy.Safety(isIdempotent: true)
        let delays = (1...8).map { policy.delay(after: error, attempt: $0, safety: safe, random: 1) }
        #expect(
            delays == [100, 200, 400, 800, 1600, 3000, 3000, 3000].map { .milliseconds($0) }
        )
        #expect(policy.delay(after: error, attempt: 99, safety: safe, random: 0) == .milliseconds(1500))
        #expect(policy.delay(after: error, attempt: 100, safety: safe, random: 0) == nil)
    }
}

@Suite struct TimestampTests {
    @Test(
        arguments: [
            ("1970-01-01T00:00:00Z", 0.0), ("2000-02-29T12:34:56Z", 951_827_696),
            ("2026-11-21T10:00:00.250000Z", 1_795_255_200.25),
            ("2026-11-21T12:00:00+02:00", 1_795_255_200), ("1969-12-31T23:59:59.5Z", -0.5),
            ("2026-11-21T10:00:00.123456789Z", 1_795_255_200.123456),
        ]
    )
    func timesAreRead(_ text: String, _ seconds: Double) throws {
        let date = try #require(Timestamp(rawValue: text).date)
        #expect(abs(date.timeIntervalSince1970 - seconds) < 0.000_001)
    }

    @Test(
        arguments: [
            "", "now", "2026-11-21", "2026-11-21T10:00:00", "2026-13-21T10:00:00Z", "2026-11-21T25:00:00Z",
            "2026-11-21T10:00:00.Z", "2026-11-21T10:00:00Zx", "2026-11-21T10:00:00+0200", "99999-01-01T00:00:00Z",
        ]
    )
    func whatIsNoTimeHasNoDate(_ text: String) {
        #expect(Timestamp(rawValue: text).date == nil)
    }

    @Test func timesSurviveWritingAndReading() throws {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<1000 {
            let seconds = Int64.random(in: -2_000_000_000...4_000_000_000, using: &generator)
            let date = Date(timeIntervalSince1970: Double(seconds))
            #expect(Timestamp(date).date == date)
        }
        let exact = Timestamp(Date(timeIntervalSince1970: 1_795_255_200.25), precision: .microseconds)
        #expect(exact.rawValue == "2026-11-21T10:00:00.250000Z")
        #expect(Timestamp(Date(timeIntervalSince1970: 1_795_255_200.25)).rawValue == "2026-11-21T10:00:00Z")
        #expect(Timestamp(rawValue: "2026-11-21T12:00:00+02:00") < exact)
    }
}

@Suite struct LineSplitterTests {
    @Test func linesAreTheSameWhereverThePiecesEnd() {
        let text = "one\n\r\n\ntwo and more\n" + String(repeating: "x", count: 1000) + "\nrest"
        for size in [1, 2, 3, 7, 64, 5000] {
            var splitter = LineSplitter()
            var lines: [String] = []
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                let fits = splitter.append(Array(rest.prefix(size)))
                #expect(fits)
                rest = rest.dropFirst(size)
                while let line = splitter.next() { lines.append(String(decoding: line, as: UTF8.self)) }
            }
            #expect(lines == ["one", "two and more", String(repeating: "x", count: 1000)])
        }
    }
}
