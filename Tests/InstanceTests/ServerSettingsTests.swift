import PodProgram
import PostgresClusterAPI
import Testing

@testable import Instance

@Suite
struct ServerSettingsTests {
    private func settings(_ parameters: [String: String] = [:], hba: [String] = []) -> ServerSettings {
        ServerSettings(
            instance: "db-1",
            clusterName: "db",
            majorVersion: 15,
            listenAddress: "10.0.0.1",
            port: 5432,
            layout: VolumeLayout(root: "/v"),
            parameters: parameters,
            hbaRules: hba,
            systemUser: "drover"
        )
    }

    @Test
    func valuesCannotBreakOut() throws {
        let text = try self.settings(["search_path": "a'b\\c"]).postgresqlConf()
        #expect(text.contains("search_path = 'a''b\\\\c'\n"))
        #expect(throws: ServerSettings.RenderError.badValue(name: "search_path")) {
            try self.settings(["search_path": "x\nfsync = off"]).postgresqlConf()
        }
        #expect(throws: ServerSettings.RenderError.self) { try self.settings(["a b": "1"]).postgresqlConf() }
    }

    @Test
    func whatKeepsTheClusterSafeCannotBeChanged() throws {
        let text =
            try self.settings([
                "FSYNC": "off", "primary_conninfo": "host=evil", "archive_mode": "on", "data_directory": "/x",
                "wal_level": "minimal", "ssl": "off",
            ])
            .postgresqlConf()
        for line in [
            "fsync = 'off'", "FSYNC", "evil", "archive_mode = 'on'", "data_directory", "minimal", "ssl = 'off'",
        ] {
            #expect(!text.contains(line))
        }
        #expect(text.contains("fsync = 'on'"))
        #expect(text.contains("dynamic_shared_memory_type = 'sysv'"))
    }

    @Test
    func namesOfStandbysAreQuoted() throws {
        var settings = self.settings(["synchronous_standby_names": "*"])
        #expect(try settings.postgresqlConf().contains("synchronous_standby_names = ''\n"))
        settings.synchronous = SynchronousSetting(standbys: ["db-3", "db-2"], count: 1)
        #expect(
            try settings.postgresqlConf().contains("synchronous_standby_names = 'ANY 1 (\"db-2\", \"db-3\")'\n")
        )
    }

    @Test(
        "What was written is read back; with nobody to name, commits wait for one who never comes",
        arguments: [
            SynchronousSetting.none, .init(standbys: [], count: 1), .init(standbys: ["db-2"], count: 2),
            .init(standbys: ["db-2", "db-3"], count: 1),
        ]
    )
    func synchronousSettingsAreReadBack(setting: SynchronousSetting) {
        var settings = self.settings([:])
        settings.synchronous = setting
        let text = settings.synchronousStandbyNames
        #expect(text.isEmpty == (setting.count == 0))
        #expect(ServerSettings.synchronous(standbyNames: text) == setting)
    }

    @Test
    func aStandbyHasNoLessThanItsPrimary() throws {
        var settings = self.settings(["max_connections": "50"])
        settings.minimumLimits = .init(
            maxConnections: 200,
            maxWorkerProcesses: 8,
            maxWALSenders: 10,
            maxPreparedTransactions: 5,
            maxLocksPerTransaction: 64
        )
        let lines = try settings.postgresqlConf().split(separator: "\n")
        #expect(lines.last { $0.hasPrefix("max_connections") } == "max_connections = '200'")
        #expect(lines.contains("max_prepared_transactions = '5'"))
    }

    @Test
    func aStandbyGoesToTheAddressAndVerifiesTheName() throws {
        var settings = self.settings()
        settings.upstream = .init(host: "db-2", address: "10.0.0.2", port: 5432)
        let text = try settings.postgresqlConf()
        #expect(text.contains("host=''db-2'' hostaddr=''10.0.0.2''"))
        #expect(text.contains("sslmode=''verify-full''"))
        #expect(text.contains("primary_slot_name = 'db_1'"))
    }

    @Test
    func nobodyElseComesInAsOneOfOurs() throws {
        let text = try self.settings(hba: ["hostssl all all 0.0.0.0/0 trust"]).hbaConf()
        let lines = text.split(separator: "\n").map(String.init)
        let reject = try #require(lines.firstIndex { $0.contains("reject") && $0.hasPrefix("host all") })
        let rule = try #require(lines.firstIndex { $0.contains("trust") })
        #expect(reject < rule)
        for bad in ["local all all trust", "host all all all trust\nlocal all all trust", "include x", "host all \\"] {
            #expect(throws: ServerSettings.RenderError.badRule) { try self.settings(hba: [bad]).hbaConf() }
        }
    }

    @Test
    func onlyTheOperatorAndOwnInstancesMayAsk() {
        #expect(ClientName.mayAsk("drover_operator", cluster: "db"))
        #expect(ClientName.mayAsk("db-12", cluster: "db"))
        for name in ["drover_replica", "app", "db", "db-x", "other-1", "db-1-2", ""] {
            #expect(!ClientName.mayAsk(name, cluster: "db"))
        }
    }
}
