"""The real engine behind the interface of tests/store/memory.py, so that the same tests and comparisons run on both."""

from __future__ import annotations

from typing import Any, Final

import polars as pl
import pyarrow as pa

from streams.store.client import Client
from streams.store.reading import ClickHouseStored
from streams.store.sink import ClickHouseInserts
from tests.store.memory import Row, plain

ARROW: Final = {"output_format_arrow_string_as_string": 1, "output_format_arrow_low_cardinality_as_dictionary": 0}


class EngineStore:
    """Tables of one database, or of one input partition of it."""

    def __init__(self, client: Client, kpart: int | None = None) -> None:
        self._client, self._kpart = client, kpart
        self._inserts, self._stored = ClickHouseInserts(client), ClickHouseStored(client)

    def insert(self, table: str, rows: pa.Table) -> None:
        self._inserts.insert(table, rows)

    def read(self, name: str, **parameters: Any) -> pl.DataFrame:
        return self._stored.read(name, **parameters)

    def rows(self, table: str) -> list[Row]:
        """The surviving rows; times in us, days as days since 1970."""
        where = "" if self._kpart is None else f" WHERE kpart = {self._kpart}"
        final = "" if table == "claims" else " FINAL"
        answer = self._client.query_arrow(f"SELECT * FROM {table}{final}{where}", use_strings=True, settings=ARROW)
        frame = pl.from_arrow(answer)
        assert isinstance(frame, pl.DataFrame)
        return [{name: plain(value) for name, value in row.items()} for row in frame.iter_rows(named=True)]
