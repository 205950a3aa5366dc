import PostgresClient
import Testing

struct ConfigurationTests {
    @Test func noDescriptionShowsThePassword() {
        let configuration = PostgresConfiguration(
            host: "db.example",
            database: "shop",
            user: "app",
            password: "topsecret"
        )
        var dumped = ""
        dump(configuration, to: &dumped)
        let texts = [
            String(describing: configuration), String(reflecting: configuration), dumped, "\([configuration])",
            "\(Optional(configuration) as Any)",
        ]
        for text in texts {
            #expect(!text.contains("topsecret"))
            #expect(text.contains("app@db.example:5432/shop"))
        }
    }

    @Test func readsALocator() throws {
        let configuration = try PostgresConfiguration(
            connectionString:
                "postgresql://app:s%20ecret@a.example:5433,b.example/shop?sslmode=verify-full&target_session_attrs=primary"
        )
        #expect(configuration.endpoints.map(\.host) == ["a.example", "b.example"])
        #expect(configuration.endpoints.map(\.port) == [5433, 5432])
        #expect(configuration.database == "shop")
        #expect(configuration.user == "app")
        #expect(configuration.password == "s ecret")
        #expect(configuration.sslMode == .verifyFull)
        #expect(configuration.options == ["target_session_attrs": "primary"])
    }

    @Test func readsKeywords() throws {
        let configuration = try PostgresConfiguration(
            connectionString: "host=one,two hostaddr=10.0.0.1,10.0.0.2 port=6000 user=u connect_timeout=3"
        )
        #expect(configuration.endpoints.map(\.hostaddr) == ["10.0.0.1", "10.0.0.2"])
        #expect(configuration.endpoints.map(\.port) == [6000, 6000])
        #expect(configuration.database == "u")
        #expect(configuration.connectTimeout == .seconds(3))
    }

    @Test(arguments: [
        "host='unfinished topsecret", "postgresql://%zz", "nonsense=topsecret", "host=a,b,c port=1,2",
        "sslmode=topsecret",
        "host=a port=topsecret",
    ])
    func refusesWhatIsMalformedWithoutShowingIt(text: String) {
        let error = #expect(throws: PostgresError.self) { try PostgresConfiguration(connectionString: text) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.description.contains("topsecret") == false)
    }
}
