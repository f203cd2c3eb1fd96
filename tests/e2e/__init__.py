"""The whole system from publishers to windows: real brokers, ClickHouse and worker processes."""
