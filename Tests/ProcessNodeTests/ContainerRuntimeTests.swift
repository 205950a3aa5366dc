import EventLoop
import Foundation
import Glibc
import Testing

@testable import ProcessNode

/// With real bubblewrap.
@Suite(.timeLimit(.minutes(2)))
struct ContainerRuntimeTests {
    private func run(
        _ script: String,
        user: UInt32 = 5432,
        environment: [String: String] = [:],
        mounts: (String) throws -> [ContainerConfiguration.Mount] = { _ in [] },
        paths: (String) throws -> ContainerHostPaths = { _ in ContainerHostPaths() },
        readOnlyRoot: Bool = true,
        whileRunning body: (ContainerProcess) async throws -> Void = { _ in }
    ) async throws -> (code: Int32, log: String) {
        let bubblewrap = try #require(ContainerRuntime.findBubblewrap(), "bubblewrap is not installed")
        return try await withTemporaryDirectory { directory in
            try await withEventLoop { loop in
                let runtime = ContainerRuntime(eventLoop: loop, bubblewrap: bubblewrap)
                let log = try ContainerLog(path: directory + "/log")
                let process = try await runtime.start(
                    ContainerConfiguration(
                        hostname: "pod-1",
                        command: ["sh", "-c", script],
                        environment: environment,
                        userID: user,
                        groupID: user,
                        hasReadOnlyRoot: readOnlyRoot,
                        mounts: try mounts(directory)
                    ),
                    paths: try paths(directory),
                    id: "process://1",
                    log: log
                )
                defer { process.signal(SIGKILL) }
                try await body(process)
                let exit = try #require(await process.waitForExit())
                return (exit.code, LogLine.texts(in: try FileSystem.read(directory + "/log")).joined(separator: "\n"))
            }
        }
    }

    @Test func programIsPIDOneOfItsOwnUserWithoutPrivileges() async throws {
        let (code, log) = try await self.run(
            "echo $$ $(id -u) $(id -g) $(hostname); grep CapEff /proc/self/status; exit 3"
        )
        #expect(code == 3)
        #expect(log == "1 5432 5432 pod-1\nCapEff:\t0000000000000000")
    }

    @Test func onlyTheGivenEnvironmentIsSeen() async throws {
        let (_, log) = try await self.run("env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= | sort", environment: ["A": "b c"])
        #expect(log == "A=b c\nPATH=\(BubblewrapPlan.defaultPath)")
    }

    @Test func mountsExistAndNothingElseCanBeWritten() async throws {
        let (code, log) = try await self.run(
            """
            cat /usr/local/bin/tool /etc/drover/x/file; echo new > /var/lib/drover/data/made || exit 5
            for place in / /usr /etc /etc/drover/x /tmp /run /var/lib /home; do
              (echo x > $place/drover-test) 2>/dev/null && echo "could write $place"
            done
            id -un
            """,
            mounts: { directory in
                try FileSystem.makeDirectory(directory + "/v")
                try FileSystem.makeDirectory(directory + "/s")
                try FileSystem.write(Array("secret\n".utf8), to: directory + "/s/file")
                return [
                    .init(source: directory + "/v", path: "/var/lib/drover/data"),
                    .init(source: directory + "/s", path: "/etc/drover/x", isReadOnly: true),
                ]
            },
            paths: { directory in
                try FileSystem.makeDirectory(directory + "/bin")
                try FileSystem.write(Array("tool\n".utf8), to: directory + "/bin/tool")
                try FileSystem.write(Array("somebody:x:5432:5432::/:/bin/sh\n".utf8), to: directory + "/passwd")
                return ContainerHostPaths(executables: directory + "/bin", passwd: directory + "/passwd")
            }
        )
        #expect(code == 0)
        #expect(log == "tool\nsecret\nsomebody")
    }

    @Test func termSignalReachesTheProgram() async throws {
        let (code, log) = try await self.run(
            "trap 'echo stopping; exit 9' TERM; echo ready; while :; do sleep 0.05; done",
            whileRunning: { process in
                try await eventually { text(at: process.log.path).contains("ready") }
                process.signal(SIGTERM)
            }
        )
        #expect(code == 9)
        #expect(log == "ready\nstopping")
    }

    @Test func killTakesEveryProcessOfTheContainer() async throws {
        let marker = "\(UInt32.random(in: 100_000..<1_000_000_000))"
        let (code, _) = try await self.run(
            "sleep \(marker) & setsid sleep \(marker) & echo ready; sleep \(marker)",
            whileRunning: { process in
                try await eventually { text(at: process.log.path).contains("ready") }
                process.signal(SIGKILL)
            }
        )
        #expect(code == 137)
        try await eventually { !Self.isRunning(["sleep", marker]) }
    }

    @Test func cancelledWaitEnds() async throws {
        _ = try await self.run(
            "sleep 1000",
            whileRunning: { process in
                let waiter = Task { await process.waitForExit() }
                waiter.cancel()
                #expect(await waiter.value == nil)
                process.signal(SIGKILL)
            }
        )
    }

    @Test func logIsRotatedAndCutIntoLines() async throws {
        try await withTemporaryDirectory { directory in
            let log = try ContainerLog(path: directory + "/log", limit: 200)
            for number in 1...20 {
                log.append(Array("line \(number)\nhalf".utf8), from: .stdout)
                log.append(Array(" and half\n".utf8), from: .stdout)
            }
            log.append(Array("end".utf8), from: .stderr)
            log.finish()
            let newest = LogLine.texts(in: try FileSystem.read(directory + "/log"))
            let older = LogLine.texts(in: try FileSystem.read(directory + "/log.1"))
            #expect(newest.last == "end")
            #expect((older + newest).suffix(3) == ["line 20", "half and half", "end"])
        }
    }

    static func isRunning(_ command: [String]) -> Bool {
        let wanted = Array((command.joined(separator: "\0") + "\0").utf8)
        return LiveHostFiles().names(in: "/proc")
            .contains { name in
                Int(name) != nil && (try? FileSystem.read("/proc/\(name)/cmdline")) == wanted
            }
    }
}
