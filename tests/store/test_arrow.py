"""Inserts in Arrow's file format: the same rows arrive, however they are written."""

from __future__ import annotations

from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.store.arrow import REPEATED, Compression, arrow_file
from streams.store.client import Client

ROWS = st.lists(st.tuples(st.text(), st.text(max_size=3), st.integers(-(2**63), 2**63 - 1)), max_size=20)


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@given(rows=ROWS, times=st.sampled_from([1, 7, 300]))
def test_the_file_holds_the_rows(compression: Compression, rows: list[tuple[Any, ...]], times: int) -> None:
    frame = pl.DataFrame(rows, schema={"id": pl.String, "team": pl.String, "n": pl.Int64}, orient="row")
    table = pa.concat_tables([frame.to_arrow(compat_level=pl.CompatLevel.oldest())] * times)
    read = pl.DataFrame(pa.ipc.open_file(arrow_file(table, compression)).read_all())
    assert read.cast({"team": pl.String}).equals(pl.DataFrame(table))


def test_bytes_that_do_not_compress_have_room() -> None:
    rows = pl.DataFrame({"n": pl.int_range(200_000, eager=True).hash(1)}).to_arrow()
    compressions: tuple[Compression, ...] = (None, "lz4", "zstd")
    for compression in compressions:
        assert pa.ipc.open_file(arrow_file(rows, compression)).read_all().equals(rows)


def test_columns_that_repeat_their_texts_are_those_that_the_tables_say(migrated: Client) -> None:
    said = migrated.query(
        "SELECT DISTINCT name FROM system.columns WHERE database = currentDatabase() AND type = 'LowCardinality(String)'"
        " AND table IN ('usage_events', 'work_item_events', 'work_item_usage', 'panes', 'pane_actors', 'value_windows')"
    )
    assert {name for (name,) in said.result_rows} == REPEATED
