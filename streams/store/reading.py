"""Reading ClickHouse into Polars frames."""

from __future__ import annotations

from typing import Any, Protocol

import polars as pl
import pyarrow as pa

from streams.store.queries import query
from streams.windows.measures import OUTCOME_MEASURES, USAGE_MEASURES

_LISTS = {
    "{outcome_columns}": ", ".join(f"b.{name} AS {name}" for name in OUTCOME_MEASURES),
    "{outcome_sums}": ", ".join(f"sum(b.{name}) AS {name}" for name in OUTCOME_MEASURES),
    "{usage_sums}": ", ".join(f"sum(p.{name}) AS {name}" for name in USAGE_MEASURES),
}


class Stored(Protocol):
    """A store that answers the named queries of queries/ with frames. Blocking."""

    def read(self, name: str, **parameters: Any) -> pl.DataFrame: ...


class ClickHouseStored:
    """Stored results behind a ClickHouse client."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def read(self, name: str, **parameters: Any) -> pl.DataFrame:
        """Run `queries/<name>.sql` and return its rows; dictionary columns come as plain strings."""
        return read(self.client, name, **parameters)


def read(client: Any, name: str, **parameters: Any) -> pl.DataFrame:
    """Run `queries/<name>.sql` and return its rows; dictionary columns come as plain strings."""
    sql = query(name)
    for placeholder, columns in _LISTS.items():
        sql = sql.replace(placeholder, columns)
    table = client.query_arrow(
        sql, parameters=parameters, use_strings=True, settings={"output_format_arrow_low_cardinality_as_dictionary": 0}
    )
    frame = pl.from_arrow(table) if isinstance(table, pa.Table) else table
    assert isinstance(frame, pl.DataFrame)
    return frame
