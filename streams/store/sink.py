"""Writes a flush into ClickHouse, in the order that makes results exact (DESIGN.md §7).

1. raw rows, dead letters, duplicates: what the records were
2. result rows: work_item_usage, work_items, panes, pane_actors, each with the offsets that it covers
3. the checkpoint mirror

A row is final only once the Kafka group has committed the position that it covers. Repeating any step with the same rows changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

import polars as pl
import pyarrow as pa

from streams.join.flush import PartitionFlush
from streams.store.rows import (
    checkpoint_rows,
    dead_letter_rows,
    duplicate_rows,
    item_rows,
    line_rows,
    pane_rows,
    raw_rows,
)

MAX_PARTITIONS_PER_INSERT: Final = 50
"""ClickHouse refuses an insert that touches more than 100 partitions of a table; half of it leaves room for another setting."""

MONTHLY: Final = {
    "usage_events": "occurred_at",
    "work_item_events": "occurred_at",
    "panes": "pane_start",
    "pane_actors": "pane_start",
    "value_windows": "window_end",
    "duplicates": "appended_at",
}


class Inserts(Protocol):
    """What the sink needs of a store: repeatable inserts, blocking, raising on refusal."""

    def insert(self, table: str, rows: pa.Table) -> None: ...


class ClickHouseInserts:
    """Inserts over ClickHouse's HTTP interface."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def insert(self, table: str, rows: pa.Table) -> None:
        self._client.insert_arrow(table, rows, settings={"async_insert": 0, "output_format_arrow_string_as_string": 1})


class Sink:
    """Turns flushes into inserts and performs them."""

    def __init__(self, inserts: Inserts, worker: str) -> None:
        self._inserts, self.worker = inserts, worker

    def write(self, flushes: Sequence[PartitionFlush]) -> None:
        """Write one flush of a worker: all its partitions together, one insert a table. Blocks until ClickHouse has accepted everything."""
        for table, rows in self.steps(flushes):
            self._inserts.insert(table, rows)

    def steps(self, flushes: Sequence[PartitionFlush]) -> Iterator[tuple[str, pa.Table]]:
        """The inserts of a flush, in order."""
        now_us = int(time.time() * 1e6)
        yield from _parts("usage_events", [raw_rows(f, frame) for f in flushes for frame in f.raw_usage])
        yield from _parts("work_item_events", [raw_rows(f, frame) for f in flushes for frame in f.raw_items])
        yield from _parts("dead_letters", [dead_letter_rows(flushes)])
        yield from _parts("duplicates", [duplicate_rows(flushes)])
        yield from _parts("work_item_usage", [line_rows(f) for f in flushes])
        if (items := item_rows(flushes)).num_rows:
            yield "work_items", items
        yield from _parts("panes", [pane_rows(f, f.touched.panes) for f in flushes])
        yield from _parts(
            "pane_actors", [pane_rows(f, f.touched.actors).drop("usage_next", "items_next") for f in flushes]
        )
        yield from _parts("checkpoints", [checkpoint_rows(flushes, self.worker, now_us)])

    def rows(self, table: str, frame: pl.DataFrame) -> None:
        """Write rows of any other table."""
        for name, rows in _parts(table, [frame]):
            self._inserts.insert(name, rows)


def _parts(table: str, frames: Sequence[pl.DataFrame]) -> Iterator[tuple[str, pa.Table]]:
    frame = pl.concat([frame for frame in frames if not frame.is_empty()] or [pl.DataFrame()])
    if not frame.is_empty():
        for part in _by_months(frame, MONTHLY.get(table)):
            yield table, part.to_arrow(compat_level=pl.CompatLevel.oldest())


def _by_months(frame: pl.DataFrame, column: str | None) -> list[pl.DataFrame]:
    """The frame in parts that touch at most 50 months each."""
    if column is None:
        return [frame]
    month = frame[column].dt.truncate("1mo")
    months = month.unique().sort()
    if len(months) <= MAX_PARTITIONS_PER_INSERT:
        return [frame]
    starts = range(0, len(months), MAX_PARTITIONS_PER_INSERT)
    return [frame.filter(month.is_in(months[i : i + MAX_PARTITIONS_PER_INSERT].implode())) for i in starts]
