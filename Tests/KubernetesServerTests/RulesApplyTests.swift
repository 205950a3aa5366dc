import JSON
import SeededRandom
import Testing

@testable import KubernetesServer

struct RulesApplyTests {
    private let pod = FieldSchema.builtIn(group: "", kind: "Pod")
    private let empty: JSONValue = ["apiVersion": "v1", "kind": "Pod", "metadata": ["name": "p"]]

    private func writer(_ name: String, at time: String = "2026-01-01T00:00:00Z") -> ServerSideApply.Writer {
        ServerSideApply.Writer(manager: name, apiVersion: "v1", time: time)
    }

    private func configuration(_ text: String) throws -> JSONValue {
        var value = try JSONValue(parsing: text)
        value["apiVersion"] = "v1"
        value["kind"] = "Pod"
        value[path: ["metadata", "name"]] = "p"
        return value
    }

    private func apply(
        _ text: String,
        to live: JSONValue,
        by manager: String,
        force: Bool = false,
        at time: String = "2026-01-01T00:00:00Z"
    ) throws -> JSONValue {
        try ServerSideApply.apply(
            try self.configuration(text),
            to: live,
            schema: self.pod,
            writer: self.writer(manager, at: time),
            force: force
        )
    }

    private func conflict(applying text: String, to live: JSONValue, by manager: String) throws -> ApplyConflict? {
        do {
            _ = try self.apply(text, to: live, by: manager)
            return nil
        } catch ServerSideApply.Failure.conflict(let conflict) {
            return conflict
        }
    }

    private func fields(of object: JSONValue, _ manager: String) -> JSONValue? {
        object[path: ["metadata", "managedFields"]]?.arrayValue?.first { $0["manager"]?.stringValue == manager }?[
            "fieldsV1"
        ]
    }

