internal import Fence
internal import PostgresClusterAPI

/// Who acknowledges commits: what the status demands, on disk and in force.
extension InstanceModel {
    private var demandedSynchronous: SynchronousSetting? {
        // Without a word from the API the settings of the last life stay.
        guard let status = self.status else { return nil }
        guard let demanded = status.synchronous, demanded.count > 0 else { return SynchronousSetting.none }
        return SynchronousSetting(
            standbys: demanded.standbys.filter { $0 != self.instance },
            count: demanded.count
        )
    }

    func writeSettings() {
        if let demanded = self.demandedSynchronous { self.volume.synchronous = demanded }
    }

    /// Writes the settings and has them read; the commits that wait see it at once.
    func reload() {
        self.after(self.world.random.between(1, 40) * World.millisecond) { self.reloadNow() }
    }

    func reloadNow() {
        guard !self.volume.isFull else { return }
        self.writeSettings()
        guard let postmaster = self.postmaster, postmaster.synchronous != self.volume.synchronous else { return }
        postmaster.synchronous = self.volume.synchronous
        self.note("commits need \(postmaster.synchronous.count) of \(postmaster.synchronous.standbys)")
        self.world.release(postmaster)
        self.publish()
    }
}
