internal import EventLoop

/// Lets one task wait until another says that something has changed, or until a time is over.
///
/// A kick that comes while nobody waits is kept, so none is lost. Use on the event loop's thread only.
final class Kicks {
    private var isKicked = false
    private var waiter: CheckedContinuation<Void, Never>?
    private var round: UInt64 = 0

    func kick() {
        if let waiter = self.waiter {
            self.waiter = nil
            waiter.resume()
        } else {
            self.isKicked = true
        }
    }

    nonisolated(nonsending) func wait(atMost duration: Duration, on eventLoop: EventLoop) async {
        if self.isKicked {
            self.isKicked = false
            return
        }
        self.round += 1
        let round = self.round
        var timer: EventLoop.TimerID?
        await withCheckedContinuation { continuation in
            // One waiter at a time; a second one would be a fault of ours, and must not be left hanging.
            self.waiter?.resume()
            self.waiter = continuation
            timer = eventLoop.schedule(after: duration) {
                guard self.round == round, let waiter = self.waiter else { return }
                self.waiter = nil
                waiter.resume()
            }
        }
        if let timer { eventLoop.cancel(timer) }
    }
}
