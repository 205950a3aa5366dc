import Foundation
import JSON
import JSONYAML
import KubernetesClient
import PostgresClusterAPI
import Testing

@Suite struct CustomResourceTests {
    let resource: CustomResource

    init() throws { self.resource = try CustomResource() }

    @Test func namesWhatSwiftNames() {
        let document = self.resource.document
        let type = PostgresCluster.resourceType
        #expect(document[path: ["metadata", "name"]] == .string("\(type.plural).\(type.group)"))
        #expect(document[path: ["spec", "group"]] == .string(type.group))
        #expect(document[path: ["spec", "names", "kind"]] == .string(type.kind))
        #expect(document[path: ["spec", "names", "plural"]] == .string(type.plural))
        #expect(document[path: ["spec", "names", "shortNames"]] == ["pgc"])
        #expect(document[path: ["spec", "scope"]] == "Namespaced")
        #expect(self.resource.version["name"] == .string(type.version))
    }

    @Test func hasItsColumnsAndSubresources() {
        let columns = self.resource.version["additionalPrinterColumns"]?.arrayValue?
            .compactMap { $0["name"]?.stringValue }
        #expect(columns == ["Instances", "Ready", "Primary", "Node", "Condition", "Age"])
        #expect(self.resource.version[path: ["subresources", "status"]] == [:])
        #expect(
            self.resource.version[path: ["subresources", "scale"]] == [
                "specReplicasPath": ".spec.instances", "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            ]
        )
    }

    @Test func defaultsAreThoseOfSwift() throws {
        let bare = try cluster().decode(PostgresCluster.self)
        let defaulted = try self.resource.admit(cluster()).object.decode(PostgresCluster.self)
        #expect(defaulted.spec != bare.spec)
        #expect(defaulted.spec.resolved == bare.spec.resolved)
        // Every default of the schema is written out, so that none can be changed on one side only.
        #expect(defaulted.spec.instances == SpecDefaults.instances)
        #expect(defaulted.spec.postgres?.version == SpecDefaults.postgresVersion)
        #expect(defaulted.spec.placement?.topologyKey == SpecDefaults.topologyKey)
        #expect(defaulted.spec.replication?.synchronous?.mode == SpecDefaults.synchronousMode)
        #expect(defaulted.spec.replication?.synchronous?.count == SpecDefaults.synchronousCount)
        #expect(defaulted.spec.replication?.synchronous?.durability == SpecDefaults.synchronousDurability)
        #expect(defaulted.spec.switchover?.maximumLagBytes == SpecDefaults.switchoverMaximumLag)
        #expect(defaulted.spec.switchover?.prepareTimeoutSeconds == SpecDefaults.prepareTimeoutSeconds)
        #expect(defaulted.spec.switchover?.demoteTimeoutSeconds == SpecDefaults.demoteTimeoutSeconds)
        #expect(defaulted.spec.switchover?.warmCache == SpecDefaults.warmCache)
        #expect(defaulted.spec.failover?.leaseDurationSeconds == SpecDefaults.leaseDurationSeconds)
        #expect(defaulted.spec.failover?.maximumLagBytes == SpecDefaults.failoverMaximumLag)
        #expect(defaulted.spec.maintenance?.freshNodeWaitSeconds == SpecDefaults.freshNodeWaitSeconds)
        #expect(defaulted.spec.bootstrap?.database == SpecDefaults.database)
        #expect(defaulted.spec.bootstrap?.owner == SpecDefaults.owner)
        #expect(defaulted.spec.bootstrap?.initdb?.encoding == SpecDefaults.encoding)
        #expect(defaulted.spec.bootstrap?.initdb?.locale == SpecDefaults.locale)
        #expect(defaulted.spec.bootstrap?.initdb?.dataChecksums == SpecDefaults.dataChecksums)
    }

    @Test(arguments: [
        ("spec.instances", SchemaLimits.instances),
        ("spec.replication.synchronous.count", SchemaLimits.synchronousCount),
        ("spec.switchover.prepareTimeoutSeconds", SchemaLimits.prepareTimeoutSeconds),
        ("spec.switchover.demoteTimeoutSeconds", SchemaLimits.demoteTimeoutSeconds),
        ("spec.failover.leaseDurationSeconds", SchemaLimits.leaseDurationSeconds),
        ("spec.maintenance.freshNodeWaitSeconds", SchemaLimits.freshNodeWaitSeconds),
    ])
    func rangesAreThoseOfSwift(_ path: String, _ range: ClosedRange<Int>) {
        #expect(self.resource.part(path)?["minimum"]?.intValue == Int64(range.lowerBound))
        #expect(self.resource.part(path)?["maximum"]?.intValue == Int64(range.upperBound))
    }

    @Test(arguments: [
        ("metadata.name", "maxLength", SchemaLimits.clusterName),
        ("spec.postgres.image", "maxLength", SchemaLimits.image),
        ("spec.postgres.parameters", "maxProperties", SchemaLimits.parameters),
        ("spec.postgres.hba", "maxItems", SchemaLimits.hbaLines),
        ("spec.postgres.hba.[]", "maxLength", SchemaLimits.hbaLine),
        ("spec.storage.size", "maxLength", SchemaLimits.quantity),
        ("spec.storage.storageClassName", "maxLength", SchemaLimits.name),
        ("spec.placement.topologyKey", "maxLength", SchemaLimits.labelKey),
        ("spec.placement.tolerations", "maxItems", SchemaLimits.tolerations),
        ("spec.placement.tolerations.[].value", "maxLength", SchemaLimits.labelValue),
        ("spec.maintenance.hold", "maxLength", SchemaLimits.hold),
        ("spec.bootstrap.database", "maxLength", SchemaLimits.identifier),
        ("spec.bootstrap.owner", "maxLength", SchemaLimits.identifier),
        ("status.conditions.[].message", "maxLength", SchemaLimits.message),
        ("status.instances", "maxItems", SchemaLimits.statusInstances),
        ("status.members", "maxItems", SchemaLimits.statusInstances),
    ])
    func boundsAreThoseOfSwift(_ path: String, _ keyword: String, _ bound: Int) {
        #expect(self.resource.part(path)?[keyword]?.intValue == Int64(bound))
    }

