import JSON
import KubernetesClient
import PostgresClusterAPI
import Testing

@Suite struct PoolerSpecTests {
    let resource: CustomResource

    init() throws { self.resource = try CustomResource() }

    @Test(arguments: [
        ("spec.pooler.instances", SchemaLimits.poolers, PoolerDefaults.instances),
        ("spec.pooler.maximumPauseSeconds", SchemaLimits.maximumPauseSeconds, PoolerDefaults.maximumPauseSeconds),
        (
            "spec.pooler.longTransactionSeconds", SchemaLimits.longTransactionSeconds,
            PoolerDefaults.longTransactionSeconds
        ),
    ])
    func rangesAndDefaultsAreThoseOfSwift(_ path: String, _ range: ClosedRange<Int>, _ fallback: Int) {
        #expect(self.resource.part(path)?["minimum"]?.intValue == Int64(range.lowerBound))
        #expect(self.resource.part(path)?["maximum"]?.intValue == Int64(range.upperBound))
        #expect(self.resource.part(path)?["default"]?.intValue == Int64(fallback))
    }

    @Test func wordsAreThoseOfSwift() {
        func words(_ path: String) -> [String]? {
            self.resource.part(path)?["enum"]?.arrayValue?.compactMap(\.stringValue)
        }
        #expect(words("spec.pooler.mode") == PoolerMode.allCases.map(\.rawValue))
        #expect(words("spec.pooler.longTransactions") == LongTransactions.allCases.map(\.rawValue))
        #expect(self.resource.part("spec.pooler.mode")?["default"] == .string(PoolerDefaults.mode.rawValue))
        #expect(
            self.resource.part("spec.pooler.longTransactions")?["default"]
                == .string(PoolerDefaults.longTransactions.rawValue)
        )
    }

    @Test func letsTheSameSettingsInAsSwift() throws {
        let parameters = try #require(self.resource.part("spec.pooler.parameters"))
        #expect(parameters["maxProperties"]?.intValue == Int64(SchemaLimits.poolerParameters))
        let values = parameters["additionalProperties"]
        #expect(values?["maxLength"]?.intValue == Int64(SchemaLimits.poolerParameterValue))
        let rule = try #require(parameters["x-kubernetes-validations"]?.arrayValue?.first?["rule"]?.stringValue)
        let listed = rule.split(separator: "'", omittingEmptySubsequences: false).enumerated()
            .filter { $0.offset % 2 == 1 }.map { String($0.element) }
        #expect(listed == PoolerParameters.kinds.keys.sorted())
    }

    @Test func withoutTheSectionThereIsNoPooler() {
        #expect(PostgresClusterSpec().resolved.pooler == nil)
        let resolved = PostgresClusterSpec(pooler: .init()).resolved.pooler
        #expect(resolved?.instances == 2)
        #expect(resolved?.mode == .transaction)
    }

    @Test(arguments: [
        ("default_pool_size", "20", true), ("default_pool_size", "0", false), ("default_pool_size", "20\nx=1", false),
        ("default_pool_size", "", false), ("default_pool_size", "2e3", false), ("query_timeout", "1.5", true),
        ("query_timeout", "1.5.2", false), ("query_timeout", "-1", false), ("log_connections", "1", true),
        ("log_connections", "yes", false), ("ignore_startup_parameters", "extra_float_digits, search_path", true),
        ("ignore_startup_parameters", "a;b", false), ("auth_type", "any", false), ("admin_users", "app", false),
        ("listen_addr", "*", false), ("auth_query", "select 1", false),
    ])
    func settingsAreChecked(_ name: String, _ value: String, _ isFine: Bool) {
        #expect((PoolerParameters.problem(with: value, of: name) == nil) == isFine)
        var cluster = PostgresCluster(metadata: ObjectMeta(name: "orders"), spec: PostgresClusterSpec())
        cluster.spec.storage = .init(size: Quantity(bytes: 1 << 30))
        cluster.spec.pooler = .init(parameters: [name: value])
        #expect(cluster.validate().isEmpty == isFine)
    }

    @Test(arguments: [0, 17, -1]) func numbersOfPoolersAreChecked(_ instances: Int) {
        var cluster = PostgresCluster(metadata: ObjectMeta(name: "orders"), spec: PostgresClusterSpec())
        cluster.spec.storage = .init(size: Quantity(bytes: 1 << 30))
        cluster.spec.pooler = .init(instances: instances)
        #expect(cluster.validate().map(\.field) == ["spec.pooler.instances"])
    }

    @Test(arguments: LongTransactions.allCases) func theDrainLeavesRoomForTheSwitchover(_ policy: LongTransactions) {
        for seconds in SchemaLimits.maximumPauseSeconds {
            let pooler = PostgresClusterSpec.Pooler(maximumPauseSeconds: seconds, longTransactions: policy).resolved
            #expect(pooler.drainTime <= pooler.maximumPause / 2)
            #expect(pooler.drainTime > .zero)
        }
    }
}
