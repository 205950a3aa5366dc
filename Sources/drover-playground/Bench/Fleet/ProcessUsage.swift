internal import Foundation

/// What a process has taken so far, from `/proc`.
struct ProcessUsage: Sendable {
    /// Seconds of all its threads, in user and kernel mode.
    var cpuSeconds = 0.0
    /// Resident memory now.
    var residentKiB = 0
    /// The most it ever was.
    var peakKiB = 0
    /// Open files and sockets.
    var descriptors = 0
    var threads = 0

    /// Looks at a process; zeros when there is none.
    init(of process: Int32) {
        let directory = "/proc/\(process)"
        let status = (try? String(contentsOfFile: "\(directory)/status", encoding: .utf8)) ?? ""
        for line in status.split(separator: "\n") {
            let fields = line.split { $0 == " " || $0 == "\t" }
            guard fields.count >= 2, let number = Int(fields[1]) else { continue }
            switch fields[0] {
            case "VmRSS:": self.residentKiB = number
            case "VmHWM:": self.peakKiB = number
            case "Threads:": self.threads = number
            default: break
            }
        }
        // The name, in brackets, may have spaces in it.
        let stat = (try? String(contentsOfFile: "\(directory)/stat", encoding: .utf8)) ?? ""
        let fields = stat.split(separator: ")").last?.split(separator: " ") ?? []
        if fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) {
            self.cpuSeconds = (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
        }
        self.descriptors = (try? FileManager.default.contentsOfDirectory(atPath: "\(directory)/fd").count) ?? 0
    }
}
