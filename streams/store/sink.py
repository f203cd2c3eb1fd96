"""Writes a flush into ClickHouse, in the order that makes results exact (DESIGN.md §7).

1. raw rows and dead letters: what the records were
2. what follows from them: duplicates and the result rows (work_item_usage, work_items, panes, pane_actors), each with the offsets that it covers
3. the checkpoint mirror

A row is final only once the Kafka group has committed the position that it covers. Repeating any step with the same rows changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Protocol

import numpy as np
import polars as pl
import pyarrow as pa

from streams.events.text_columns import TextColumns
from streams.join.flush import FlushBuffer, Mask, PartitionFlush
from streams.store.native import Buffers, Bytes, is_flat, native
from streams.store.rows import (
    checkpoint_rows,
    dead_letter_rows,
    duplicate_rows,
    item_rows,
    line_rows,
    pane_rows,
    raw_rows,
)

ENOUGH_ROWS: Final = 50_000
"""Packed rows of one batch that are worth an insert of their own: to bring them together with others would copy all."""

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
"""How many are used again, of what size at most."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Rows as what is sent of them: `columns` in the order in which `body` has them, the months from the first to the last time."""

    columns: list[str]
    body: Bytes
    rows: int
    months: tuple[int, int]

    def __len__(self) -> int:
        return self.rows


Rows = pa.Table | list[Packed]
_SETTINGS: Final = {"async_insert": 0, "optimize_on_insert": 0}
"""Rows of one key in one insert are as rare as they do no harm: to look for them takes ClickHouse half of the time of an insert."""


class Inserts(Protocol):
    """What the sink needs of a store: repeatable inserts, blocking, raising on refusal. Rows are packed only if its owner has packed them."""

    def insert(self, table: str, rows: Any) -> None: ...


class ClickHouseInserts:
    """Inserts over ClickHouse's HTTP interface: in its Native format, or as a file of Arrow where columns hold lists."""

    def __init__(self, client: Any) -> None:
        self._client, self._buffers = client, Buffers(*_BUFFERS)

    def insert(self, table: str, rows: Rows) -> None:
        if isinstance(rows, list):
            body = rows[0].body if len(rows) == 1 else np.concatenate([one.body for one in rows])
            self._send_native(table, rows[0].columns, body)
        elif is_flat(rows):
            buffer, size = native(rows, self._buffers)
            try:
                self._send_native(table, rows.schema.names, buffer[:size])
            finally:
                self._buffers.give_back(buffer)
        else:
            self._send(table, rows.schema.names, _arrow_file(rows, self._client.write_compression), "Arrow", None)

    def _send_native(self, table: str, columns: list[str], body: Bytes) -> None:
        codec = self._client.write_compression
        self._send(table, columns, pa.compress(body.data, codec) if codec else body.data, "Native", codec)

    def _send(self, table: str, columns: list[str], body: Any, form: str, compression: str | None) -> None:
        self._client.raw_insert(table, columns, body, settings=_SETTINGS, fmt=form, compression=compression)


def _arrow_file(rows: pa.Table, compression: Any) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(rows)
    return sink.getvalue()


class Sink:
    """Turns flushes into inserts and performs them."""

    def __init__(self, inserts: Inserts, worker: str) -> None:
        self._inserts, self.worker = inserts, worker

    def pack_usage(self, buffer: FlushBuffer, usage: TextColumns, new: Mask) -> list[Packed]:
        """The new ones of decoded usage, which are about to be added to a buffer, as raw rows.

        While a batch is at hand this costs least, and what waits for the flush is a third of what the columns and the texts behind them take.
        """
        state = buffer.state
        rows = raw_rows(usage.frame, state.partition, state.usage.incarnation, buffer.next_version)
        table, packed = rows.to_arrow(compat_level=pl.CompatLevel.newest()), []
        for kept, months in _in_few_months(usage.frame["occurred_at"].to_numpy(), new):
            body, size = native(table, Buffers(0, 0), np.flatnonzero(kept), usage)
            body.resize(size, refcheck=False)  # gives back the room that was not needed
            packed.append(Packed(rows.columns, body, int(kept.sum()), months))
        return packed

    def write(self, flushes: Sequence[PartitionFlush]) -> None:
        """Write a flush, one table after the other; a worker writes those of a group at the same time."""
        for table, rows in chain(*self.tables(flushes)):
            self.insert(table, rows)

    def insert(self, table: str, rows: Rows) -> None:
        """Insert rows and wait until ClickHouse has accepted them."""
        self._inserts.insert(table, rows)

    def tables(self, flushes: Sequence[PartitionFlush]) -> tuple[list[tuple[str, Rows]], ...]:
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


def _raw(flushes: Sequence[PartitionFlush]) -> Iterator[tuple[str, Rows]]:
    yield from (("usage_events", together) for together in _inserts([one for f in flushes for one in f.packed]))
    for table, raw in (("usage_events", "raw_usage"), ("work_item_events", "raw_items")):
        frames = ((f, frame) for f in flushes for frame in getattr(f, raw))
        yield from _parts(table, [raw_rows(frame, f.partition, f.usage.incarnation, f.version) for f, frame in frames])
    yield from _parts("dead_letters", [dead_letter_rows(flushes)])


def _derived(flushes: Sequence[PartitionFlush]) -> Iterator[tuple[str, Rows]]:
    yield from _parts("duplicates", [duplicate_rows(flushes)])
    yield from _parts("work_item_usage", [line_rows(f) for f in flushes])
    if (items := item_rows(flushes)).num_rows:
        yield "work_items", items
    yield from _parts("panes", [pane_rows(f, f.touched.panes) for f in flushes])
    yield from _parts("pane_actors", [pane_rows(f, f.touched.actors).drop("usage_next", "items_next") for f in flushes])


def _parts(table: str, frames: Sequence[pl.DataFrame]) -> Iterator[tuple[str, Rows]]:
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


def _inserts(packed: list[Packed]) -> Iterator[list[Packed]]:
    """Packed rows as inserts that touch few partitions each; those of few batches together."""
    together: list[Packed] = []
    for one in sorted(packed, key=lambda one: (one.months, len(one))):
        far = bool(together) and one.months[1] - together[0].months[0] >= MAX_PARTITIONS_PER_INSERT
        if far or (together and max(len(one), sum(map(len, together))) >= ENOUGH_ROWS):
            yield together
            together = []
        together.append(one)
    if together:
        yield together


def _in_few_months(times: Any, new: Mask) -> Iterator[tuple[Mask, tuple[int, int]]]:
    """The new ones of some times (us) in parts that lie in at most 50 months each, and the first and last month of each."""
    if not new.any():
        return
    found = times[new]
    first, last = (int(_month_of(time)) for time in (found.min(), found.max()))
    for begin in range(first, last + 1, MAX_PARTITIONS_PER_INSERT):
        end = min(begin + MAX_PARTITIONS_PER_INSERT - 1, last)
        kept = new if (begin, end) == (first, last) else new & (_month_of(times) >= begin) & (_month_of(times) <= end)
        if kept.any():
            yield kept, (begin, end)


def _month_of(times: Any) -> Any:
    """Months since 1970 of times (us)."""
    return np.asarray(times, "datetime64[us]").astype("datetime64[M]").astype(np.int64)


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
