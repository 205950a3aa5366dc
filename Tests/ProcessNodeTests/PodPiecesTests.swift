import Glibc
import JSON
import Testing

@testable import ProcessNode

struct PodPiecesTests {
    static let fields = PodFields(
        name: "p",
        namespace: "ns",
        uid: "u-1",
        labels: ["role": "master", "a": "b\"c"],
        annotations: ["k": "v"],
        nodeName: "node-a",
        serviceAccountName: "sa",
        podIP: "127.64.1.2",
        hostIP: "127.64.1.1"
    )

    @Test(arguments: [
        ("metadata.name", "p"), ("metadata.namespace", "ns"), ("metadata.uid", "u-1"), ("spec.nodeName", "node-a"),
        ("status.podIP", "127.64.1.2"), ("status.hostIP", "127.64.1.1"), ("metadata.labels['role']", "master"),
        ("metadata.annotations['none']", ""), ("metadata.labels", "a=\"b\\\"c\"\nrole=\"master\""), ("spec.other", nil),
    ])
    func downwardFields(_ path: String, _ expected: String?) {
        #expect(Self.fields[path] == expected)
    }

    private func environment(_ json: JSONValue, objects: PodObjects = PodObjects()) throws -> [String: String] {
        var document = json
        document["name"] = "c"
        return try PodEnvironment.resolve(
            document.decode(ContainerSpecification.self),
            fields: Self.fields,
            objects: objects,
            base: ["HOSTNAME": "p"]
        )
    }

