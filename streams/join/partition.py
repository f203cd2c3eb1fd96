"""The join of one input partition: usage and work-item batches in, touched result rows out.

Holds a cache of what ClickHouse stores for the partition: dedup indexes, ledger, items, panes. `apply_*` takes a decoded batch in offset
order; `cut` hands out every row touched since the last cut. No I/O: records older than the dedup horizon are looked up by the caller, who
passes the identities that it found to `remember_*` before it applies the batch.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl

from streams.join.batch import (
    ACTOR_KEY,
    LINE_KEY,
    PANE_KEY,
    PROMPT_KEY,
    actors,
    line_totals,
    pane_start,
    pane_totals,
    priced_usage,
)
from streams.join.outcome import Booking, ItemEvent, Line, Outcome, fold
from streams.join.seen import SeenIndex, Times, identity_hashes
from streams.join.totals import Totals
from streams.value.prices import PriceBook
from streams.value.rules import Rules
from streams.windows.measures import LINE_MEASURES, OUTCOME_MEASURES, PANE_US, USAGE_MEASURES

UNSEEN: Final = -(1 << 62)
"""A watermark before any event."""

BookingKey = tuple[int, str, str, str, str]
"""Where an item is booked: pane start (us), team, tool, model, work_class."""

LoadedItem = tuple[str, str, list[ItemEvent], set[BookingKey] | None]
"""tenant, work item, history, where it is booked (None: to be found by folding)."""


@dataclass(slots=True)
class Input:
    """What has been read of one topic of the partition."""

    begin: int = 0
    next_offset: int = 0
    watermark: int = UNSEEN
    applied: int = 0
    duplicates: int = 0
    dead: int = 0
    missing: int = 0


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

    lines: pl.DataFrame
    panes: pl.DataFrame
    actors: pl.DataFrame
    items: list[ItemRow]


class JoinPartition:
    """State of one input partition over both topics."""

    def __init__(self, partition: int, horizon_us: int, rules: Rules, prices: PriceBook) -> None:
        self.partition, self.horizon_us, self.rules, self.prices = partition, horizon_us, rules, prices
        self.usage, self.items = Input(), Input()
        self._usage_ids, self._item_ids = SeenIndex(), SeenIndex()
        self._prompts, self._actors = SeenIndex(), SeenIndex()
        self._lines, self._panes = Totals(len(LINE_MEASURES)), Totals(len(USAGE_MEASURES))
        self._ledger: dict[tuple[str, str], ItemState] = {}
        self._touched_lines: set[int] = set()
        self._touched_panes: set[int] = set()
        self._touched_items: set[tuple[str, str]] = set()
        self._new_actors: list[pl.DataFrame] = []

    # --- dedup ----------------------------------------------------------------------------------------------------------------------

    def usage_to_look_up(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Rows of a usage batch that are older than the horizon: ClickHouse must be asked about them."""
        return batch.filter(pl.col("occurred_at") < self._usage_ids.forgotten_before)

    def items_to_look_up(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Likewise for a work-item batch."""
        return batch.filter(pl.col("occurred_at") < self._item_ids.forgotten_before)

    def remember_usage(self, stored: pl.DataFrame) -> None:
        """Add stored usage (tenant, event_id, occurred_at and the columns of a prompt) to the indexes without applying it."""
        if not stored.is_empty():
            self._usage_ids.remember(*_ids(stored), self._times(stored))
            with_prompt = stored.filter(pl.col("prompt_fingerprint") != "").with_columns(pane_start())
            if not with_prompt.is_empty():
                self._prompts.remember(*identity_hashes(with_prompt, PROMPT_KEY), self._times(with_prompt))

    def remember_items(self, stored: pl.DataFrame) -> None:
        """Add stored work-item events (tenant, event_id, occurred_at) to the index without applying them."""
        if not stored.is_empty():
            self._item_ids.remember(*_ids(stored), self._times(stored))

    def forget(self, usage_watermark: int, items_watermark: int) -> None:
        """Let the dedup indexes forget what is older than the horizon at watermarks whose rows ClickHouse holds."""
        for index in (self._usage_ids, self._prompts, self._actors):
            index.forget_before(usage_watermark - self.horizon_us)
        self._item_ids.forget_before(items_watermark - self.horizon_us)

    def _times(self, frame: pl.DataFrame) -> Times:
        """Until when to remember: an identity applied late is kept from the watermark at which it came, so never dropped unstored."""
        times: Times = np.maximum(frame["occurred_at"].to_numpy(), max(self.usage.watermark, self.items.watermark))
        return times

    def _new_prompts(self, frame: pl.DataFrame) -> pl.Series:
        """1 for each row that is the first with its prompt within its pane, else 0."""
        first = np.zeros(len(frame), np.int64)
        with_prompt = np.flatnonzero((frame["prompt_fingerprint"] != "").to_numpy())
        if len(with_prompt):
            rows = frame[with_prompt]
            first[with_prompt] = self._prompts.add(*identity_hashes(rows, PROMPT_KEY), self._times(rows))
        return pl.Series(first)

    # --- apply ----------------------------------------------------------------------------------------------------------------------

    def apply_usage(self, batch: pl.DataFrame) -> pl.Series:
        """Apply a usage batch; True for each row applied, False for each duplicate."""
        if batch.is_empty():
            return pl.Series([], dtype=pl.Boolean)
        new = pl.Series(self._usage_ids.add(*_ids(batch), self._times(batch)))
        usage = batch if new.all() else batch.filter(new)
        self._count(self.usage, batch, usage)
        if not usage.is_empty():
            usage = priced_usage(usage, self.prices)
            usage = usage.with_columns(first_prompt=self._new_prompts(usage))
            self._add_lines(line_totals(usage))
            self._add_panes(pane_totals(usage))
            self._add_actors(actors(usage))
        return new

    def apply_items(self, batch: pl.DataFrame) -> pl.Series:
        """Apply a work-item batch; True for each row applied, False for each duplicate."""
        if batch.is_empty():
            return pl.Series([], dtype=pl.Boolean)
        new = pl.Series(self._item_ids.add(*_ids(batch), self._times(batch)))
        events = batch if new.all() else batch.filter(new)
        self._count(self.items, batch, events)
        for tenant, work_item_id, event in item_events(events):
            key = (tenant, work_item_id)
            insort(self._item(key).history, event)
            self._touched_items.add(key)
        return new

    def _count(self, counts: Input, batch: pl.DataFrame, applied: pl.DataFrame) -> None:
        counts.applied += len(applied)
        counts.duplicates += len(batch) - len(applied)
        if not applied.is_empty():
            latest = applied["occurred_at"].max()
            assert isinstance(latest, int)
            counts.watermark = max(counts.watermark, latest)

    def _item(self, key: tuple[str, str]) -> ItemState:
        state = self._ledger.get(key)
        if state is None:
            state = self._ledger[key] = ItemState()
        return state

    def _add_lines(self, totals: pl.DataFrame) -> None:
        if totals.is_empty():
            return
        keys = list(totals.select(LINE_KEY).iter_rows())
        rows, known = self._lines.rows(keys)
        self._lines.add(rows, totals.select(LINE_MEASURES).to_numpy(), totals["last_at"].to_numpy())
        self._touched_lines.update(rows.tolist())
        for key, row in zip(keys, rows.tolist(), strict=True):
            item = key[:2]
            state = self._item(item)
            if row >= known:
                state.lines.append(row)
            if state.history:
                self._touched_items.add(item)

    def _add_panes(self, totals: pl.DataFrame) -> None:
        rows, _ = self._panes.rows(totals.select(PANE_KEY).iter_rows())
        self._panes.add(rows, totals.select(USAGE_MEASURES).to_numpy())
        self._touched_panes.update(rows.tolist())

    def _add_actors(self, frame: pl.DataFrame) -> None:
        if frame.is_empty():
            return
        new = self._actors.add(*identity_hashes(frame, ACTOR_KEY), frame["pane_start"].to_numpy())
        if new.any():
            self._new_actors.append(frame.filter(pl.Series(new)))

    # --- cut ------------------------------------------------------------------------------------------------------------------------

    def cut(self) -> Touched:
        """The result rows touched since the last cut."""
        touched = Touched(self._cut_lines(), self._cut_panes(), self._cut_actors(), self._cut_items())
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

    def _fold(self, key: tuple[str, str]) -> ItemRow:
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
        ]

    # --- load -----------------------------------------------------------------------------------------------------------------------

    def load(self, lines: pl.DataFrame, panes: pl.DataFrame, items: list[LoadedItem]) -> None:
        """Take stored rows as the state (of an empty partition); they count as stored, not as touched."""
        self._add_lines(lines)
        if not panes.is_empty():
            self._add_panes(panes)
        for tenant, work_item_id, history, booked in items:
            state = self._item((tenant, work_item_id))
            state.history = sorted(history)
            if booked is None:
                self._fold((tenant, work_item_id))
            else:
                state.booked = booked
        self._touched_lines, self._touched_panes, self._touched_items = set(), set(), set()

    def touch_items(self, keys: list[tuple[str, str]]) -> None:
        """Count items as touched, so that the next cut writes them again."""
        self._touched_items.update(keys)


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


def _ids(frame: pl.DataFrame) -> tuple[np.ndarray[Any, np.dtype[np.uint64]], np.ndarray[Any, np.dtype[np.uint64]]]:
    return identity_hashes(frame, ["tenant", "event_id"])


def _frame(
    schema: dict[str, Any], keys: list[Any], measures: tuple[str, ...], sums: np.ndarray[Any, np.dtype[np.int64]]
) -> pl.DataFrame:
    named = pl.DataFrame(keys, schema=schema, orient="row")
    return named.hstack(pl.DataFrame(sums, schema=dict.fromkeys(measures, pl.Int64)))
