"""What a join partition holds in memory: items with their ledger lines, panes and series. Sums only; what they mean is in join/partition.py."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from streams.compiled import given
from streams.events.avro import INLINE_BYTES
from streams.events.texts import Hashes, Texts, text_column
from streams.join.idle import Idle
from streams.join.keys import ITEM_KEY, LINE_KEY, PANE_KEY
from streams.join.ledger import (
    COUNTED,
    Items,
    Lines,
    Panes,
    add_to_lines,
    add_to_panes,
    counted,
    lines_of,
    move_texts,
    place_items,
    place_stored,
)
from streams.join.series import Series
from streams.join.table import KeyTable, Rows
from streams.join.usage import Usage, numbers
from streams.value.prices import PriceBook
from streams.windows.measures import LINE_MEASURES, PANE_US, USAGE_MEASURES

Array = npt.NDArray[Any]

LEAST_TEXT: Final = 1 << 20
"""Bytes of names before those of items that have gone are worth sweeping."""
LEAST_SERIES: Final = 1 << 16


class Memory:
    """Rows of items, lines and panes. Every change takes the watermark and the number of the cut that will hold it."""

    def __init__(self, prices: PriceBook, most_items: int, most_panes: int) -> None:
        self.series = Series(prices)
        self.items = KeyTable(name=(np.uint32, (2, 4)), line=(np.int32, ()), with_outcome=(np.uint8, ()))
        self.lines = KeyTable(sums=(np.int64, (len(LINE_MEASURES),)), last_at=(np.int64, ()), next=(np.int32, ()))
        self.panes = KeyTable(sums=(np.int64, (len(USAGE_MEASURES),)))
        self._idle_items, self._idle_panes = Idle(most_items), Idle(most_panes)
        self._text = np.empty(0, np.uint8)
        self._text_used = self._text_live = 0
        self._most_series = LEAST_SERIES

    @property
    def ledger_nbytes(self) -> int:
        """Bytes of memory of items and lines, names included."""
        return self.items.nbytes + self.lines.nbytes + self._idle_items.nbytes + self._text_used

    # --- views for the loops --------------------------------------------------------------------------------------------------------

    def _items(self) -> Items:
        return Items(
            self.items.table, self.items["name"], self.items["line"], self.items["with_outcome"], self._idle_items.order
        )

    def _lines(self) -> Lines:
        return Lines(self.lines.table, self.lines["sums"], self.lines["last_at"], self.lines["next"])

    def _panes(self) -> Panes:
        return Panes(self.panes.table, self.panes["sums"], self._idle_panes.order)

    # --- usage ----------------------------------------------------------------------------------------------------------------------

    def add(self, usage: Usage, new: Array, first_prompt: Array, watermark: int, cut: int) -> None:
        """Add the new ones of a batch to their lines and panes."""
        facts, n = usage.facts, len(new)
        amounts, priced = np.empty((n, len(COUNTED)), np.int64), np.empty(n, np.uint8)
        series = self.series
        counted(facts, series.changes, series.models, series.prices, amounts, priced)
        tenants, names = usage.columns.texts("tenant"), usage.columns.texts("work_item_id")
        rows = self._place_items(usage.item_keys, tenants, names, new, watermark, cut)
        self.lines.reserve(n)
        add_to_lines(new, rows, facts, amounts, self._items(), self._lines())
        self.panes.reserve(n)
        self._idle_panes.reserve(len(self.panes.table.keys))
        add_to_panes(new, facts, amounts, priced, usage.has_item, first_prompt, self._panes(), watermark, cut)

    def place_items(self, keys: Hashes, tenants: Texts, names: Texts, watermark: int, cut: int) -> Rows:
        """The rows of items, begun if need be; -1 where the name is empty."""
        return self._place_items(keys, tenants, names, given(np.ones(len(keys), np.bool_)), watermark, cut)

    def _place_items(self, keys: Hashes, tenants: Texts, names: Texts, new: Array, watermark: int, cut: int) -> Array:
        self.items.reserve(len(keys))
        self._idle_items.reserve(len(self.items.table.keys))
        most = int(_long(tenants.views[:, 0]).sum() + _long(names.views[:, 0]).sum())
        if self._text_used + most > len(self._text):
            grown = np.empty(2 * len(self._text) + most, np.uint8)
            grown[: self._text_used] = self._text[: self._text_used]
            self._text = grown
        rows = np.empty(len(keys), np.int32)
        used = place_items(
            new, given(keys), tenants.views, tenants.data, names.views, names.data, self._items(), self._text, self._text_used,
            watermark, cut, rows,
        )  # fmt: skip
        self._text_live += used - self._text_used
        self._text_used = used
        return given(rows)

    # --- stored rows ----------------------------------------------------------------------------------------------------------------

    def load_lines(self, rows: Rows, lines: pl.DataFrame) -> None:
        """Add stored lines (LINE_KEY, LINE_MEASURES, last_at) to items."""
        self.lines.reserve(len(rows))
        place_stored(
            rows, numbers(lines["usage_day"]), given(self.series.of(lines)), _sums(lines, LINE_MEASURES), numbers(lines["last_at"]),
            self._items(), self._lines(),
        )  # fmt: skip

    def load_panes(self, panes: pl.DataFrame, watermark: int, cut: int) -> None:
        """Add stored panes (PANE_KEY, USAGE_MEASURES)."""
        rows, _ = self.panes.place(self.pane_keys(panes))
        self.panes["sums"][rows] += _sums(panes, USAGE_MEASURES)
        self._idle_panes.touch(rows, watermark, cut)

    def pane_keys(self, panes: pl.DataFrame) -> Array:
        """The keys of panes (PANE_KEY) in their table."""
        return np.stack([panes["pane_start"].to_numpy() // PANE_US, self.series.of(panes)], axis=1).astype(np.uint64)

    def touch_panes(self, panes: pl.DataFrame, watermark: int, cut: int) -> None:
        """Count panes that are here as touched."""
        rows = self.panes.find(self.pane_keys(panes))
        rows = rows[rows >= 0]
        self.panes.touch(rows)
        self._idle_panes.touch(rows, watermark, cut)

    # --- reading --------------------------------------------------------------------------------------------------------------------

    def lines_of(self, items: Rows) -> tuple[Rows, Array]:
        """The rows of the lines of items, one item after the other, and where those of each item end."""
        out, ends = np.empty(4 * len(items), np.int32), np.empty(len(items), np.int64)
        found = lines_of(self._items(), self._lines(), given(items), out, ends)
        if found > len(out):
            out = np.empty(found, np.int32)
            lines_of(self._items(), self._lines(), given(items), out, ends)
        return out[:found], ends

    def names(self, items: Rows) -> pl.DataFrame:
        """ITEM_KEY of items."""
        views = self.items["name"][items]
        return pl.DataFrame({name: text_column(Texts(views[:, k], self._text)) for k, name in enumerate(ITEM_KEY)})

    def line_frame(self, rows: Rows) -> pl.DataFrame:
        """LINE_KEY, LINE_MEASURES and last_at of lines."""
        keys = self.lines.table.keys[rows]
        names = self.series.names(keys[:, 1].astype(np.int32))
        return names.with_columns(
            self.names((keys[:, 0] >> np.uint64(32)).astype(np.int32))["work_item_id"],
            pl.Series("usage_day", (keys[:, 0] & np.uint64(0xFFFFFFFF)).astype(np.int64)),
            *_measures(LINE_MEASURES, self.lines["sums"][rows]),
            pl.Series("last_at", self.lines["last_at"][rows]),
        ).select(*LINE_KEY, *LINE_MEASURES, "last_at")

    def pane_frame(self, rows: Rows) -> pl.DataFrame:
        """PANE_KEY and USAGE_MEASURES of panes."""
        keys = self.panes.table.keys[rows]
        return self.series.names(keys[:, 1].astype(np.int32)).with_columns(
            pl.Series("pane_start", keys[:, 0].astype(np.int64) * PANE_US),
            *_measures(USAGE_MEASURES, self.panes["sums"][rows]),
        ).select(*PANE_KEY, *USAGE_MEASURES)  # fmt: skip

    # --- letting go -----------------------------------------------------------------------------------------------------------------

    def idle_items(self, before: int, cut: int) -> Rows:
        """Rows of items to drop, which are in the order no more (join/idle.py)."""
        return self._idle_items.take(before, cut)

    def drop_items(self, rows: Rows) -> None:
        """Forget items and their lines."""
        self._text_live -= int(_long(self.items["name"][rows][:, :, 0]).sum())
        self.lines.drop(self.lines_of(rows)[0])
        self.items.drop(rows)
        if self._text_used > LEAST_TEXT and 2 * self._text_live < self._text_used:
            text = np.empty(2 * self._text_live, np.uint8)
            self._text_used = move_texts(self.items.table, self.items["name"], self._text, text)
            self._text = text

    def drop_idle_panes(self, before: int, cut: int) -> int:
        """Forget idle panes; returns the end (us) of the latest one, 0: none."""
        rows = self._idle_panes.take(before, cut)
        if not len(rows):
            return 0
        end = int(self.panes.table.keys[rows, 0].max() + 1) * PANE_US
        self.panes.drop(rows)
        if len(self.series) > self._most_series:
            self.series.forget_all_but((self.lines, self.panes))
            self._most_series = max(2 * len(self.series), LEAST_SERIES)
        return end


def _long(sizes: Array) -> Array:
    """Bytes that texts of these sizes take beside their views."""
    return np.where(sizes > INLINE_BYTES, sizes, 0).astype(np.int64)


def _sums(frame: pl.DataFrame, measures: tuple[str, ...]) -> Array:
    return given(frame.select(measures).to_numpy())


def _measures(names: tuple[str, ...], sums: Array) -> list[pl.Series]:
    return [pl.Series(name, np.ascontiguousarray(sums[:, k])) for k, name in enumerate(names)]
