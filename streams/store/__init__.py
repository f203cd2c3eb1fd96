"""ClickHouse: migrations, sink, positions, recovery, verify."""
