"""The join of one input partition: usage and work-item batches in, touched result rows out.

Holds a cache of what ClickHouse stores for the partition: dedup indexes, ledger, items, panes. `apply_*` takes a decoded batch in offset
order; `cut` hands out every row touched since the last cut; `settle` lets go of what has been idle for the horizon once a cut is stored.

No I/O. What a batch needs and memory does not hold, the caller reads from the store before it applies the batch: items and panes
(`absent_items`, `absent_panes`, then `load`), identities of records older than the horizon (join/dedup.py).
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from streams.compiled import given
from streams.events.text_columns import TextColumns
from streams.events.texts import Hashes, Texts, hashes, xxhash64
from streams.join.dedup import Dedup, event_ids
from streams.join.filter import KeyFilter
from streams.join.input import UNSEEN, Input
from streams.join.keys import ACTOR_KEY, ACTOR_SCHEMA, ITEM_KEY, PANE_KEY
from streams.join.memory import Memory
from streams.join.outcome import Booking, ItemEvent, Line, Outcome, counts_usage, fold
from streams.join.table import Rows
from streams.join.usage import Usage, actor_ids, item_hashes, pane_ids, prompt_ids
from streams.value.prices import PriceBook
from streams.value.rules import Rules
from streams.windows.measures import OUTCOME_MEASURES, PANE_US

MOST_ITEMS: Final = 500_000
MOST_PANES: Final = 500_000
"""In memory per partition: bounds a backfill, in which no watermark moves that would make anything idle."""

BookingKey = tuple[int, str, str, str, str]
"""Where an item is booked: pane start (us), team, tool, model, work_class."""

LoadedItem = tuple[str, str, list[ItemEvent], set[BookingKey], bool]
"""Tenant, work item, history, where it is booked as stored, and whether that is all (else folding finds more)."""


@dataclass(slots=True)
class ItemState:
    """A work item's history in fold order, and where it is booked."""

    history: list[ItemEvent] = field(default_factory=list)
    booked: set[BookingKey] = field(default_factory=set)