    @Test func `apply owns exactly what it names`() throws {
        let result = try self.apply(
            #"{"metadata":{"labels":{"app":"x"},"finalizers":["f/x"]},"spec":{"containers":[{"name":"c","image":"i","ports":[{"containerPort":80}]}],"tolerations":[{"key":"k"}]}}"#,
            to: self.empty,
            by: "m"
        )
        #expect(
            self.fields(of: result, "m")
                == (try JSONValue(
                    parsing: #"""
                        {"f:metadata":{"f:labels":{"f:app":{}},"f:finalizers":{"v:\"f/x\"":{}}},
                         "f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:name":{},"f:image":{},
                           "f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}}},
                           "f:tolerations":{}}}
                        """#
                ))
        )
        #expect(result[path: ["spec", "containers"]]?[0]?["image"] == "i")
    }

    @Test func `applying the same again changes nothing, not even the time`() throws {
        let text = #"{"spec":{"nodeName":"n"}}"#
        let first = try self.apply(text, to: self.empty, by: "m")
        let second = try self.apply(text, to: first, by: "m", at: "2026-02-02T00:00:00Z")
        #expect(first == second)
    }

    @Test func `a field its only owner drops is removed, a shared one stays`() throws {
        var object = try self.apply(#"{"metadata":{"labels":{"a":"1","b":"2"}}}"#, to: self.empty, by: "one")
        object = try self.apply(#"{"metadata":{"labels":{"b":"2"}}}"#, to: object, by: "two")
        object = try self.apply(#"{"metadata":{}}"#, to: object, by: "one")
        #expect(object[path: ["metadata", "labels"]] == ["b": "2"])
        #expect(object[path: ["metadata", "name"]] == "p")
        object = try self.apply(#"{"metadata":{}}"#, to: object, by: "two")
        #expect(object[path: ["metadata", "labels"]] == nil)
        #expect(object[path: ["metadata", "name"]] == "p")
        #expect(object[path: ["metadata", "managedFields"]] == nil)
    }

    @Test func `another value for an owned field conflicts, force takes it`() throws {
        let object = try self.apply(#"{"metadata":{"labels":{"a":"1"}}}"#, to: self.empty, by: "one")
        let found = try self.conflict(applying: #"{"metadata":{"labels":{"a":"2"}}}"#, to: object, by: "two")
        let conflict = try #require(found)
        #expect(conflict.description == #"Apply failed with 1 conflict: conflict with "one": .metadata.labels.a"#)
        #expect(conflict.causes.first?["reason"] == "FieldManagerConflict")
        #expect(conflict.causes.first?["message"] == #"conflict with "one""#)
        #expect(conflict.causes.first?["field"] == ".metadata.labels.a")
        let forced = try self.apply(#"{"metadata":{"labels":{"a":"2"}}}"#, to: object, by: "two", force: true)
        #expect(forced[path: ["metadata", "labels", "a"]] == "2")
        #expect(self.fields(of: forced, "one") == nil)
        #expect(self.fields(of: forced, "two") != nil)
    }

    @Test func `list elements are owned by their keys and go with their owner`() throws {
        var object = try self.apply(
            #"{"spec":{"containers":[{"name":"a","image":"1"}]}}"#,
            to: self.empty,
            by: "one"
        )
        object = try self.apply(#"{"spec":{"containers":[{"name":"b","image":"2"}]}}"#, to: object, by: "two")
        #expect(object[path: ["spec", "containers"]]?.arrayValue?.map { $0["name"] } == ["a", "b"])
        object = try self.apply(#"{"spec":{"containers":[]}}"#, to: object, by: "one")
        #expect(object[path: ["spec", "containers"]]?.arrayValue?.map { $0["name"] } == ["b"])
    }

    @Test func `an update owns what it changes and takes it from appliers`() throws {
        let applied = try self.apply(#"{"metadata":{"labels":{"a":"1","b":"1"}}}"#, to: self.empty, by: "one")
        var changed = applied
        changed[path: ["metadata", "labels", "a"]] = "2"
        changed[path: ["metadata", "labels", "c"]] = "3"
        let result = ServerSideApply.update(changed, from: applied, schema: self.pod, writer: self.writer("curl"))
        #expect(self.fields(of: result, "one") == ["f:metadata": ["f:labels": ["f:b": [:]]]])
        #expect(self.fields(of: result, "curl") == ["f:metadata": ["f:labels": ["f:a": [:], "f:c": [:]]]])
        let found = try self.conflict(applying: #"{"metadata":{"labels":{"a":"1","b":"1"}}}"#, to: result, by: "one")
        let conflict = try #require(found)
        #expect(
            conflict.description == #"Apply failed with 1 conflict: conflict with "curl" using v1: .metadata.labels.a"#
        )
    }

    @Test func `creating by update owns added containers of fields too`() {
        let created: JSONValue = [
            "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "p", "labels": ["a": "1"]],
        ]
        let result = ServerSideApply.update(created, from: nil, schema: self.pod, writer: self.writer("curl"))
        #expect(self.fields(of: result, "curl") == ["f:metadata": ["f:labels": [".": [:], "f:a": [:]]]])
        #expect(result[path: ["metadata", "managedFields"]]?[0]?["operation"] == "Update")
    }

    @Test func `the status door has managers of its own and owns nothing else`() throws {
        let object = try self.apply(#"{"metadata":{"labels":{"a":"1"}}}"#, to: self.empty, by: "one")
        var changed = object
        changed["status"] = ["phase": "Running"]
        changed[path: ["spec", "nodeName"]] = "n"
        var writer = self.writer("one")
        writer.subresource = "status"
        writer.ignored = [["spec"]]
        let result = ServerSideApply.update(changed, from: object, schema: self.pod, writer: writer)
        let entries = result[path: ["metadata", "managedFields"]]?.arrayValue ?? []
        #expect(entries.count == 2)
        let status = entries.first { $0["subresource"]?.stringValue == "status" }
        #expect(status?["fieldsV1"]?["f:spec"] == nil)
        #expect(status?["fieldsV1"]?["f:status"] != nil)
    }

    @Test func `an unchanged update leaves managedFields alone, an empty list forgets them`() throws {
        let object = try self.apply(#"{"metadata":{"labels":{"a":"1"}}}"#, to: self.empty, by: "one")
        let same = ServerSideApply.update(
            object,
            from: object,
            schema: self.pod,
            writer: self.writer("curl", at: "2026-03-03T00:00:00Z")
        )
        #expect(same == object)
        var cleared = object
        cleared[path: ["metadata", "managedFields"]] = []
        let result = ServerSideApply.update(cleared, from: object, schema: self.pod, writer: self.writer("curl"))
        #expect(result[path: ["metadata", "managedFields"]] == nil)
    }

    @Test func `conditions are merged by type and keep foreign ones`() throws {
        var object = try self.apply(
            #"{"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#,
            to: self.empty,
            by: "one"
        )
        object = try self.apply(
            #"{"status":{"conditions":[{"type":"Other","status":"True"}]}}"#,
            to: object,
            by: "two"
        )
        object = try self.apply(
            #"{"status":{"conditions":[{"type":"Ready","status":"False"}]}}"#,
            to: object,
            by: "one"
        )
        let conditions = object[path: ["status", "conditions"]]?.arrayValue ?? []
        #expect(conditions.count == 2)
        #expect(conditions.contains(["type": "Ready", "status": "False"]))
    }

    @Test(arguments: [
        #"{"spec":{"containers":[{"image":"x"}]}}"#, #"{"spec":{"containers":[{"name":"a"},{"name":"a"}]}}"#,
        #"{"metadata":{"managedFields":[{"manager":"x"}]}}"#,
    ])
    func `a configuration that cannot be owned is refused`(text: String) {
        #expect(throws: ServerSideApply.Failure.self) { try self.apply(text, to: self.empty, by: "one") }
    }

    /// Whoever applies in whatever order: a second time is no change, and every owned field exists.
    @Test(arguments: 0..<20)
    func `random applies keep ownership sound`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var object = self.empty
        for _ in 0..<12 {
            let manager = "m\(Int.random(in: 0..<3, using: &generator))"
            var labels: [String: JSONValue] = [:]
            for key in ["a", "b", "c"] where Bool.random(using: &generator) {
                labels[key] = .string("\(Int.random(in: 0..<2, using: &generator))")
            }
            let containers = ["x", "y"].filter { _ in Bool.random(using: &generator) }
                .map { JSONValue.object(["name": .string($0), "image": "i"]) }
            var configuration: JSONValue = [:]
            // Empty ones are no fields of their own: ownership of an emptied object is not sound in the API either.
            if !labels.isEmpty { configuration[path: ["metadata", "labels"]] = .object(labels) }
            if !containers.isEmpty { configuration[path: ["spec", "containers"]] = .array(containers) }
            object = try self.apply(configuration.serialized(), to: object, by: manager, force: true)
            let again = try self.apply(configuration.serialized(), to: object, by: manager)
            #expect(again == object)
            let managed = try #require(ManagedFields(decoding: object[path: ["metadata", "managedFields"]]))
            let present = TypedObject.fields(of: object, schema: self.pod)
            #expect(managed.all.subtracting(present).isEmpty)
        }
    }
}
