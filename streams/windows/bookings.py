"""The last known bookings of each work item: an update replaces an item's bookings as a whole."""

from __future__ import annotations

import numpy as np
import polars as pl

from streams.windows.groups import Mask, distinct
from streams.windows.measures import OUTCOME_MEASURES
from streams.windows.rolling import Ints

ITEM_KEY = ("kpart", "tenant", "work_item_id")
_NO_ROWS = (0, 0, 0)


def versions(frame: pl.DataFrame) -> Ints:
    """The version of each row of an update."""
    return frame["version"].cast(pl.Int64).to_numpy()


class ItemBookings:
    """Rows (series, pane, sums) by item, in arrays that grow at the end and are compacted when half of them is replaced."""

    def __init__(self) -> None:
        self._rows: dict[tuple[int, str, str], tuple[int, int, int]] = {}
        """Begin, end and version."""
        self._updated: set[tuple[int, str, str]] = set()
        self._places: Ints = np.zeros((64, 2), np.int64)
        self._values: Ints = np.zeros((64, len(OUTCOME_MEASURES)), np.int64)
        self._used = self._replaced = 0

    def replace(self, frame: pl.DataFrame, places: Ints, values: Ints, *, loading: bool) -> tuple[Ints, Ints, Mask]:
        """Take the rows of a frame (ITEM_KEY; places: series and pane of each) for the bookings of its items, unless newer ones are held.

        Returns what changes: places, values to add there, and which rows belong to items that no update has named since the state was
        loaded, or to an older update. The loaded state may be ahead of the updates, so equal values do not say that the windows have been
        written.
        """
        items, which = distinct(frame, ITEM_KEY)
        given = np.zeros(len(items), np.int64)
        given[which] = versions(frame)
        held = np.array([self._rows.get(item, _NO_ROWS)[2] for item in items.iter_rows()], np.int64)
        if not (older := (given < held)[which]).any():
            return self._replace(items, which, given, places, values, loading=loading)
        nothing = places[older], np.zeros_like(values[older]), np.ones(int(older.sum()), np.bool_)
        if older.all():
            return nothing
        rest = self.replace(frame.filter(~older), places[~older], values[~older], loading=loading)
        return tuple(np.concatenate(part) for part in zip(nothing, rest, strict=True))  # type: ignore[return-value]

    def _replace(
        self, items: pl.DataFrame, which: Ints, given: Ints, places: Ints, values: Ints, *, loading: bool
    ) -> tuple[Ints, Ints, Mask]:
        order = np.argsort(which, kind="stable")
        stops = np.cumsum(np.bincount(which, minlength=len(items)))
        old: list[Ints] = []
        doubtful: list[Mask] = []
        unnamed = np.zeros(len(items), np.bool_)
        start = 0
        self._reserve(len(which))
        for i, (item, stop, version) in enumerate(zip(items.iter_rows(), stops.tolist(), given.tolist(), strict=True)):
            begin, end, _ = self._rows.get(item, _NO_ROWS)
            unnamed[i] = item not in self._updated
            old.append(np.arange(begin, end))
            doubtful.append(np.full(end - begin, unnamed[i]))
            self._rows[item] = self._used + start, self._used + stop, version
            start = stop
            if not loading:
                self._updated.add(item)
        self._places[self._used : self._used + len(which)] = places[order]
        self._values[self._used : self._used + len(which)] = values[order]
        self._used += len(which)
        replaced = np.concatenate(old)
        self._replaced += len(replaced)
        changed = (
            np.concatenate([places, self._places[replaced]]),
            np.concatenate([values, -self._values[replaced]]),
            np.concatenate([unnamed[which], *doubtful]),
        )
        if self._replaced > self._used // 2:
            self._compact()
        return changed

    def _reserve(self, rows: int) -> None:
        room = len(self._places)
        while room < self._used + rows:
            room *= 2
        if room > len(self._places):
            self._places = np.resize(self._places, (room, 2))
            self._values = np.resize(self._values, (room, len(OUTCOME_MEASURES)))

    def _compact(self) -> None:
        kept = np.concatenate([np.arange(start, stop) for start, stop, _ in self._rows.values()])
        self._places[: len(kept)], self._values[: len(kept)] = self._places[kept], self._values[kept]
        start = 0
        for item, (begin, end, version) in self._rows.items():
            self._rows[item] = start, start + end - begin, version
            start += end - begin
        self._used, self._replaced = start, 0
