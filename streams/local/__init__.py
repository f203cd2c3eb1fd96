"""The embedded stack: a broker, ClickHouse, and labelled traffic for the demo."""