    @Test func versionsAreThoseOfSwift() {
        let versions = self.resource.part("spec.postgres.version")?["enum"]?.arrayValue?.compactMap(\.intValue)
        #expect(versions == SchemaLimits.postgresVersions.map(Int64.init))
    }

    @Test func refusesTheSameSettingsAsSwift() throws {
        let rules = try #require(
            self.resource.part("spec.postgres.parameters")?["x-kubernetes-validations"]?.arrayValue
        )
        var names: [String] = []
        for (reason, owned) in OwnedParameters.reasons {
            let rule = try #require(rules.first { $0["message"]?.stringValue?.hasSuffix(reason) ?? false }, "\(reason)")
            let listed = quoted(in: rule["rule"]?.stringValue ?? "")
            #expect(listed == owned.sorted())
            names += listed
        }
        #expect(names.sorted() == OwnedParameters.names)
        #expect(Set(names).count == names.count)
    }

    @Test func everythingHasABound() {
        // Otherwise a real API server finds the rules too costly, or a spec of megabytes gets in.
        var unbounded: [String] = []
        func visit(_ schema: JSONValue, _ path: String) {
            let type = schema["type"]?.stringValue
            let isText = type == "string" || schema["x-kubernetes-int-or-string"] == true
            if isText, schema["maxLength"] == nil, schema["enum"] == nil { unbounded.append(path) }
            if type == "array", schema["maxItems"] == nil { unbounded.append(path) }
            if schema["additionalProperties"] != nil, schema["maxProperties"] == nil { unbounded.append(path) }
            if let items = schema["items"] { visit(items, "\(path)[]") }
            if let values = schema["additionalProperties"] { visit(values, "\(path){}") }
            for (name, property) in schema["properties"]?.objectValue ?? [:] {
                visit(property, "\(path).\(name)")
            }
        }
        for root in ["spec", "status"] {
            visit(self.resource.part(root) ?? .null, root)
        }
        #expect(unbounded == [])
    }

    @Test func aFullStatusFitsTheSchema() throws {
        let now = Timestamp(Date(timeIntervalSince1970: 1_800_000_000), precision: .microseconds)
        var status = PostgresClusterStatus()
        status.term = .max
        let names = Names(cluster: String(repeating: "a", count: SchemaLimits.clusterName))
        status.members = [names.instance(1), names.instance(999_999)]
        status.primary = status.members[0]
        status.instances = status.members.map {
            .init(
                name: $0,
                podUID: "0f6d6a0e-8f1b-4f0e-9d55-0d1d6a0e8f1b",
                address: "fd00:aaaa:bbbb:cccc:dddd:eeee:ffff:0000",
                node: String(repeating: "n", count: 253),
                zone: "zone-a",
                role: .primary,
                timeline: .max,
                syncState: "potential",
                ready: true
            )
        }
        status.selector = Labels.instancesSelector(cluster: names.cluster)
        status.systemIdentifier = String(UInt64.max)
        for kind in TransitionKind.allCases {
            for phase in TransitionPhase.allCases {
                status.transition = Transition(
                    kind: kind,
                    from: status.members[0],
                    to: status.members[1],
                    reason: .demoteTimedOut,
                    phase: phase,
                    startedAt: now,
                    phaseStartedAt: now,
                    shutdownLSN: LSN(rawValue: .max)
                )
                status.lastTransition = FinishedTransition(
                    kind: kind,
                    from: status.members[0],
                    to: status.members[1],
                    reason: .nodeCordoned,
                    finishedAt: now,
                    writeGapMilliseconds: 133,
                    stopRequestedAt: now,
                    spans: TransitionStep.allCases.map {
                        let part = TransitionPart(
                            name: String(repeating: "P", count: TransitionPart.longestName),
                            milliseconds: .max
                        )
                        let parts = [TransitionPart](repeating: part, count: TransitionPart.mostParts)
                        return TransitionSpan(step: $0, startMilliseconds: 0, milliseconds: 133, parts: parts)
                    }
                )
                for type in ConditionType.all {
                    for reason in ConditionReason.all {
                        status.conditions.set(
                            type,
                            .unknown,
                            reason: reason,
                            message: String(repeating: "m", count: 5000),
                            observedGeneration: 1,
                            now: now
                        )
                    }
                }
                let admitted = self.resource.admit(cluster("status", try JSONValue(encoding: status)))
                #expect(admitted.problems == [])
                #expect(admitted.unknown == [])
                #expect(admitted.object["status"] == (try JSONValue(encoding: status)))
            }
        }
    }

    @Test func theExampleIsValid() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "manifests/examples/orders.yaml")
        let example = try #require(try JSONValue.documents(yaml: String(contentsOf: file, encoding: .utf8)).first)
        let admitted = self.resource.admit(example)
        #expect(admitted.problems == [] && admitted.unknown == [])
        let read = try admitted.object.decode(PostgresCluster.self)
        #expect(read.validate() == [])
        #expect(read.metadata.name == "orders")
        #expect(read.spec.resolved.instances == 3)
    }
}

/// What stands between single quotes in a rule.
private func quoted(in rule: String) -> [String] {
    rule.split(separator: "'", omittingEmptySubsequences: false).enumerated()
        .filter { $0.offset % 2 == 1 }.map { String($0.element) }.sorted()
}
