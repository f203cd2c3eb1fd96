"""A migrated database for the tests of the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from streams.store.client import Client, connect
from streams.store.migrations import migrate


@pytest.fixture
def migrated(clickhouse_database: str) -> Iterator[Client]:
    """A client of a database with all tables and views, empty."""
    with closing(connect(clickhouse_database)) as client:
        migrate(client)
        yield client
