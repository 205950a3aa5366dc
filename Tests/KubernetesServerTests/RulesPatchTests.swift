import JSON
import Testing

@testable import KubernetesServer

struct RulesPatchTests {
    private func json(_ text: String) throws -> JSONValue { try JSONValue(parsing: text) }

    /// The examples of RFC 7386, appendix A.
    @Test(arguments: [
        (#"{"a":"b"}"#, #"{"a":"c"}"#, #"{"a":"c"}"#),
        (#"{"a":"b"}"#, #"{"b":"c"}"#, #"{"a":"b","b":"c"}"#),
        (#"{"a":"b"}"#, #"{"a":null}"#, #"{}"#),
        (#"{"a":["b"]}"#, #"{"a":"c"}"#, #"{"a":"c"}"#),
        (#"{"a":"c"}"#, #"{"a":["b"]}"#, #"{"a":["b"]}"#),
        (#"{"a":{"b":"c"}}"#, #"{"a":{"b":"d","c":null}}"#, #"{"a":{"b":"d"}}"#),
        (#"{"a":[{"b":"c"}]}"#, #"{"a":[1]}"#, #"{"a":[1]}"#),
        (#"{"e":null}"#, #"{"a":1}"#, #"{"e":null,"a":1}"#),
        (#"[1,2]"#, #"{"a":"b","c":null}"#, #"{"a":"b"}"#),
        (#"{}"#, #"{"a":{"bb":{"ccc":null}}}"#, #"{"a":{"bb":{}}}"#),
    ])
    func `merge patch follows the RFC`(document: String, patch: String, expected: String) throws {
        #expect(MergePatch.apply(try self.json(patch), to: try self.json(document)) == (try self.json(expected)))
    }

    @Test(arguments: [
        (#"{"a":1}"#, #"[{"op":"add","path":"/b","value":2}]"#, #"{"a":1,"b":2}"#),
        (#"{"a":[1,3]}"#, #"[{"op":"add","path":"/a/1","value":2}]"#, #"{"a":[1,2,3]}"#),
        (#"{"a":[1]}"#, #"[{"op":"add","path":"/a/-","value":2}]"#, #"{"a":[1,2]}"#),
        (#"{"a":{"b":1}}"#, #"[{"op":"remove","path":"/a/b"}]"#, #"{"a":{}}"#),
        (#"{"a":1}"#, #"[{"op":"test","path":"/a","value":1},{"op":"replace","path":"/a","value":2}]"#, #"{"a":2}"#),
        (#"{"a":1}"#, #"[{"op":"move","from":"/a","path":"/b"}]"#, #"{"b":1}"#),
        (#"{"a":{"x":1}}"#, #"[{"op":"copy","from":"/a","path":"/b"}]"#, #"{"a":{"x":1},"b":{"x":1}}"#),
        (#"{"a/b":{"m~n":1}}"#, #"[{"op":"replace","path":"/a~1b/m~0n","value":2}]"#, #"{"a/b":{"m~n":2}}"#),
    ])
    func `json patch performs its operations`(document: String, patch: String, expected: String) throws {
        let result = try JSONPatch.apply(try self.json(patch), to: try self.json(document))
        #expect(result == (try self.json(expected)))
    }

    @Test(arguments: [
        (#"[{"op":"test","path":"/a","value":2}]"#, PatchError.Kind.unprocessable),
        (#"[{"op":"remove","path":"/x"}]"#, .unprocessable),
        (#"[{"op":"replace","path":"/x","value":1}]"#, .unprocessable),
        (#"[{"op":"add","path":"/l/7","value":1}]"#, .unprocessable),
        (#"[{"op":"add","path":"a","value":1}]"#, .malformed),
        (#"[{"op":"fly","path":"/a"}]"#, .malformed),
        (#"{"op":"test"}"#, .malformed),
        (#"[{"op":"add","path":"/b"}]"#, .malformed),
    ])
    func `json patch refuses what does not fit`(patch: String, kind: PatchError.Kind) throws {
        let document = try self.json(#"{"a":1,"l":[1]}"#)
        let patch = try self.json(patch)
        #expect(throws: PatchError.self) { try JSONPatch.apply(patch, to: document) }
        do {
            _ = try JSONPatch.apply(patch, to: document)
        } catch {
            #expect(error.kind == kind)
        }
    }

    @Test(arguments: [
        // Containers are merged by name, the rest stays.
        (
            "Pod", #"{"spec":{"containers":[{"name":"a","image":"x"},{"name":"b","image":"y"}]}}"#,
            #"{"spec":{"containers":[{"name":"b","image":"z"}]}}"#,
            #"{"spec":{"containers":[{"name":"a","image":"x"},{"name":"b","image":"z"}]}}"#
        ),
        (
            "Pod", #"{"spec":{"containers":[{"name":"a"},{"name":"b"}]}}"#,
            #"{"spec":{"containers":[{"name":"a","$patch":"delete"}]}}"#, #"{"spec":{"containers":[{"name":"b"}]}}"#
        ),
        (
            "Pod", #"{"spec":{"containers":[{"name":"a"},{"name":"b"}]}}"#,
            #"{"spec":{"containers":[{"name":"c"},{"$patch":"replace"}]}}"#, #"{"spec":{"containers":[{"name":"c"}]}}"#
        ),
        // Tolerations and taints have no key: the list is replaced.
        (
            "Pod", #"{"spec":{"tolerations":[{"key":"a"}]}}"#, #"{"spec":{"tolerations":[{"key":"b"}]}}"#,
            #"{"spec":{"tolerations":[{"key":"b"}]}}"#
        ),
        (
            "Node", #"{"spec":{"taints":[{"key":"a"}]}}"#, #"{"spec":{"taints":null}}"#, #"{"spec":{}}"#
        ),
        (
            "Node", #"{"status":{"conditions":[{"type":"Ready","status":"True"},{"type":"Disk","status":"False"}]}}"#,
            #"{"status":{"$setElementOrder/conditions":[{"type":"Disk"},{"type":"Ready"}],"conditions":[{"type":"Ready","status":"Unknown"}]}}"#,
            #"{"status":{"conditions":[{"type":"Disk","status":"False"},{"type":"Ready","status":"Unknown"}]}}"#
        ),
        // Finalizers are a set.
        (
            "Pod", #"{"metadata":{"finalizers":["a","b"]}}"#, #"{"metadata":{"finalizers":["b","c"]}}"#,
            #"{"metadata":{"finalizers":["a","b","c"]}}"#
        ),
        (
            "Pod", #"{"metadata":{"finalizers":["a","b"]}}"#,
            #"{"metadata":{"$deleteFromPrimitiveList/finalizers":["a"]}}"#, #"{"metadata":{"finalizers":["b"]}}"#
        ),
        // A volume that changes its source keeps only the named keys.
        (
            "Pod", #"{"spec":{"volumes":[{"name":"v","emptyDir":{}}]}}"#,
            #"{"spec":{"volumes":[{"$retainKeys":["name","secret"],"name":"v","secret":{"secretName":"s"}}]}}"#,
            #"{"spec":{"volumes":[{"name":"v","secret":{"secretName":"s"}}]}}"#
        ),
        (
            "Service", #"{"spec":{"a":{"x":1}}}"#, #"{"spec":{"a":{"$patch":"replace","y":2}}}"#,
            #"{"spec":{"a":{"y":2}}}"#
        ),
        ("Service", #"{"spec":{"a":{"x":1}}}"#, #"{"spec":{"a":{"$patch":"delete"}}}"#, #"{"spec":{}}"#),
        (
            "Service", #"{"spec":{"ports":[{"name":"a","port":1,"targetPort":1}]}}"#,
            #"{"spec":{"ports":[{"port":1,"targetPort":2}]}}"#,
            #"{"spec":{"ports":[{"name":"a","port":1,"targetPort":2}]}}"#
        ),
    ])
    func `strategic merge knows the lists of built-in kinds`(
        kind: String,
        document: String,
        patch: String,
        expected: String
    ) throws {
        let schema = FieldSchema.builtIn(group: "", kind: kind)
        let result = try StrategicMergePatch.apply(try self.json(patch), to: try self.json(document), schema: schema)
        #expect(result == (try self.json(expected)))
    }

    @Test(arguments: [
        #"{"spec":{"containers":[{"image":"x"}]}}"#, #"{"$patch":"fly"}"#, #"{"$other":1}"#, #"[]"#,
    ])
    func `strategic merge refuses what it cannot place`(patch: String) throws {
        let schema = FieldSchema.builtIn(group: "", kind: "Pod")
        let patch = try self.json(patch)
        #expect(throws: PatchError.self) { try StrategicMergePatch.apply(patch, to: [:], schema: schema) }
    }
}
