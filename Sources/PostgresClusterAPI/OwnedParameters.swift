/// PostgreSQL settings that a spec may not contain, because Drover sets them or because they would break it.
public enum OwnedParameters {
    /// Why a setting is refused, nil when it may be set.
    ///
    /// Names are compared without regard to case, as PostgreSQL does.
    public static func reason(for name: String) -> String? {
        let name = name.lowercased()
        for (reason, names) in Self.reasons where names.contains(name) {
            return reason
        }
        return nil
    }

    /// Every refused setting, sorted.
    public static let names: [String] = Self.reasons.flatMap { $0.names }.sorted()

    /// The refused settings with what the message says about them.
    public static let reasons: [(reason: String, names: [String])] = [
        (
            "Drover sets where PostgreSQL listens; leave it out",
            [
                "listen_addresses", "port", "unix_socket_directories", "unix_socket_group", "unix_socket_permissions",
                "bonjour", "bonjour_name",
            ]
        ),
        (
            "Drover sets where PostgreSQL's files are; leave it out",
            [
                "data_directory", "config_file", "hba_file", "ident_file", "external_pid_file", "stats_temp_directory",
                "include", "include_dir", "include_if_exists", "data_sync_retry",
            ]
        ),
        (
            "Drover sets whom an instance follows; leave it out",
            [
                "primary_conninfo", "primary_slot_name", "hot_standby", "recovery_target", "recovery_target_action",
                "recovery_target_inclusive", "recovery_target_lsn", "recovery_target_name", "recovery_target_time",
                "recovery_target_timeline", "recovery_target_xid", "restore_command", "recovery_end_command",
                "archive_cleanup_command", "promote_trigger_file", "recovery_min_apply_delay",
                "wal_receiver_create_temp_slot", "wal_retrieve_retry_interval", "restart_after_crash",
            ]
        ),
        (
            "archiving is not supported in this version; leave it out",
            ["archive_mode", "archive_command", "archive_library", "archive_timeout"]
        ),
        (
            "Drover sets who acknowledges commits; use spec.replication.synchronous",
            ["synchronous_standby_names", "synchronized_standby_slots", "sync_replication_slots"]
        ),
        (
            "Drover sets it so that nothing is lost and every instance can follow every other; leave it out",
            [
                "fsync", "full_page_writes", "wal_level", "wal_log_hints", "ignore_checksum_failure",
                "zero_damaged_pages",
                "ignore_invalid_pages", "allow_in_place_tablespaces",
            ]
        ),
        (
            "Drover sets up TLS and authentication; leave it out",
            [
                "ssl", "ssl_ca_file", "ssl_cert_file", "ssl_key_file", "ssl_crl_file", "ssl_crl_dir",
                "ssl_passphrase_command", "ssl_passphrase_command_supports_reload", "ssl_dh_params_file",
                "ssl_min_protocol_version", "password_encryption", "krb_server_keyfile",
            ]
        ),
        (
            "Drover names the cluster and its processes; leave it out",
            ["cluster_name", "dynamic_shared_memory_type", "shared_memory_type"]
        ),
        (
            "Drover writes the log to the pod's standard error; leave it out",
            ["logging_collector", "log_destination", "log_directory", "log_filename", "event_source"]
        ),
    ]
}
