"""The join of one input partition: usage and work-item batches in, touched result rows out.

Holds a cache of what ClickHouse stores for the partition: dedup indexes, ledger, items, panes. `apply_*` takes a decoded batch in offset
order; `cut` hands out every row touched since the last cut; `settle` lets go of what has been idle for the horizon once a cut is stored.

No I/O. What a batch needs and memory does not hold, the caller reads from the store before it applies the batch: items and panes
(`absent_items`, `absent_panes`, then `load`), identities of records older than the horizon (join/dedup.py).
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl
import xxhash

from streams.join.batch import (
    ITEM_KEY,
    LINE_KEY,
    PANE_KEY,
    actors,
    line_totals,
    pane_totals,
    priced_usage,
)
from streams.join.dedup import Dedup
from streams.join.filter import KeyFilter
from streams.join.idle import Idle
from streams.join.input import UNSEEN, Input
from streams.join.outcome import Booking, ItemEvent, Line, Outcome, fold
from streams.join.totals import Totals
from streams.value.prices import PriceBook
from streams.value.rules import Rules
from streams.windows.measures import LINE_MEASURES, OUTCOME_MEASURES, PANE_US, USAGE_MEASURES

MOST_ITEMS: Final = 500_000
MOST_PANES: Final = 500_000
"""In memory per partition: bounds a backfill, in which no watermark moves that would make anything idle."""

ItemKey = tuple[str, str]
"""Tenant and work item."""

BookingKey = tuple[int, str, str, str, str]
"""Where an item is booked: pane start (us), team, tool, model, work_class."""

LoadedItem = tuple[str, str, list[ItemEvent], set[BookingKey], bool]
"""Tenant, work item, history, where it is booked as stored, and whether that is all (else folding finds more)."""


@dataclass(slots=True)
class ItemState:
    """A work item's history in fold order, the rows of its ledger lines, and where it is booked."""

    history: list[ItemEvent] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    booked: set[BookingKey] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class ItemRow:
    """An item to be stored: its history, outcome and bookings (with all-zero marks of the panes that it has left)."""

    tenant: str
    work_item_id: str
    history: list[ItemEvent]
    outcome: Outcome
    bookings: list[Booking]


@dataclass(frozen=True, slots=True)
class Touched:
    """Result rows touched since the last cut; absolute values."""

    number: int
    lines: pl.DataFrame
    panes: pl.DataFrame
    actors: pl.DataFrame
    items: list[ItemRow]


