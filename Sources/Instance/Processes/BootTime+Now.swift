internal import CLinux
package import Fence

extension BootTime {
    /// This machine's clock.
    package static var now: BootTime {
        BootTime(nanoseconds: drover_boot_time_nanoseconds())
    }
}
