// swift-tools-version: 6.2

import PackageDescription

/// Settings every Swift target is built with.
///
/// Tests do without strict memory safety, because a test may well poke at raw bytes and the compiler's remarks would drown what it says.
let commonSettings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]
let productSettings: [SwiftSetting] = commonSettings + [.strictMemorySafety()]

/// For what runs in the simulator: thousands of simulated clusters belong to every test run, so it is quick in debug
/// builds, too.
let simulatedSettings: [SwiftSetting] = productSettings + [.unsafeFlags(["-O"], .when(configuration: .debug))]

extension Target.Dependency {
    static let argumentParser = product(name: "ArgumentParser", package: "swift-argument-parser")
    static let asyncAlgorithms = product(name: "AsyncAlgorithms", package: "swift-async-algorithms")
    static let collections = product(name: "Collections", package: "swift-collections")
    static let crypto = product(name: "Crypto", package: "swift-crypto")
    static let hummingbird = product(name: "Hummingbird", package: "hummingbird")
    static let hummingbirdCore = product(name: "HummingbirdCore", package: "hummingbird")
    static let hummingbirdHTTP2 = product(name: "HummingbirdHTTP2", package: "hummingbird")
    static let hummingbirdTLS = product(name: "HummingbirdTLS", package: "hummingbird")
    static let logging = product(name: "Logging", package: "swift-log")
    static let coreMetrics = product(name: "CoreMetrics", package: "swift-metrics")
    static let metrics = product(name: "Metrics", package: "swift-metrics")
    static let metricsTestKit = product(name: "MetricsTestKit", package: "swift-metrics")
    static let nioCore = product(name: "NIOCore", package: "swift-nio")
    static let nioHTTP1 = product(name: "NIOHTTP1", package: "swift-nio")
    static let nioPosix = product(name: "NIOPosix", package: "swift-nio")
    static let nioTLS = product(name: "NIOTLS", package: "swift-nio")
    static let nioSSL = product(name: "NIOSSL", package: "swift-nio-ssl")
    static let httpTypes = product(name: "HTTPTypes", package: "swift-http-types")
    static let serviceLifecycle = product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
    static let unixSignals = product(name: "UnixSignals", package: "swift-service-lifecycle")
    static let x509 = product(name: "X509", package: "swift-certificates")
    static let asn1 = product(name: "SwiftASN1", package: "swift-asn1")
    static let yams = product(name: "Yams", package: "Yams")
}

func library(
    _ name: String,
    _ dependencies: [Target.Dependency] = [],
    settings: [SwiftSetting] = productSettings
) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func executable(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: productSettings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: commonSettings)
}

