"""Requests to compute results of a partition again from its raw events, and how far the owner of the partition has come with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import polars as pl

from streams.join.flush import EPOCH_SHIFT
from streams.store.reading import Stored
from streams.store.rows import TIME
from streams.store.sink import Sink

ALWAYS_US: Final = (0, 4_294_967_295_000_000)
"""From 1970 to 2106: all event times that ClickHouse's hours can name."""
EVERYTHING: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Rebuild:
    """One request for one partition; `epoch` 0: its owner has not begun. `cursor`: tenant and name of the last item done, later the last hour."""

    kpart: int
    requested_at: int
    from_us: int
    to_us: int
    epoch: int = 0
    done: int = 0
    total: int = 0
    cursor: list[str] = field(default_factory=list)
    finished: bool = False

    def further(self, count: int, cursor: list[str]) -> Rebuild:
        """After `count` more items or hours. Live traffic may add some that nobody counted."""
        done = self.done + count
        return replace(self, done=done, total=max(self.total, done), cursor=cursor)

    def finish(self) -> Rebuild:
        """After the last one. Those that were counted and are gone are done, too: progress never goes back, or its row would not count."""
        done = max(self.done, self.total)
        return replace(self, done=done, total=done, finished=True)


def pending(stored: Stored, partitions: Sequence[int]) -> dict[int, Rebuild]:
    """The oldest unfinished request of each partition that has one."""
    found: dict[int, Rebuild] = {}
    for row in stored.read("rebuild/pending", kparts=list(partitions)).iter_rows(named=True):
        found.setdefault(row["kpart"], Rebuild(**row))
    return found


def write_rebuilds(sink: Sink, rebuilds: Sequence[Rebuild]) -> None:
    """Write requests, or how far they have come."""
    times = {"requested_at": "requested_at", "from_time": "from_us", "to_time": "to_us"}
    columns: dict[str, Any] = {name: [getattr(r, source) for r in rebuilds] for name, source in times.items()}
    for name in ("kpart", "epoch", "done", "total", "finished", "cursor"):
        columns[name] = [getattr(r, name) for r in rebuilds]
    rows = pl.DataFrame(
        columns, schema_overrides={"kpart": pl.UInt16, "epoch": pl.UInt64, "cursor": pl.List(pl.String)}
    )
    version = pl.col("epoch").cast(pl.Int64) * (1 << EPOCH_SHIFT) + pl.col("done") + pl.col("finished")
    sink.rows(
        "rebuilds",
        rows.with_columns(
            pl.col("finished").cast(pl.UInt8),
            *(pl.col(name).cast(TIME) for name in times),
            version=version.cast(pl.UInt64),
        ),
    )


def items_after(stored: Stored, rebuild: Rebuild, most: int = EVERYTHING) -> pl.DataFrame:
    """The next items (tenant, work_item_id) of a rebuild."""
    tenant, item = rebuild.cursor if len(rebuild.cursor) == 2 else ("", "")
    return stored.read("rebuild/items", **_where(rebuild), tenant=tenant, work_item_id=item, most=most)


def hours_after(stored: Stored, rebuild: Rebuild, most: int = EVERYTHING) -> list[int]:
    """The next hours (seconds since 1970) of a rebuild whose items are done."""
    after = int(rebuild.cursor[0]) if len(rebuild.cursor) == 1 else -1
    return stored.read("rebuild/hours", **_where(rebuild), after=after, most=most)["hour"].to_list()


def panes_of(stored: Stored, rebuild: Rebuild, hour: int) -> pl.DataFrame:
    """The panes (PANE_KEY) of an hour."""
    return stored.read("rebuild/panes", kpart=rebuild.kpart, hour=hour)


def _where(rebuild: Rebuild) -> dict[str, int]:
    return {"kpart": rebuild.kpart, "from_us": rebuild.from_us, "to_us": rebuild.to_us}
