// PostgresClusterAPI
