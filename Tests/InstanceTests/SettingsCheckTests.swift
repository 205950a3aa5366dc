import Instance
import InstanceAPI
import Testing

struct SettingsCheckTests {
    @Test(
        "PostgreSQL's complaints are told with the field that they are about",
        arguments: [
            (
                """
                LOG:  invalid value for parameter "work_mem": "4 apples"
                HINT:  Valid units for this parameter are "B", "kB", "MB", "GB", and "TB".
                FATAL:  configuration file "/x/postgresql.conf" contains errors
                """,
                ".work_mem", "4 apples",
                "invalid value for parameter \"work_mem\": \"4 apples\"; Valid units for this parameter are "
                    + "\"B\", \"kB\", \"MB\", \"GB\", and \"TB\"."
            ),
            (
                """
                LOG:  unrecognized configuration parameter "nonsense" in file "/x/postgresql.conf" line 12
                FATAL:  configuration file "/x/postgresql.conf" contains errors
                """,
                ".nonsense", "1", "unrecognized configuration parameter \"nonsense\""
            ),
            (
                "LOG:  invalid value for parameter \"TimeZone\": \"Mars\"\n", ".timezone", "Mars",
                "invalid value for parameter \"TimeZone\": \"Mars\""
            ),
            (
                "postgres: superuser_reserved_connections (3) must be less than max_connections (3)",
                ".max_connections", "3", "superuser_reserved_connections (3) must be less than max_connections (3)"
            ),
            (
                "FATAL:  could not access file \"nope\": No such file or directory", ".shared_preload_libraries",
                "pg_stat_statements,nope", "could not access file \"nope\": No such file or directory"
            ),
            ("FATAL:  could not map anonymous shared memory: Cannot allocate memory", "", "", "could not map"),
            ("", "", "", "PostgreSQL does not start with these settings"),
        ]
    )
    func refusals(output: String, field: String, value: String, message: String) {
        let parameters = [
            "work_mem": "4 apples", "nonsense": "1", "timezone": "Mars", "max_connections": "3",
            "shared_preload_libraries": "pg_stat_statements,nope",
        ]
        let found = SettingsCheck.refusals(in: output, parameters: parameters)
        #expect(found.count == 1)
        #expect(found.first?.part == .parameters)
        #expect(found.first?.field == "spec.postgres.parameters" + field)
        #expect(found.first?.value == (value.isEmpty ? nil : value))
        #expect(found.first?.message.hasPrefix(message) == true, "\(found.first?.message ?? "")")
    }
}
