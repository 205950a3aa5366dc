import KubernetesClient
import Testing

@testable import Operator

/// What is known of an object, whichever comes first: a watch, a list, or the answer to a request of our own.
@Suite(.timeLimit(.minutes(1)))
struct ObjectCacheTests {
    private let cache = ObjectCache<String>()
    private let cluster = ObjectKey(namespace: "shop", name: "orders")

    private func metadata(_ name: String, _ version: Int, uid: String = "u") -> ObjectMeta {
        var metadata = ObjectMeta(name: name, namespace: "shop")
        metadata.uid = uid
        metadata.resourceVersion = String(version)
        return metadata
    }

    @discardableResult
    private func store(_ version: Int, uid: String = "u") -> Bool {
        self.cache.store("v\(version)", metadata: self.metadata("orders-1", version, uid: uid), of: self.cluster)
    }

    private var known: String? { self.cache.entry("orders-1", of: self.cluster)?.value }

    private func list(_ names: [String], _ version: Int) -> Set<ObjectKey> {
        self.cache.retain(
            Set(names.map { ObjectKey(namespace: "shop", name: $0) }),
            resourceVersion: String(version)
        )
    }

    @Test
    func aLateAnswerBringsNoDeletedObjectBack() {
        self.store(10)
        self.cache.remove(metadata: self.metadata("orders-1", 13), of: self.cluster)
        #expect(!self.store(12))
        #expect(self.known == nil)
        #expect(self.store(14, uid: "another"))
    }

    @Test
    func aLateAnswerBringsNothingBackThatAListHasMissed() {
        self.store(10)
        #expect(self.list([], 13) == [self.cluster])
        #expect(!self.store(12), "it was there at 12, and is gone since 13 at the latest")
        #expect(self.known == nil)
        #expect(self.store(14, uid: "another"))
    }

    @Test
    func aListTakesAwayWhatOnlyAnAnswerHasTold() {
        #expect(self.list([], 9).isEmpty)
        self.store(10)
        #expect(self.list([], 13) == [self.cluster])
        #expect(self.known == nil && self.cache.clusterCount == 0)
    }

    @Test
    func aListLeavesWhatIsInItAndWhatWasMadeLater() {
        self.store(10)
        #expect(self.list(["orders-1"], 13).isEmpty)
        #expect(self.known == "v10")
        self.store(15)
        #expect(self.list([], 14).isEmpty, "the list is older")
        #expect(self.known == "v15")
    }

    @Test
    func theSameNameInAnotherNamespaceIsAnotherObject() {
        self.store(10)
        let present: Set = [ObjectKey(namespace: "lab", name: "orders-1")]
        #expect(self.cache.retain(present, resourceVersion: "13") == [self.cluster])
    }
}
