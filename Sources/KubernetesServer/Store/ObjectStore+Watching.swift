internal import JSON
internal import Synchronization

extension ObjectStore {
    /// Follows the changes of selected objects until the stream's consumer goes away.
    ///
    /// An object that begins or ceases to match shows as `added` or `deleted`, as on the real server. The stream ends
    /// when its consumer is too far behind, when history is compacted for a test, or when the resource vanishes: list
    /// and watch again then.
    /// - Throws: 410 when the history needed is gone, 404 for a resource that does not exist.
    package func watch(
        _ resource: GroupResource,
        namespace: String? = nil,
        selector: ObjectSelector = .everything,
        from start: WatchStart = .existing
    ) throws(StatusError) -> AsyncStream<WatchEvent> {
        try self.openWatch(resource, namespace: namespace, selector: selector, from: start).events
    }

    /// The same, with a way to end the stream from elsewhere.
    func openWatch(
        _ resource: GroupResource,
        namespace: String?,
        selector: ObjectSelector,
        from start: WatchStart
    ) throws(StatusError) -> (events: AsyncStream<WatchEvent>, stop: @Sendable () -> Void) {
        let (stream, continuation) = AsyncStream.makeStream(
            of: WatchEvent.self,
            bufferingPolicy: .bufferingOldest(self.configuration.watchBufferLimit)
        )
        let watcher = Watcher(namespace: namespace, selector: selector, continuation: continuation)
        let result: Result<UInt64, StatusError> = self.state.withLock { state in
            guard let table = state.tables[resource] else { return .failure(.notFound(resource, "")) }
            guard !state.isClosed else {
                return .failure(
                    StatusError(code: 503, reason: "ServiceUnavailable", message: "the server is shutting down")
                )
            }
            switch start {
            case .existing, .existingThenBookmark:
                for (_, object) in table.objects.sorted(by: { $0.key < $1.key })
                where (namespace == nil || object.key.namespace == namespace) && selector.matches(object.value) {
                    continuation.yield(.added(object))
                }
                if start == .existingThenBookmark {
                    continuation.yield(
                        .bookmark(resourceVersion: state.resourceVersion, isEndOfInitialEvents: true)
                    )
                }
            case .after(let version):
                guard version >= table.compactedVersion else {
                    return .failure(
                        .expired("too old resource version: \(version) (\(table.compactedVersion + 1))")
                    )
                }
                let first = table.history.partitioningIndex { $0.resourceVersion > version }
                for change in table.history[first...] {
                    if let event = Self.event(change, for: watcher) { continuation.yield(event) }
                }
            }
            state.nextWatcher += 1
            state.tables[resource]?.watchers[state.nextWatcher] = watcher
            return .success(state.nextWatcher)
        }
        let id = try result.get()
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { state in _ = state.tables[resource]?.watchers.removeValue(forKey: id) }
        }
        return (events: stream, stop: { continuation.finish() })
    }

    /// Tells every watcher how far it has come; called from time to time by the server.
    package func sendBookmarks() {
        self.state.withLock { state in
            for table in state.tables.values {
                for watcher in table.watchers.values {
                    watcher.continuation.yield(
                        .bookmark(resourceVersion: state.resourceVersion, isEndOfInitialEvents: false)
                    )
                }
            }
        }
    }

    /// Forgets all history, so that watches from older versions answer 410; for tests.
    package func compact() {
        self.state.withLock { state in
            for resource in state.tables.keys {
                state.tables[resource]?.history.removeAll()
                state.tables[resource]?.compactedVersion = state.resourceVersion
            }
        }
    }

    /// How many watches of a resource are open.
    package func watcherCount(of resource: GroupResource) -> Int {
        self.state.withLock { $0.tables[resource]?.watchers.count ?? 0 }
    }

    /// Ends every watch and lets no new one begin, so that nobody keeps a server from shutting down.
    package func close() {
        self.state.withLock { $0.isClosed = true }
        self.endWatches()
    }

    /// Ends every watch, as a restart of an API server does; for tests.
    package func endWatches() {
        let watchers = self.state.withLock { state in
            var watchers: [Watcher] = []
            for resource in state.tables.keys {
                watchers += state.tables[resource]?.watchers.values.map { $0 } ?? []
                state.tables[resource]?.watchers.removeAll()
            }
            return watchers
        }
        // Outside the lock: finishing calls the termination handler, which takes it.
        for watcher in watchers {
            watcher.continuation.finish()
        }
    }

    static func publish(
        _ change: Change,
        of resource: GroupResource,
        configuration: Configuration,
        in state: inout State
    ) {
        let limit = configuration.historyLimit
        state.tables[resource]?.history.append(change)
        if let count = state.tables[resource]?.history.count, count > limit + limit / 4 {
            // Now and then a quarter at once: cheaper than one per change.
            let dropped = count - limit
            if let last = state.tables[resource]?.history[dropped - 1].resourceVersion {
                state.tables[resource]?.compactedVersion = last
            }
            state.tables[resource]?.history.removeFirst(dropped)
        }
        guard let table = state.tables[resource] else { return }
        for (id, watcher) in table.watchers {
            guard let event = Self.event(change, for: watcher) else { continue }
            if case .dropped = watcher.continuation.yield(event) {
                state.tables[resource]?.watchers[id] = nil
                // Finishing takes the lock held here (termination handler), so it happens apart.
                Task { watcher.continuation.finish() }
            }
        }
    }

    private static func event(_ change: Change, for watcher: Watcher) -> WatchEvent? {
        if let namespace = watcher.namespace, change.key?.namespace != namespace { return nil }
        let didMatch = change.old.map { watcher.selector.matches($0.value) } ?? false
        guard let new = change.new else {
            guard didMatch, let removed = change.removed else { return nil }
            return .deleted(removed)
        }
        let matches = watcher.selector.matches(new.value)
        switch (didMatch, matches) {
        case (false, false): return nil
        case (false, true): return .added(new)
        case (true, true): return .modified(new)
        case (true, false):
            guard let old = change.old else { return nil }
            // The last state that matched, at the version at which it ceased to.
            var value = old.value
            value[path: ["metadata", "resourceVersion"]] = .string(String(new.resourceVersion))
            return .deleted(StoredObject(key: old.key, value: value, resourceVersion: new.resourceVersion))
        }
    }
}

extension Array {
    /// The first index at which `predicate` holds, in an array where it holds for a suffix.
    func partitioningIndex(where predicate: (Element) -> Bool) -> Int {
        var low = 0
        var high = self.count
        while low < high {
            let middle = (low + high) / 2
            if predicate(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
