/// What is going to happen, in the order of time; what happens at the same moment, in the order it was put in.
struct Schedule {
    private struct Entry {
        var time: Int
        var order: Int
        var slot: Int

        func isBefore(_ other: Entry) -> Bool {
            self.time == other.time ? self.order < other.order : self.time < other.time
        }
    }

    private var heap: [Entry] = []
    private var actions: [(() -> Void)?] = []
    private var freeSlots: [Int] = []
    private var count = 0

    mutating func add(at time: Int, _ action: @escaping () -> Void) {
        let slot: Int
        if let free = self.freeSlots.popLast() {
            slot = free
            self.actions[slot] = action
        } else {
            slot = self.actions.count
            self.actions.append(action)
        }
        self.count += 1
        self.heap.append(Entry(time: time, order: self.count, slot: slot))
        self.rise(self.heap.count - 1)
    }

    mutating func next() -> (time: Int, action: () -> Void)? {
        guard let first = self.heap.first, let last = self.heap.popLast() else { return nil }
        if !self.heap.isEmpty {
            self.heap[0] = last
            self.sink()
        }
        guard let action = self.actions[first.slot] else { return nil }
        self.actions[first.slot] = nil
        self.freeSlots.append(first.slot)
        return (first.time, action)
    }

    /// Drops everything: the actions hold on to the world, and the world to them.
    mutating func removeAll() {
        self.heap = []
        self.actions = []
        self.freeSlots = []
    }

    private mutating func rise(_ start: Int) {
        var index = start
        let entry = self.heap[index]
        while index > 0 {
            let parent = (index - 1) / 2
            guard entry.isBefore(self.heap[parent]) else { break }
            self.heap[index] = self.heap[parent]
            index = parent
        }
        self.heap[index] = entry
    }

    private mutating func sink() {
        var index = 0
        let entry = self.heap[0]
        let count = self.heap.count
        while true {
            var child = 2 * index + 1
            guard child < count else { break }
            if child + 1 < count, self.heap[child + 1].isBefore(self.heap[child]) { child += 1 }
            guard self.heap[child].isBefore(entry) else { break }
            self.heap[index] = self.heap[child]
            index = child
        }
        self.heap[index] = entry
    }
}