    @Test func environmentComesFromEverySource() throws {
        let values = try self.environment(
            [
                "envFrom": [
                    ["prefix": "X_", "secretRef": ["name": "s"]], ["configMapRef": ["name": "none", "optional": true]],
                ],
                "env": [
                    ["name": "PLAIN", "value": "1"],
                    ["name": "EXPANDED", "value": "$(PLAIN)-$(HOSTNAME)-$(LATER)"],
                    ["name": "LATER", "value": "2"],
                    ["name": "IP", "valueFrom": ["fieldRef": ["fieldPath": "status.podIP"]]],
                    ["name": "KEY", "valueFrom": ["secretKeyRef": ["name": "s", "key": "k"]]],
                    ["name": "MAP", "valueFrom": ["configMapKeyRef": ["name": "m", "key": "k"]]],
                    ["name": "ABSENT", "valueFrom": ["secretKeyRef": ["name": "s", "key": "z", "optional": true]]],
                ],
            ],
            objects: PodObjects(
                secrets: ["s": ["k": Array("secret".utf8)]],
                configMaps: ["m": ["k": Array("map".utf8)]]
            )
        )
        #expect(
            values == [
                "HOSTNAME": "p", "X_k": "secret", "PLAIN": "1", "EXPANDED": "1-p-$(LATER)", "LATER": "2",
                "IP": "127.64.1.2", "KEY": "secret", "MAP": "map",
            ]
        )
    }

    @Test(
        arguments: [
            ["valueFrom": ["secretKeyRef": ["name": "none", "key": "k"]]],
            ["valueFrom": ["configMapKeyRef": ["name": "m", "key": "z"]]],
            ["valueFrom": ["fieldRef": ["fieldPath": "spec.nonsense"]]],
        ] as [JSONValue]
    )
    func missingSourceIsAnError(_ variable: JSONValue) {
        var variable = variable
        variable["name"] = "V"
        #expect(throws: ContainerConfigurationError.self) {
            _ = try self.environment(["env": .array([variable])], objects: PodObjects(configMaps: ["m": [:]]))
        }
    }

    @Test func projectedVolumeHoldsTokenBundleAndNamespace() throws {
        let volume =
            try JSONValue.object([
                "name": "v",
                "projected": [
                    "defaultMode": 0o444,
                    "sources": [
                        ["serviceAccountToken": ["path": "token"]],
                        ["configMap": ["name": "kube-root-ca.crt", "items": [["key": "ca.crt", "path": "ca.crt"]]]],
                        [
                            "downwardAPI": [
                                "items": [["path": "namespace", "fieldRef": ["fieldPath": "metadata.namespace"]]]
                            ]
                        ],
                    ],
                ],
            ])
            .decode(VolumeSpecification.self)
        let objects = PodObjects(configMaps: ["kube-root-ca.crt": ["ca.crt": [1], "other": [2]]])
        let payload = try VolumePayload(volume, fields: Self.fields, objects: objects, tokens: ["token": [9]])
        #expect(
            payload?.files == [
                "token": .init(bytes: [9], mode: 0o600),
                "ca.crt": .init(bytes: [1], mode: 0o444),
                "namespace": .init(bytes: Array("ns".utf8), mode: 0o444),
            ]
        )
        #expect(throws: ContainerConfigurationError.self) {
            _ = try VolumePayload(volume, fields: Self.fields, objects: objects, tokens: [:])
        }
    }

    @Test(arguments: ["../x", "/x", "a/../b", "..x", "", "a//b"])
    func volumePathsStayInside(_ path: String) {
        var payload = VolumePayload()
        #expect(throws: ContainerConfigurationError.self) { try payload.add(path, [], mode: nil) }
    }

    @Test func directoryChangesAtOnce() async throws {
        try await withTemporaryDirectory { directory in
            var first = VolumePayload()
            try first.add("a", [1], mode: 0o640)
            try first.add("sub/b", [2], mode: nil)
            let volume = directory + "/v"
            #expect(try AtomicDirectory.write(first, to: volume))
            #expect(try !AtomicDirectory.write(first, to: volume))
            #expect(try FileSystem.read(volume + "/a") == [1])
            #expect(try FileSystem.read(volume + "/sub/b") == [2])
            var status = stat()
            #expect(stat(volume + "/a", &status) == 0 && status.st_mode & 0o777 == 0o640)
            let old = try #require(FileSystem.linkTarget(volume + "/..data"))

            var second = VolumePayload()
            try second.add("a", [3], mode: 0o640)
            #expect(try AtomicDirectory.write(second, to: volume))
            #expect(try FileSystem.read(volume + "/a") == [3])
            #expect(try FileSystem.names(in: volume).filter { !$0.hasPrefix("..") } == ["a"])
            #expect(!FileSystem.exists("\(volume)/\(old)"))
        }
    }

    @Test func probeActsWhenAThresholdIsReached() {
        var state = ProbeState(isPassing: false, successThreshold: 2, failureThreshold: 3)
        let results = [true, false, true, true, true, false, false, false, false, true, true]
        let reached = results.map { state.probed(succeeded: $0) }
        #expect(reached == [false, false, false, true, false, false, false, true, false, false, true])
        #expect(state.isPassing)
    }

    @Test func restartsSlowDownAndRecover() {
        var backoff = RestartBackoff(first: .seconds(1), longest: .seconds(5))
        let short = (0..<6).map { _ in backoff.delay(afterRunOf: .milliseconds(3)) }
        #expect(short == [.zero, .seconds(1), .seconds(2), .seconds(4), .seconds(5), .seconds(5)])
        #expect(backoff.delay(afterRunOf: .seconds(10)) == .zero)
        #expect(backoff.delay(afterRunOf: .zero) == .seconds(1))
    }

    @Test func retriesSlowDownWithinTheirBoundsAndBeginAnew() {
        var pause = RetryPause(first: .milliseconds(100), longest: .milliseconds(350))
        #expect(
            (0..<4).map { _ in pause.next(random: 1) } == [
                .milliseconds(100),
                .milliseconds(200),
                .milliseconds(350),
                .milliseconds(350),
            ]
        )
        pause.reset()
        #expect(pause.next(random: 0.5) == .milliseconds(50))
        for _ in 0..<100 {
            let next = pause.next()
            #expect(next >= .milliseconds(100) && next <= .milliseconds(350))
        }
    }

    @Test func addressesAreUsedAgainLate() throws {
        var pool = try #require(AddressPool(cidr: "127.64.3.0/29"))
        #expect(pool.node.description == "127.64.3.1")
        let taken = pool.take()
        let first = try #require(taken)
        #expect(first.description == "127.64.3.2")
        pool.release(first)
        #expect(pool.take()?.description == "127.64.3.3")
        #expect(pool.take(preferred: IPv4Address("127.64.3.6"))?.description == "127.64.3.6")
        #expect(pool.take(preferred: IPv4Address("127.64.3.7"))?.description == "127.64.3.4")
        #expect(pool.take()?.description == "127.64.3.5")
        #expect(pool.take()?.description == "127.64.3.2")
        #expect(pool.take() == nil)
    }

    @Test(arguments: ["", "127.64.0.0", "300.0.0.0/24", "127.0.0.0/33", "10.0.0.0/x", "10.0.0/24"])
    func malformedRangesAreRefused(_ cidr: String) {
        #expect(AddressPool(cidr: cidr) == nil)
    }
}
