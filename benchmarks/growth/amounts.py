"""Bytes: what an event comes to on topics, in memory and in ClickHouse, and what ClickHouse computes for a row.

The benchmark's traffic of two days goes through one partition in process, with the flushes of a worker that catches up. The rows are then
inserted into an embedded ClickHouse one table after the other, and each table is merged to one part a month: `server_us` is the CPU time of
the server from the first insert of a table to the end of that, for a row that was inserted. What an insert costs that has hardly a row
comes last.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa

from benchmarks.growth.curve import Point, Scale
from benchmarks.inside import Clock, InsideWorker, fetch_of, slices
from benchmarks.process import Tree
from benchmarks.traffic import make
from streams.config import ITEMS_TOPIC, PANES_TOPIC, USAGE_TOPIC
from streams.events.records import Records
from streams.join.flush import PartitionFlush
from streams.local.stack import Stack
from streams.local.traffic.records import records
from streams.store.client import connect, ensure_database
from streams.store.migrations import migrate
from streams.store.sink import ClickHouseInserts, Rows
from streams.store.windows import window_rows
from streams.windows.updates import pack_actors, pack_bookings, pack_panes

EVENTS: Final = {"full": 400_000, "quick": 100_000}
ONE_INSERT: Final = "one insert"
"""Of a single row into usage_events, which is then a part to be merged."""
SMALL: Final = 50
MEMORY_TABLES: Final = {"identities in memory": "identities", "ledger lines in memory": "lines"}
_PER_FETCH, _PER_FLUSH = 20_000, 100_000
_MADE_IN: Final = (
    "usage_events",
    "work_item_events",
    "duplicates",
    "work_item_usage",
    "work_items",
    "panes",
    "pane_actors",
)
"""Tables whose rows come of events; those of value_windows come of time, too (`groups`)."""


def amounts(scale: Scale) -> Iterator[Point]:
    """x: a topic, a table, or what is in memory. `rows`: made for a usage event; `stored_rows`: left of them; `bytes`: of one of them."""
    kept, collected = _through(EVENTS.get(scale.name, 5_000))
    yield from kept
    events = next(point["events"] for point in kept)
    with (
        tempfile.TemporaryDirectory(prefix="tokenworth-growth-") as directory,
        Stack(Path(directory), "tansu") as stack,
    ):
        ensure_database(stack.clickhouse)
        server = Tree(stack.child("clickhouse").pid)
        with closing(connect(stack.clickhouse)) as client:
            migrate(client)
            for table in (*_MADE_IN, "value_windows"):
                if collected[table]:
                    yield {"x": table, **_inserted(client, server, table, collected[table], events)}
            client.command("TRUNCATE TABLE panes")
            small = [
                rows.slice(0, 1) for rows in collected["panes"] if isinstance(rows, pa.Table) for _ in range(SMALL)
            ]
            yield {"x": ONE_INSERT, "server_us": _inserted(client, server, "panes", small, events)["server_us"]}


def _inserted(client: Any, server: Tree, table: str, parts: Sequence[Rows], events: int) -> Point:
    inserts, began = ClickHouseInserts(client), server.cpu_s()
    for rows in parts:
        inserts.insert(table, rows)
    client.command(f"OPTIMIZE TABLE {table} FINAL")
    spent, count = server.cpu_s() - began, sum(rows for rows, _ in map(_amount, parts))
    stored, size, raw = client.query(
        "SELECT sum(rows), sum(bytes_on_disk), sum(data_uncompressed_bytes) FROM system.parts "
        f"WHERE database = currentDatabase() AND table = '{table}' AND active"
    ).result_rows[0]
    return {
        "rows": count / events,
        "stored_rows": stored / events,
        "bytes": size / stored,
        "uncompressed_bytes": raw / stored,
        "insert_bytes": sum(size for _, size in map(_amount, parts)) / count,
        "server_us": 1e6 * spent / count,
    }


def _amount(rows: Rows) -> tuple[int, int]:
    """Rows and bytes of an insert."""
    if isinstance(rows, pa.Table):
        return rows.num_rows, rows.nbytes
    return sum(map(len, rows)), sum(len(one.body) for one in rows)


class _Collected(defaultdict[str, list[Rows]]):
    """Keeps the rows of each table."""

    def __init__(self) -> None:
        super().__init__(list)

    def insert(self, table: str, rows: Rows) -> None:
        self[table].append(rows)


def _through(count: int) -> tuple[list[Point], _Collected]:
    """The traffic through the join and the windows: what its messages and its state take, and the rows of all tables."""
    topics: dict[str, list[bytes]] = {USAGE_TOPIC: [], ITEMS_TOPIC: []}
    keys: dict[str, list[bytes]] = {USAGE_TOPIC: [], ITEMS_TOPIC: []}
    for chunk in records(make(count), 1):
        for record in chunk:
            if record.value is not None:
                topics[record.topic].append(record.value)
                keys[record.topic].append(record.key)
    collected = _Collected()
    worker, messages = InsideWorker(Clock(), inserts=collected), 0
    state = worker.states[0]
    worker.items(topics[ITEMS_TOPIC])
    values = topics[USAGE_TOPIC]
    for number, fetch in enumerate(parts := list(slices(values, _PER_FETCH))):
        worker.usage(Records.of(fetch))
        if worker.rows >= _PER_FLUSH or number == len(parts) - 1:
            flushes = worker.flush()
            messages += sum(_message_bytes(flush) for flush in flushes)
            now = state.watermark
            for frame in worker.windows(flushes, now):
                table = window_rows(frame, 1, now).to_arrow(compat_level=pl.CompatLevel.oldest())
                collected.insert("value_windows", table)
    events, held, nbytes = len(values), state.size, state.nbytes
    found: list[Point] = [
        {"x": f"topic {name}", "rows": len(values) / events, "bytes": len(fetch_of(values, keys[name])) / len(values)}
        for name, values in topics.items()
    ]
    found.append({"x": f"topic {PANES_TOPIC}", "rows": 1.0, "bytes": messages / events})
    found += [
        {"x": title, "rows": held[name] / events, "bytes": nbytes[name] / max(held[name], 1)}
        for title, name in MEMORY_TABLES.items()
    ]
    found[0]["events"] = events
    return found, collected


def _message_bytes(flush: PartitionFlush) -> int:
    """Of the updates of a flush."""
    own = (pl.lit(flush.partition, pl.UInt16).alias("kpart"), pl.lit(flush.version, pl.UInt64).alias("version"))
    touched = flush.touched
    messages = (
        *pack_panes(touched.panes.with_columns(*own)),
        *pack_actors(touched.actors.with_columns(*own)),
        *pack_bookings(flush.bookings()),
    )
    return sum(len(value) for _, value in messages)