class ItemRow(NamedTuple):
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
        self.partition, self.horizon_us, self.rules = partition, horizon_us, rules
        self.usage, self.items = Input(), Input()
        self.trusted_since = 0
        """The version from which on stored result rows are of this incarnation."""
        self.rebuilding = False
        """Whether stored result rows are to be computed again, not loaded."""
        self.dedup = Dedup()
        self._prices = prices
        self._memory = Memory(prices, MOST_ITEMS, MOST_PANES)
        self._states: dict[int, ItemState] = {}
        self._new_actors: list[pl.DataFrame] = []
        self._next_cut = 1
        self._stored_items = KeyFilter()
        self.panes_stored_before = UNSEEN
        """The end of a pane: the store may hold earlier ones that memory does not."""

    @property
    def prices(self) -> PriceBook:
        """The prices of what is applied from now on."""
        return self._prices

    @prices.setter
    def prices(self, prices: PriceBook) -> None:
        if prices.lines != self._prices.lines:
            self._memory.series.price(prices)
        self._prices = prices

    @property
    def watermark(self) -> int:
        """The highest event time (us) applied, of both topics."""
        return max(self.usage.watermark, self.items.watermark)

    @property
    def size(self) -> dict[str, int]:
        """What is in memory, for metrics."""
        memory = self._memory
        kept = {"items": len(memory.items), "lines": len(memory.lines), "panes": len(memory.panes)}
        return kept | {"identities": len(self.dedup)}

    @property
    def nbytes(self) -> dict[str, int]:
        """Bytes of memory of the ledger and of the dedup index."""
        return {"lines": self._memory.ledger_nbytes, "identities": self.dedup.nbytes}

    # --- what is only in the store ----------------------------------------------------------------------------------------------------

    def expect_stored(self, names: Hashes) -> None:
        """Of a partition that is taken over: the hashes (`item_hashes`) of the names of all stored items, and that its panes up to the watermark are stored."""
        self._stored_items.add(names)
        self.panes_stored_before = (self.watermark // PANE_US + 1) * PANE_US

    def absent_items(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Tenant and work_item_id of items of a batch that the store may hold, but not memory."""
        keys = batch.select(ITEM_KEY)
        if self._stored_items.empty:
            return keys.clear()
        absent = self._memory.items.find(item_keys(keys)) < 0
        keys = keys.filter(absent & (keys["work_item_id"] != "").to_numpy()).unique(maintain_order=True)
        return keys.filter(self._stored_items.holds(item_hashes(keys["tenant"], keys["work_item_id"])))

    def absent_panes(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Those of the panes (PANE_KEY) in a batch that the store may hold, but not memory.

        A flush that was never committed may have stored later ones: its records come again and write them anew, unless they are lost.
        """
        if not self.rebuilding:
            batch = batch.filter(pl.col("pane_start") < self.panes_stored_before)
        keys = batch.select(PANE_KEY).unique(maintain_order=True)
        return keys.filter(self._memory.panes.find(self._memory.pane_keys(keys)) < 0)

    def load(self, lines: pl.DataFrame, panes: pl.DataFrame, items: list[LoadedItem]) -> None:
        """Take stored rows of keys that are not in memory (of an item all at once); they do not count as touched."""
        self._memory.load_lines(self._place(lines), lines)
        names = pl.DataFrame([item[:2] for item in items], schema=dict.fromkeys(ITEM_KEY, pl.String), orient="row")
        rows = self._place(names)
        for row, (_, _, history, booked, _) in zip(rows.tolist(), items, strict=True):
            self._states[row] = ItemState(sorted(history), booked)
        self._memory.items["with_outcome"][rows] = [any(map(counts_usage, history)) for _, _, history, _, _ in items]
        # What a stored item has left since it was booked as stored must be marked: the bookings of now count besides those.
        doubtful = rows[np.array([not trusted for *_, trusted in items], np.bool_)]
        stored = {row: self._states[row].booked for row in doubtful.tolist()}
        self._folded(doubtful)
        for row, booked in stored.items():
            self._states[row].booked |= booked
        nothing = [not history and not booked for _, _, history, booked, _ in items]  # rows that no event confirms
        self._memory.items.touch(rows[np.array(nothing, np.bool_)])
        self._memory.load_panes(panes, self.watermark, self._next_cut)

    def touch_items(self, keys: pl.DataFrame) -> None:
        """Count items that are in memory as touched, with all their lines, so that the next cut writes them again."""
        memory = self._memory
        rows = memory.items.find(item_keys(keys))
        rows = self._place(keys.filter(rows >= 0))
        memory.lines.touch(memory.lines_of(rows)[0])
        known = [row for row in rows.tolist() if (state := self._states.get(row)) and (state.history or state.booked)]
        memory.items.touch(np.array(known, np.int32))

    def touch_panes(self, keys: pl.DataFrame) -> None:
        """Likewise for panes."""
        self._memory.touch_panes(keys, self.watermark, self._next_cut)

    def remember_prompts(self, stored: pl.DataFrame) -> None:
        """Let the dedup index know the prompts of stored usage."""
        found = stored.filter(pl.col("prompt_fingerprint") != "")
        self.dedup.remember_prompts(found, self._memory.series.keys_of(found))

    def forget(self, usage_watermark: int, items_watermark: int) -> None:
        """Let the dedup indexes forget what is older than the horizon at watermarks whose rows the store holds."""
        self.dedup.forget_before(usage_watermark - self.horizon_us, items_watermark - self.horizon_us)

    def settle(self, usage_watermark: int, items_watermark: int, cut: int) -> None:
        """A cut is stored, with these watermarks: forget identities and let go of items and panes that are idle for the horizon."""
        self.forget(usage_watermark, items_watermark)
        idle_before, memory = max(usage_watermark, items_watermark) - self.horizon_us, self._memory
        if len(rows := memory.idle_items(idle_before, cut)):
            names = memory.names(rows)
            self._stored_items.add(item_hashes(names["tenant"], names["work_item_id"]))
            for row in rows.tolist():
                self._states.pop(row, None)
            memory.drop_items(rows)
        self.panes_stored_before = max(self.panes_stored_before, memory.drop_idle_panes(idle_before, cut))

    # --- apply ----------------------------------------------------------------------------------------------------------------------

    def apply_usage(self, batch: pl.DataFrame | TextColumns) -> pl.Series:
        """Apply a usage batch; True for each row applied, False for each duplicate."""
        columns = TextColumns(batch) if isinstance(batch, pl.DataFrame) else batch
        if columns.frame.is_empty():
            return pl.Series([], dtype=pl.Boolean)
        usage = Usage.of(columns, self._memory.series)
        new = self.dedup.usage.add(usage.ids, usage.facts.at)
        self._count(self.usage, new, usage.facts.at)
        if new.any():
            self._memory.add(usage, given(new), self._first_prompts(usage, new), self.watermark, self._next_cut)
            self._add_actors(usage, new)
        return pl.Series(new)

    def apply_items(self, batch: pl.DataFrame) -> pl.Series:
        """Apply a work-item batch; True for each row applied, False for each duplicate."""
        if batch.is_empty():
            return pl.Series([], dtype=pl.Boolean)
        times = batch["occurred_at"].to_numpy()
        new = self.dedup.items.add(event_ids(batch), times)
        self._count(self.items, new, times)
        events = batch if new.all() else batch.filter(new)
        rows, with_outcome = self._place(events), list[int]()
        for row, (_, _, event) in zip(rows.tolist(), item_events(events), strict=True):
            insort(self._state(row).history, event)
            if counts_usage(event):
                with_outcome.append(row)
        self._memory.items["with_outcome"][with_outcome] = 1
        self._memory.items.touch(rows)
        return pl.Series(new)

    def _count(self, counts: Input, new: Any, times: Any) -> None:
        counts.applied += int(new.sum())
        counts.duplicates += int(len(new) - new.sum())
        if new.any():
            counts.watermark = max(counts.watermark, int(times[new].max()))

    def _first_prompts(self, usage: Usage, new: Any) -> Any:
        """1 for each new event with a prompt that is the first of its kind in its pane."""
        asked = new & usage.facts.has_prompt.view(np.bool_)
        if not asked.any():
            return given(asked.view(np.uint8))
        ids = prompt_ids(usage.columns, usage.pane_ids)
        return given(self.dedup.new_prompts(ids, usage.panes, asked).view(np.uint8))

    def _add_actors(self, usage: Usage, new: Any) -> None:
        actors = usage.columns.texts("actor")
        names = xxhash64(actors)
        found = self.dedup.new_actors(actor_ids(usage.pane_ids, names), usage.panes, new & (actors.views[:, 0] > 0))
        if found.any():
            self._new_actors.append(
                self._memory.series.names(usage.facts.series[found]).with_columns(
                    pl.Series("pane_start", usage.panes[found] * PANE_US), pl.Series("actor_hash", names[found])
                )
            )

    def add_actors(self, frame: pl.DataFrame) -> None:
        """Add actors of panes (ACTOR_KEY)."""
        if len(frame):
            panes = frame["pane_start"].to_numpy() // PANE_US
            ids = actor_ids(pane_ids(panes, self._memory.series.keys_of(frame)), frame["actor_hash"].to_numpy())
            found = self.dedup.new_actors(ids, panes, np.ones(len(frame), np.bool_))
            self._new_actors.append(frame.select(ACTOR_KEY).filter(found))

    def _place(self, keys: pl.DataFrame) -> Rows:
        """The rows of items (ITEM_KEY), begun if need be."""
        tenants, names = Texts.of(keys["tenant"]), Texts.of(keys["work_item_id"])
        return self._memory.place_items(hashes(tenants, names), tenants, names, self.watermark, self._next_cut)

    def _state(self, row: int) -> ItemState:
        state = self._states.get(row)
        if state is None:
            state = self._states[row] = ItemState()
        return state

    # --- cut ------------------------------------------------------------------------------------------------------------------------

    def cut(self) -> Touched:
        """The result rows touched since the last cut."""
        memory = self._memory
        touched = Touched(
            self._next_cut,
            memory.line_frame(memory.lines.take_touched()),
            memory.pane_frame(memory.panes.take_touched()),
            pl.concat(self._new_actors) if self._new_actors else pl.DataFrame(schema=ACTOR_SCHEMA),
            sorted(self._folded(memory.items.take_touched()), key=lambda row: (row.tenant, row.work_item_id)),
        )
        self._next_cut += 1
        self._new_actors = []
        return touched

    def _folded(self, rows: Rows) -> list[ItemRow]:
        """Items as they stand, which also is where they are booked from now on."""
        names = self._memory.names(rows).iter_rows()
        return [
            self._fold(row, tenant, work_item_id, lines)
            for row, (tenant, work_item_id), lines in zip(rows.tolist(), names, self._item_lines(rows), strict=True)
        ]

    def _fold(self, row: int, tenant: str, work_item_id: str, lines: list[Line]) -> ItemRow:
        state = self._state(row)
        outcome = fold(work_item_id, state.history, lines, self.rules, self.prices)
        booked = {(b.at // PANE_US * PANE_US, b.team, b.tool, b.model, b.work_class) for b in outcome.bookings}
        marks = [
            Booking(at, "moved", team, tool, model, work_class, NO_AMOUNTS)
            for at, team, tool, model, work_class in sorted(state.booked - booked)
        ]
        state.booked = booked
        return ItemRow(tenant, work_item_id, state.history.copy(), outcome, outcome.bookings + marks)

    def _item_lines(self, items: Rows) -> Iterator[list[Line]]:
        rows, ends = self._memory.lines_of(items)
        lines = [Line._make(values) for values in self._memory.line_frame(rows).select(Line._fields).iter_rows()]
        begin = 0
        for end in ends.tolist():
            # Without requests it is a stored row that raw events do not confirm.
            yield [line for line in lines[begin:end] if line.requests]
            begin = end


_LABELS: Final = ItemEvent._fields.index("labels")
NO_AMOUNTS: Final = (0,) * len(OUTCOME_MEASURES)


def computed(usage: pl.DataFrame, prices: PriceBook) -> Touched:
    """The result rows that stored usage makes by itself."""
    state = JoinPartition(0, 0, Rules.shipped(), prices)
    state.apply_usage(usage)
    return state.cut()


def item_keys(frame: pl.DataFrame) -> Hashes:
    """What identifies items (ITEM_KEY) in memory."""
    return hashes(Texts.of(frame["tenant"]), Texts.of(frame["work_item_id"]))


def item_events(frame: pl.DataFrame) -> list[tuple[str, str, ItemEvent]]:
    """(tenant, work_item_id, event) of each row of decoded work-item events."""
    columns = [frame[name].to_list() for name in ItemEvent._fields]
    columns[_LABELS] = list(map(tuple, columns[_LABELS]))
    events = map(ItemEvent._make, zip(*columns, strict=True))
    return list(zip(frame["tenant"].to_list(), frame["work_item_id"].to_list(), events, strict=True))


def item_event(values: Sequence[Any]) -> ItemEvent:
    """An event from its fields in order, as a store returns them."""
    event = ItemEvent._make(values)
    return event._replace(labels=tuple(event.labels))