class JoinPartition:
    """State of one input partition over both topics."""

    def __init__(self, partition: int, horizon_us: int, rules: Rules, prices: PriceBook) -> None:
        self.partition, self.horizon_us, self.rules, self.prices = partition, horizon_us, rules, prices
        self.usage, self.items = Input(), Input()
        self.trusted_since = 0
        """The version from which on stored result rows are of this incarnation."""
        self.rebuilding = False
        """Whether stored result rows are to be computed again, not loaded."""
        self.dedup = Dedup()
        self._lines, self._panes = Totals(len(LINE_MEASURES)), Totals(len(USAGE_MEASURES))
        self._ledger: dict[ItemKey, ItemState] = {}
        self._touched_lines: set[int] = set()
        self._touched_panes: set[int] = set()
        self._touched_items: set[ItemKey] = set()
        self._new_actors: list[pl.DataFrame] = []
        self._next_cut = 1
        self._idle_items, self._idle_panes = Idle(MOST_ITEMS), Idle(MOST_PANES)
        self._stored_items = KeyFilter()
        self._panes_stored_before = UNSEEN

    @property
    def watermark(self) -> int:
        """The highest event time (us) applied, of both topics."""
        return max(self.usage.watermark, self.items.watermark)

    @property
    def size(self) -> dict[str, int]:
        """What is in memory, for metrics."""
        kept = {"items": len(self._ledger), "lines": len(self._lines), "panes": len(self._panes)}
        return kept | {"identities": len(self.dedup)}

    # --- what is only in the store ----------------------------------------------------------------------------------------------------

    def expect_stored(self, item_hashes: np.ndarray[Any, np.dtype[np.uint64]]) -> None:
        """Of a partition that is taken over: the hashes (`item_hash`) of all stored items, and that its panes up to the watermark are stored."""
        self._stored_items.add(item_hashes)
        self._panes_stored_before = self.watermark + 1

    def absent_items(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Tenant and work_item_id of items of a batch that the store may hold, but not memory."""
        keys = batch.filter(pl.col("work_item_id") != "").select(ITEM_KEY).unique(maintain_order=True)
        absent = [key for key in keys.iter_rows() if key not in self._ledger]
        found = self._stored_items.holds(_item_hashes(absent))
        return pl.DataFrame(
            [key for key, maybe in zip(absent, found.tolist(), strict=True) if maybe],
            schema=dict.fromkeys(ITEM_KEY, pl.String), orient="row",
        )  # fmt: skip

    def absent_panes(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Those of the panes (PANE_KEY) in a batch that the store may hold, but not memory.

        A flush that was never committed may have stored later ones: its records come again and write them anew, unless they are lost.
        """
        if not self.rebuilding:
            batch = batch.filter(pl.col("pane_start") < self._panes_stored_before)
        keys = batch.select(PANE_KEY).unique(maintain_order=True)
        return keys.filter(pl.Series([key not in self._panes for key in keys.iter_rows()], dtype=pl.Boolean))

    def load(self, lines: pl.DataFrame, panes: pl.DataFrame, items: list[LoadedItem]) -> None:
        """Take stored rows of keys that are not in memory (of an item all at once); they do not count as touched."""
        keys = list(lines.select(LINE_KEY).iter_rows())
        rows, _ = self._lines.rows(keys)
        self._lines.add(rows, lines.select(LINE_MEASURES).to_numpy(), lines["last_at"].to_numpy())
        for key, row in zip(keys, rows.tolist(), strict=True):
            self._item(key[:2]).lines.append(row)
        for tenant, work_item_id, history, booked, trusted in items:
            state = self._item((tenant, work_item_id))
            state.history = sorted(history)
            if not trusted:
                self._fold((tenant, work_item_id))
            if not history and not booked:  # a row that no event confirms
                self._touched_items.add((tenant, work_item_id))
            state.booked |= booked
        self._idle_items.touch(dict.fromkeys(key[:2] for key in (*keys, *items)), self.watermark, self._next_cut)
        keys = list(panes.select(PANE_KEY).iter_rows())
        rows, _ = self._panes.rows(keys)
        self._panes.add(rows, panes.select(USAGE_MEASURES).to_numpy())
        self._idle_panes.touch(keys, self.watermark, self._next_cut)

    def touch_items(self, keys: pl.DataFrame) -> None:
        """Count items that are in memory as touched, with all their lines, so that the next cut writes them again."""
        for key in keys.select(ITEM_KEY).iter_rows():
            if (state := self._ledger.get(key)) is not None:
                self._touched_lines.update(state.lines)
                if state.history or state.booked:
                    self._touch_item(key)

    def touch_panes(self, keys: pl.DataFrame) -> None:
        """Likewise for panes."""
        held = [key for key in keys.select(PANE_KEY).iter_rows() if key in self._panes]
        self._touched_panes.update(self._panes.rows(held)[0].tolist())
        self._idle_panes.touch(held, self.watermark, self._next_cut)

    def forget(self, usage_watermark: int, items_watermark: int) -> None:
        """Let the dedup indexes forget what is older than the horizon at watermarks whose rows the store holds."""
        self.dedup.forget_before(usage_watermark - self.horizon_us, items_watermark - self.horizon_us)

    def settle(self, usage_watermark: int, items_watermark: int, cut: int) -> None:
        """A cut is stored, with these watermarks: forget identities and let go of items and panes that are idle for the horizon."""
        self.forget(usage_watermark, items_watermark)
        idle_before = max(usage_watermark, items_watermark) - self.horizon_us
        if items := self._idle_items.take(idle_before, cut):
            for key in items:
                self._lines.drop(self._lines.keys(self._ledger.pop(key).lines))
            self._stored_items.add(_item_hashes(items))
        if panes := self._idle_panes.take(idle_before, cut):
            self._panes.drop(panes)
            self._panes_stored_before = max(self._panes_stored_before, *(key[-1] + 1 for key in panes))

    # --- apply ----------------------------------------------------------------------------------------------------------------------

    def apply_usage(self, batch: pl.DataFrame) -> pl.Series:
        """Apply a usage batch; True for each row applied, False for each duplicate."""
        if batch.is_empty():
            return pl.Series([], dtype=pl.Boolean)
        new = self.dedup.new_usage(batch)
        usage = batch if new.all() else batch.filter(new)
        self._count(self.usage, batch, usage)
        if not usage.is_empty():
            usage = priced_usage(usage, self.prices)
            usage = usage.with_columns(first_prompt=self.dedup.new_prompts(usage))
            self._add_lines(line_totals(usage))
            self._add_panes(pane_totals(usage))
            self.add_actors(actors(usage))
        return new

    def apply_items(self, batch: pl.DataFrame) -> pl.Series:
        """Apply a work-item batch; True for each row applied, False for each duplicate."""
        if batch.is_empty():
            return pl.Series([], dtype=pl.Boolean)
        new = self.dedup.new_items(batch)
        events = batch if new.all() else batch.filter(new)
        self._count(self.items, batch, events)
        for tenant, work_item_id, event in item_events(events):
            key = (tenant, work_item_id)
            insort(self._item(key).history, event)
            self._touch_item(key)
        return new

    def _count(self, counts: Input, batch: pl.DataFrame, applied: pl.DataFrame) -> None:
        counts.applied += len(applied)
        counts.duplicates += len(batch) - len(applied)
        if not applied.is_empty():
            latest = applied["occurred_at"].max()
            assert isinstance(latest, int)
            counts.watermark = max(counts.watermark, latest)

    def _item(self, key: ItemKey) -> ItemState:
        state = self._ledger.get(key)
        if state is None:
            state = self._ledger[key] = ItemState()
        return state

    def _touch_item(self, key: ItemKey) -> None:
        self._touched_items.add(key)
        self._idle_items.touch((key,), self.watermark, self._next_cut)

    def _add_lines(self, totals: pl.DataFrame) -> None:
        if totals.is_empty():
            return
        keys = list(totals.select(LINE_KEY).iter_rows())
        rows, new = self._lines.rows(keys)
        self._lines.add(rows, totals.select(LINE_MEASURES).to_numpy(), totals["last_at"].to_numpy())
        self._touched_lines.update(rows.tolist())
        for key, row, is_new in zip(keys, rows.tolist(), new, strict=True):
            state = self._item(key[:2])
            if is_new:
                state.lines.append(row)
            if state.history:
                self._touched_items.add(key[:2])
        self._idle_items.touch(dict.fromkeys(key[:2] for key in keys), self.watermark, self._next_cut)

    def _add_panes(self, totals: pl.DataFrame) -> None:
        keys = list(totals.select(PANE_KEY).iter_rows())
        rows, _ = self._panes.rows(keys)
        self._panes.add(rows, totals.select(USAGE_MEASURES).to_numpy())
        self._touched_panes.update(rows.tolist())
        self._idle_panes.touch(keys, self.watermark, self._next_cut)

    def add_actors(self, frame: pl.DataFrame) -> None:
        """Add actors of panes (ACTOR_KEY)."""
        if frame.is_empty():
            return
        new = self.dedup.new_actors(frame)
        if new.any():
            self._new_actors.append(frame.filter(new))

    # --- cut ------------------------------------------------------------------------------------------------------------------------

    def cut(self) -> Touched:
        """The result rows touched since the last cut."""
        touched = Touched(self._next_cut, self._cut_lines(), self._cut_panes(), self._cut_actors(), self._cut_items())
        self._next_cut += 1
        self._touched_lines, self._touched_panes, self._touched_items, self._new_actors = set(), set(), set(), []
        return touched

    def _cut_lines(self) -> pl.DataFrame:
        rows = sorted(self._touched_lines)
        return _frame(LINE_SCHEMA, self._lines.keys(rows), LINE_MEASURES, self._lines.sums(rows)).with_columns(
            last_at=pl.Series(self._lines.latest(rows), dtype=pl.Int64)
        )

    def _cut_panes(self) -> pl.DataFrame:
        rows = sorted(self._touched_panes)
        return _frame(PANE_SCHEMA, self._panes.keys(rows), USAGE_MEASURES, self._panes.sums(rows))

    def _cut_actors(self) -> pl.DataFrame:
        return pl.concat(self._new_actors) if self._new_actors else pl.DataFrame(schema=ACTOR_SCHEMA)

    def _cut_items(self) -> list[ItemRow]:
        return [self._fold(key) for key in sorted(self._touched_items)]

    def _fold(self, key: ItemKey) -> ItemRow:
        tenant, work_item_id = key
        state = self._ledger[key]
        outcome = fold(work_item_id, state.history, self._item_lines(state), self.rules, self.prices)
        booked = {(b.at // PANE_US * PANE_US, b.team, b.tool, b.model, b.work_class) for b in outcome.bookings}
        marks = [
            Booking(at, "moved", team, tool, model, work_class, NO_AMOUNTS)
            for at, team, tool, model, work_class in sorted(state.booked - booked)
        ]
        state.booked = booked
        return ItemRow(tenant, work_item_id, state.history.copy(), outcome, outcome.bookings + marks)

    def _item_lines(self, state: ItemState) -> list[Line]:
        if not state.lines:
            return []
        sums = self._lines.sums(state.lines)[:, FOLDED].tolist()
        keys = self._lines.keys(state.lines)
        return [
            Line(day, team, tool, model, *values)
            for (_, _, day, team, tool, model), values in zip(keys, sums, strict=True)
            if values[0]  # without requests it is a stored row that raw events do not confirm
        ]


FOLDED: Final = [
    LINE_MEASURES.index(name)
    for name in ("requests", "known_requests", "incomplete_events", "tokens", "standard_cost_micro_usd")
]
NO_AMOUNTS: Final = (0,) * len(OUTCOME_MEASURES)
LINE_SCHEMA: Final = {
    "tenant": pl.String,
    "work_item_id": pl.String,
    "usage_day": pl.Int64,
    "team": pl.String,
    "tool": pl.String,
    "model": pl.String,
}
PANE_SCHEMA: Final = {
    "tenant": pl.String,
    "team": pl.String,
    "tool": pl.String,
    "model": pl.String,
    "pane_start": pl.Int64,
}
ACTOR_SCHEMA: Final = {**PANE_SCHEMA, "actor_hash": pl.UInt64}


def item_events(frame: pl.DataFrame) -> list[tuple[str, str, ItemEvent]]:
    """(tenant, work_item_id, event) of each row of decoded work-item events."""
    columns = frame.select("tenant", "work_item_id", *ItemEvent._fields)
    return [(tenant, item, item_event(values)) for tenant, item, *values in columns.iter_rows()]


def item_event(values: Sequence[Any]) -> ItemEvent:
    """An event from its fields in order, as a store returns them."""
    event = ItemEvent._make(values)
    return event._replace(labels=tuple(event.labels))


def item_hash(tenant: str, work_item_id: str) -> int:
    """xxHash64 of tenant/work_item_id: ClickHouse makes the same one of the items that it holds."""
    return xxhash.xxh64_intdigest(f"{tenant}/{work_item_id}".encode())


def _item_hashes(keys: Sequence[tuple[Any, ...]]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    return np.fromiter((item_hash(*key) for key in keys), np.uint64, len(keys))


def _frame(
    schema: dict[str, Any], keys: list[Any], measures: tuple[str, ...], sums: np.ndarray[Any, np.dtype[np.int64]]
) -> pl.DataFrame:
    named = pl.DataFrame(keys, schema=schema, orient="row")
    return named.hstack(pl.DataFrame(sums, schema=dict.fromkeys(measures, pl.Int64)))
