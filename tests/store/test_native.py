"""Inserts in ClickHouse's Native format: the rows that arrive are those that were given, whatever stands in them and however they are cut."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.store.client import Client
from streams.store.native import REPEATED, Buffers, is_flat, native
from streams.store.sink import ClickHouseInserts

COLUMNS: dict[str, Any] = {
    "n": pl.Int64, "id": pl.String, "team": pl.String, "kpart": pl.UInt16, "backfill": pl.UInt8, "revision": pl.UInt32,
    "version": pl.UInt64, "cost": pl.Int64, "day": pl.Date, "at": pl.Datetime("us", "UTC"),
}  # fmt: skip
SCHEMA = pl.Schema(COLUMNS)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
TIMES = st.datetimes(datetime(2015, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis asks for naive bounds
ROWS = st.lists(
    st.tuples(
        st.integers(-(2**63), 2**63 - 1), TEXTS, TEXTS, st.integers(0, 2**16 - 1), st.integers(0, 255), st.integers(0, 2**32 - 1),
        st.integers(0, 2**64 - 1), st.none() | st.integers(0, 10**12), st.dates(date(2015, 1, 1), date(2100, 1, 1)), TIMES,
    ),
    min_size=1, max_size=20,
)  # fmt: skip


@pytest.fixture
def table(migrated: Client) -> Iterator[Client]:
    migrated.command(
        "CREATE TABLE native_rows (n Int64, id String, team LowCardinality(String), kpart UInt16, backfill UInt8, revision UInt32,"
        " version UInt64, cost Nullable(Int64), day Date, at DateTime64(6, 'UTC')) ENGINE = Memory"
    )
    yield migrated
    migrated.command("DROP TABLE native_rows")


def stored(client: Client, rows: pa.Table) -> pl.DataFrame:
    client.command("TRUNCATE TABLE native_rows")
    ClickHouseInserts(client).insert("native_rows", rows)
    order = "toInt64(n), id, team, version, kpart, cost, day, at, backfill, revision"
    names = ", ".join("toDate32(day) AS day" if name == "day" else name for name in SCHEMA)
    answer = client.query_arrow(f"SELECT {names} FROM native_rows ORDER BY {order}", use_strings=True)
    return pl.DataFrame(answer).cast(SCHEMA)


def frame_of(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def sorted_rows(frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    return sorted(frame.rows(), key=repr)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(parts=st.lists(ROWS, min_size=1, max_size=3))
def test_rows_arrive_as_they_were(table: Client, parts: list[list[tuple[Any, ...]]]) -> None:
    frame = pl.concat([frame_of(rows) for rows in parts])
    rows = frame.to_arrow(compat_level=pl.CompatLevel.newest())
    assert is_flat(rows)
    assert sorted_rows(stored(table, rows)) == sorted_rows(frame)


@pytest.mark.parametrize("teams", [1, 255, 256, 257, 2048, 2049, 5000])
def test_a_column_may_have_any_number_of_distinct_texts(table: Client, teams: int) -> None:
    frame = pl.select(n=pl.int_range(6000)).with_columns(
        *(pl.lit(value, SCHEMA[name]).alias(name) for name, value in (("kpart", 1), ("backfill", 0), ("revision", 3), ("version", 2**63))),
        id=pl.format("id of the row {}", "n"), team=pl.format("a team with a long name, number {}", pl.col("n") % teams),
        cost=pl.when(pl.col("n") % 3 == 0).then("n"), day=pl.lit(date(2026, 2, 1)), at=pl.lit(datetime(2026, 2, 1, tzinfo=UTC)).cast(SCHEMA["at"]),
    ).select(list(SCHEMA))  # fmt: skip
    for rows in (frame, frame.filter(pl.col("n") % 2 == 1), frame[17:4011], pl.concat([frame[:5], frame[7:9]])):
        assert sorted_rows(stored(table, rows.to_arrow(compat_level=pl.CompatLevel.newest()))) == sorted_rows(rows)


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_rows_for_another_machine_are_compressed(table: Client, codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "write_compression", codec)
    row = (5, "one", "search", 1, 0, 0, 7, None, date(2026, 2, 1), datetime(2026, 2, 1, 12, tzinfo=UTC))
    frame = frame_of([row] * 500)
    assert sorted_rows(stored(table, frame.to_arrow(compat_level=pl.CompatLevel.newest()))) == sorted_rows(frame)


def test_a_buffer_is_used_again_but_never_by_two_at_once() -> None:
    buffers = Buffers(2, 10 << 20)
    small, large = buffers.take(100), buffers.take(1000)
    assert len(small) >= 100
    assert small is not large
    buffers.give_back(large)
    buffers.give_back(small)
    assert buffers.take(50) is small
    assert buffers.take(50) is large
    buffers.give_back(large)
    assert len(buffers.take(5000)) >= 5000
    assert buffers.take(900) is large


def test_few_buffers_are_kept_and_no_large_ones() -> None:
    buffers = Buffers(2, 10 << 20)
    held = [buffers.take(size) for size in (100, 300, 200, 20 << 20)]
    for buffer in held:
        buffers.give_back(buffer)
    assert [buffers.take(1) is buffer for buffer in (held[2], held[1])] == [True, True]
    assert all(buffers.take(1) is not buffer for buffer in held)


def test_what_has_lists_or_lacks_texts_is_left_to_arrow() -> None:
    assert not is_flat(pl.DataFrame({"labels": [["a"]]}).to_arrow(compat_level=pl.CompatLevel.newest()))
    assert not is_flat(pl.DataFrame({"id": ["a", None]}).to_arrow(compat_level=pl.CompatLevel.newest()))
    rows = pl.DataFrame({"id": ["a"]}).to_arrow(compat_level=pl.CompatLevel.newest())
    buffer, size = native(rows, Buffers(0, 0))
    assert bytes(buffer[:size]) == b"\x01\x01\x02id\x06String\x01a"


def test_columns_that_repeat_their_texts_are_those_that_the_tables_say(migrated: Client) -> None:
    said = migrated.query(
        "SELECT DISTINCT name FROM system.columns WHERE database = currentDatabase() AND type = 'LowCardinality(String)'"
        " AND table IN ('usage_events', 'work_item_events', 'work_item_usage', 'panes', 'pane_actors', 'value_windows')"
    )
    assert {name for (name,) in said.result_rows} == REPEATED