let package = Package(
    name: "drover",
    products: [
        .executable(name: "drover-operator", targets: ["drover-operator"]),
        .executable(name: "drover-instance", targets: ["drover-instance"]),
        .executable(name: "drover-pooler", targets: ["drover-pooler"]),
        .executable(name: "drover-playground", targets: ["drover-playground"]),
        .executable(name: "kubectl-drover", targets: ["kubectl-drover"]),
        .executable(name: "drover-simulate", targets: ["drover-simulate"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.0"),
        .package(url: "https://github.com/apple/swift-async-algorithms", from: "1.1.0"),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.21.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // C
        .systemLibrary(name: "CLibCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CLibCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .target(name: "CLinux"),

        // Ground floor
        library("JSON"),
        library("JSONYAML", ["JSON", .yams]),
        library("EventLoop", ["CLibCrypto", "CLinux", .product(name: "HeapModule", package: "swift-collections")]),
        library("HTTPClient", ["CLibCurl", "EventLoop"]),
        library("PostgresClient", ["CLibPQ", "EventLoop", .logging]),

        library("MetricsText", ["EventLoop", .coreMetrics]),
        library("Workload", ["PostgresClient", "EventLoop", "CLinux"]),

        // Kubernetes
        library("KubernetesClient", ["HTTPClient", "EventLoop", "JSON", .logging, .metrics, .yams]),
        library(
            "KubernetesController",
            ["KubernetesClient", "EventLoop", "JSON", .collections, .logging, .metrics, .serviceLifecycle]
        ),

        // What Drover is
        library("PostgresClusterAPI", ["KubernetesClient", "JSON"]),
        library("InstanceAPI", ["HTTPClient", "PostgresClusterAPI", "JSON"]),
        library("PoolerAPI", ["InstanceAPI", "HTTPClient", "KubernetesClient", "PostgresClusterAPI"]),
        library("Fence", ["PostgresClusterAPI", "JSON"], settings: simulatedSettings),
        library(
            "ClusterPlanning",
            ["PostgresClusterAPI", "InstanceAPI", "PoolerAPI", "KubernetesClient", "JSON"],
            settings: simulatedSettings
        ),
        library("Certificates", [.x509, .asn1, .crypto]),

        // The parts
        library(
            "PodProgram",
            [
                "CLinux", "InstanceAPI", "EventLoop", .logging, .serviceLifecycle, .hummingbird, .hummingbirdCore,
                .nioSSL, .nioTLS, .nioCore, .x509, .asn1,
            ]
        ),
        library(
            "Operator",
            [
                "ClusterPlanning", "KubernetesController", "KubernetesClient", "PostgresClient", "PostgresClusterAPI",
                "InstanceAPI", "PoolerAPI", "Certificates", "MetricsText", "HTTPClient", "EventLoop", "JSON", .logging,
                .metrics,
                .serviceLifecycle, .asyncAlgorithms, .collections, .hummingbird, .nioCore, .crypto,
            ]
        ),
        library(
            "Instance",
            [
                "CLinux", "Fence", "PodProgram", "PoolerAPI", "KubernetesClient", "PostgresClient",
                "PostgresClusterAPI", "Certificates",
                "InstanceAPI",
                "HTTPClient", "EventLoop", "JSON", .logging, .metrics, .serviceLifecycle, .asyncAlgorithms,
                .hummingbird, .hummingbirdTLS, .nioSSL, .nioCore, .x509, .asn1, .crypto,
            ]
        ),
        library(
            "Pooler",
            [
                "CLinux", "PodProgram", "PoolerAPI", "InstanceAPI", "PostgresClusterAPI", "Certificates",
                "KubernetesController",
                "KubernetesClient", "PostgresClient", "EventLoop", .logging, .serviceLifecycle, .hummingbird,
                .hummingbirdTLS, .nioSSL, .nioCore,
            ]
        ),
        library(
            "CLI",
            [
                "ClusterPlanning", "PostgresClusterAPI", "KubernetesController", "KubernetesClient", "EventLoop",
                "JSON", .argumentParser, .logging, .unixSignals,
            ]
        ),

        // Playground
        library(
            "KubernetesServer",
            [
                "JSON", "Certificates", "EventLoop", "HTTPClient", .asyncAlgorithms, .collections, .crypto,
                .hummingbirdCore, .hummingbirdTLS, .httpTypes, .logging, .nioCore, .nioPosix, .nioSSL,
                .serviceLifecycle, .x509, .asn1,
            ]
        ),
        library(
            "ProcessNode",
            [
                "CLinux", "Certificates", "KubernetesClient", "KubernetesController", "HTTPClient", "EventLoop", "JSON",
                .asyncAlgorithms, .collections, .logging, .serviceLifecycle, .nioCore, .nioPosix, .nioSSL, .hummingbird,
                .hummingbirdTLS,
            ]
        ),

        library(
            "Playground",
            [
                "KubernetesServer", "ProcessNode", "KubernetesClient", "EventLoop", "JSON", "JSONYAML", .logging,
            ]
        ),

        library("SeededRandom", settings: simulatedSettings),

        library(
            "Chaos",
            [
                "SeededRandom", "Playground", "ProcessNode", "KubernetesClient", "PostgresClient", "PostgresClusterAPI",
                "EventLoop",
                "JSON", "CLinux", .logging,
            ]
        ),

        // A fleet on paper, for measuring the operator; in no image.
        library(
            "Fleet",
            [
                "InstanceAPI", "KubernetesController", "KubernetesClient", "PostgresClusterAPI", "EventLoop", "JSON",
                .logging, .nioCore, .nioPosix, .nioHTTP1, .nioSSL,
            ]
        ),

        // Simulation: the pure parts against a modelled world; in no image.
        library(
            "Simulation",
            [
                "SeededRandom", "ClusterPlanning", "Fence", "InstanceAPI", "KubernetesClient", "PostgresClusterAPI",
                "JSON",
            ],
            settings: simulatedSettings
        ),

        // Executables
        executable(
            "drover-operator",
            [
                "Operator", "ClusterPlanning", "KubernetesClient", "MetricsText", "EventLoop", .argumentParser,
                .logging, .metrics, .serviceLifecycle, .unixSignals,
            ]
        ),
        executable(
            "drover-instance",
            ["Instance", "KubernetesClient", "EventLoop", .argumentParser, .logging, .serviceLifecycle]
        ),
        executable("drover-simulate", ["Simulation", .argumentParser]),
        executable("drover-pooler", ["Pooler", .argumentParser, .logging]),
        executable("kubectl-drover", ["CLI"]),
        executable(
            "drover-playground",
            [
                "Playground", "Chaos", "Fleet", "KubernetesServer", "ProcessNode", "KubernetesClient",
                "KubernetesController", "PostgresClient", "PostgresClusterAPI", "Workload", "EventLoop", "HTTPClient",
                "JSON", "JSONYAML", "SeededRandom", "CLinux", .argumentParser, .logging,
                .serviceLifecycle, .unixSignals,
            ]
        ),

        // Tests
        .target(
            name: "ScriptedServer",
            dependencies: [.nioCore, .nioPosix],
            path: "Tests/ScriptedServer",
            swiftSettings: commonSettings
        ),
        .target(
            name: "RequestFuzzing",
            dependencies: ["Certificates", "JSON", "SeededRandom", .nioCore, .nioPosix, .nioSSL],
            path: "Tests/RequestFuzzing",
            swiftSettings: commonSettings
        ),
        tests("JSONTests", ["JSON", "RequestFuzzing", "SeededRandom"]),
        tests("JSONYAMLTests", ["JSONYAML", "JSON"]),
        tests("EventLoopTests", ["EventLoop"]),
        tests(
            "HTTPClientTests",
            [
                "HTTPClient", "CLibCrypto", "PodProgram", "ScriptedServer", "Certificates", "EventLoop", .hummingbird,
                .hummingbirdHTTP2, .hummingbirdTLS, .nioCore, .nioSSL,
            ]
        ),
        tests("PostgresClientTests", ["PostgresClient", "Workload", "EventLoop"]),
        tests("MetricsTextTests", ["MetricsText", .coreMetrics]),
        tests("WorkloadTests", ["Workload", "PostgresClient", "EventLoop"]),
        tests(
            "KubernetesClientTests",
            ["KubernetesClient", "HTTPClient", "ScriptedServer", "EventLoop", "JSON", .logging]
        ),
        tests(
            "KubernetesControllerTests",
            [
                "KubernetesController", "KubernetesClient", "KubernetesServer", "ScriptedServer", "EventLoop", "JSON",
                .logging,
            ]
        ),
        tests(
            "PostgresClusterAPITests",
            ["PostgresClusterAPI", "KubernetesClient", "KubernetesServer", "JSON", "JSONYAML"]
        ),
        tests(
            "InstanceAPITests",
            [
                "InstanceAPI", "PostgresClusterAPI", "Certificates", "HTTPClient", "EventLoop", "JSON", .nioCore,
                .nioPosix,
                .nioHTTP1, .nioSSL,
            ]
        ),
        tests("FenceTests", ["Fence", "PostgresClusterAPI", "SeededRandom", "JSON"]),
        tests(
            "ClusterPlanningTests",
            [
                "ClusterPlanning", "PostgresClusterAPI", "InstanceAPI", "KubernetesClient", "SeededRandom",
                "RequestFuzzing", "JSON",
            ]
        ),
        tests("SimulationTests", ["Simulation"]),
        tests("FleetTests", ["Fleet", "InstanceAPI", "PostgresClusterAPI", .nioCore]),
        tests("CertificatesTests", ["Certificates", "SeededRandom", .x509, .asn1, .crypto]),
        tests(
            "OperatorTests",
            [
                "Operator", "ClusterPlanning", "PostgresClusterAPI", "InstanceAPI", "PoolerAPI", "KubernetesServer",
                "Certificates", "HTTPClient", "KubernetesController", "KubernetesClient", "Playground", "EventLoop",
                "JSON",
                "JSONYAML", .crypto, .logging,
            ]
        ),
        tests(
            "PoolerTests",
            [
                "Pooler", "PoolerAPI", "PodProgram", "InstanceAPI", "PostgresClient", "PostgresClusterAPI",
                "Certificates", "RequestFuzzing",
                "HTTPClient", "KubernetesClient", "Workload", "EventLoop", .logging,
            ]
        ),
        tests(
            "InstanceTests",
            [
                "Instance", "PodProgram", "Fence", "InstanceAPI", "PostgresClient", "PostgresClusterAPI",
                "Certificates", "RequestFuzzing",
                "KubernetesServer",
                "KubernetesClient", "HTTPClient", "EventLoop", "JSON", .logging,
                .hummingbird, .nioCore,
            ]
        ),
        tests(
            "CLITests",
            [
                "CLI", "ClusterPlanning", "PostgresClusterAPI", "KubernetesServer", "KubernetesClient", "Playground",
                "EventLoop", "JSON", "JSONYAML", .argumentParser, .logging,
            ]
        ),
        tests(
            "KubernetesServerTests",
            ["KubernetesServer", "KubernetesClient", "SeededRandom", "EventLoop", "JSON", .crypto, .logging, .nioCore]
        ),
        tests(
            "ProcessNodeTests",
            [
                "ProcessNode", "KubernetesServer", "KubernetesClient", "Workload", "EventLoop", "HTTPClient", "JSON",
                .logging, .nioCore, .nioPosix, .serviceLifecycle,
            ]
        ),
        tests("ChaosTests", ["Chaos"]),
        tests(
            "ConformanceTests",
            ["KubernetesClient", "KubernetesServer", "KubernetesController", "EventLoop", "JSON", .logging, .yams]
        ),
        tests(
            "EndToEndTests",
            [
                "KubernetesClient", "PostgresClient", "PostgresClusterAPI", "InstanceAPI", "PoolerAPI", "Certificates",
                "HTTPClient", "EventLoop", "JSON", "JSONYAML", .logging,
            ]
        ),
    ],
    swiftLanguageModes: [.v6]
)
