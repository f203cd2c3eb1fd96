"""Writes a flush into ClickHouse, in the order that makes results exact (DESIGN.md §7).

1. raw rows and dead letters: what the records were
2. what follows from them: duplicates and the result rows (work_item_usage, work_items, panes, pane_actors), each with the offsets that it covers
3. the checkpoint mirror

A row is final only once the Kafka group has committed the position that it covers. Repeating any step with the same rows changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final, Protocol

import polars as pl
import pyarrow as pa

from streams.join.flush import PartitionFlush
from streams.store.native import Buffers, is_flat, native
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


_BUFFERS: Final = 4, 512 << 20
"""How many are used again, of what size at most: room for what rows might take, of which only what they do take is ever memory."""
_SETTINGS: Final = {"async_insert": 0, "optimize_on_insert": 0}
"""Rows of one key in one insert are as rare as they do no harm: to look for them takes ClickHouse half of the time of an insert."""


class Inserts(Protocol):
    """What the sink needs of a store: repeatable inserts, blocking, raising on refusal."""

    def insert(self, table: str, rows: pa.Table) -> None: ...


class ClickHouseInserts:
    """Inserts over ClickHouse's HTTP interface: in its Native format, or as a file of Arrow where columns hold lists."""

    def __init__(self, client: Any) -> None:
        self._client, self._buffers = client, Buffers(*_BUFFERS)

    def insert(self, table: str, rows: pa.Table) -> None:
        if not is_flat(rows):
            self._send(table, rows, _arrow_file(rows, self._client.write_compression), "Arrow", None)
            return
        buffer, size = native(rows, self._buffers)
        try:
            codec = self._client.write_compression
            body: Any = buffer[:size].data
            body = pa.compress(body, codec) if codec else body
            self._send(table, rows, body, "Native", codec)
        finally:
            self._buffers.give_back(buffer)

    def _send(self, table: str, rows: pa.Table, body: Any, form: str, compression: str | None) -> None:
        self._client.raw_insert(table, rows.schema.names, body, settings=_SETTINGS, fmt=form, compression=compression)


def _arrow_file(rows: pa.Table, compression: Any) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(rows)
    return sink.getvalue()


class Sink:
    """Turns flushes into inserts and performs them."""

    def __init__(self, inserts: Inserts, worker: str) -> None:
        self._inserts, self.worker = inserts, worker

    def write(self, flushes: Sequence[PartitionFlush]) -> None:
        """Write a flush, one table after the other; a worker writes those of a group at the same time."""
        for table, rows in chain(*self.tables(flushes)):
            self.insert(table, rows)

    def insert(self, table: str, rows: pa.Table) -> None:
        """Insert rows and wait until ClickHouse has accepted them."""
        self._inserts.insert(table, rows)

    def tables(self, flushes: Sequence[PartitionFlush]) -> tuple[list[tuple[str, pa.Table]], ...]:
        """The inserts of one flush of a worker, all its partitions together, in three groups, each to be written after the one before.

        Raw events first: what follows from them must not be there without them, because Kafka may delete a record that was read and not
        committed, and then only its row says that it was. The mirror last: it claims all that it covers.
        """
        now_us = int(time.time() * 1e6)
        mirror = _parts("checkpoints", [checkpoint_rows(flushes, self.worker, now_us)])
        return list(_raw(flushes)), list(_derived(flushes)), list(mirror)

    def rows(self, table: str, frame: pl.DataFrame) -> None:
        """Write rows of any other table."""
        for name, rows in _parts(table, [frame]):
            self._inserts.insert(name, rows)


def _raw(flushes: Sequence[PartitionFlush]) -> Iterator[tuple[str, pa.Table]]:
    yield from _parts("usage_events", [raw_rows(f, frame) for f in flushes for frame in f.raw_usage])
    yield from _parts("work_item_events", [raw_rows(f, frame) for f in flushes for frame in f.raw_items])
    yield from _parts("dead_letters", [dead_letter_rows(flushes)])


def _derived(flushes: Sequence[PartitionFlush]) -> Iterator[tuple[str, pa.Table]]:
    yield from _parts("duplicates", [duplicate_rows(flushes)])
    yield from _parts("work_item_usage", [line_rows(f) for f in flushes])
    if (items := item_rows(flushes)).num_rows:
        yield "work_items", items
    yield from _parts("panes", [pane_rows(f, f.touched.panes) for f in flushes])
    yield from _parts("pane_actors", [pane_rows(f, f.touched.actors).drop("usage_next", "items_next") for f in flushes])


def _parts(table: str, frames: Sequence[pl.DataFrame]) -> Iterator[tuple[str, pa.Table]]:
    """Frames as inserts. Each keeps the texts where it has them: to bring frames together in Polars would give all rows the buffers of all."""
    frames = [frame for frame in frames if not frame.is_empty()]
    if not frames:
        return
    column = MONTHLY.get(table)
    if column is not None and _months(frames, column) > MAX_PARTITIONS_PER_INSERT:
        for part in _by_months(pl.concat(frames), column):
            yield table, _arrow([part])
    else:
        yield table, _arrow(frames)


def _arrow(frames: Sequence[pl.DataFrame]) -> pa.Table:
    rows = pa.concat_tables([frame.to_arrow(compat_level=pl.CompatLevel.newest()) for frame in frames])
    if is_flat(rows):
        return rows
    return pa.concat_tables([frame.to_arrow(compat_level=pl.CompatLevel.oldest()) for frame in frames])


def _months(frames: Sequence[pl.DataFrame], column: str) -> int:
    """How many months lie between the first and the last time, both included."""
    times: list[Any] = [time for frame in frames for time in (frame[column].min(), frame[column].max())]
    first, last = min(times), max(times)
    return int(12 * (last.year - first.year) + last.month - first.month + 1)


def _by_months(frame: pl.DataFrame, column: str) -> list[pl.DataFrame]:
    """The frame in parts that touch at most 50 months each."""
    month = frame[column].dt.truncate("1mo")
    months = month.unique().sort()
    starts = range(0, len(months), MAX_PARTITIONS_PER_INSERT)
    return [frame.filter(month.is_in(months[i : i + MAX_PARTITIONS_PER_INSERT].implode())) for i in starts]
