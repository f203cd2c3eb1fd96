"""The last known bookings of each work item: an update replaces an item's bookings as a whole."""

from __future__ import annotations

from collections.abc import Mapping

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


def _versions_of(frame: pl.DataFrame, items: pl.DataFrame, which: Ints) -> Ints:
    found = np.zeros(len(items), np.int64)
    found[which] = versions(frame)
    return found


class ItemBookings:
    """Rows (series, pane, sums) by item, in arrays that grow at the end and are compacted when half of them is replaced.

    An item is kept with all its bookings for as long as one of them is recent, so that an update that repeats the old ones changes nothing.
    Of items that are not kept nothing is known but this: an input partition's updates are published in the order of their versions, so one
    that is older than the newest of its partition is of a worker that lost the partition, and its successor has told the same or more.
    """

    def __init__(self) -> None:
        self._rows: dict[tuple[int, str, str], tuple[int, int, int]] = {}
        """Begin, end and version."""
        self._updated: set[tuple[int, str, str]] = set()
        self._newest: dict[int, int] = {}
        """By input partition: the highest version that updates had, or that the store held with all rows before it."""
        self._places: Ints = np.zeros((64, 2), np.int64)
        self._values: Ints = np.zeros((64, len(OUTCOME_MEASURES)), np.int64)
        self._used = self._replaced = 0

    def load(self, frame: pl.DataFrame, places: Ints, values: Ints, versions_held: Mapping[int, int]) -> None:
        """Take stored rows; `versions_held`: by input partition a version up to which the store held the rows of all updates."""
        self._newest = dict(versions_held)
        if len(places):
            items, which = distinct(frame, ITEM_KEY)
            self._replace(items, which, _versions_of(frame, items, which), places, values, loading=True)

    def replace(self, frame: pl.DataFrame, places: Ints, values: Ints) -> tuple[Ints, Ints, Mask]:
        """Take the rows of a frame (ITEM_KEY; places: series and pane of each) for the bookings of its items, unless they are old.

        Returns what changes: places, values to add there, and which rows belong to items that no update has named since they are kept, or
        to an older update. The loaded state may be ahead of the updates, so equal values do not say that the windows have been written.
        """
        items, which = distinct(frame, ITEM_KEY)
        given = _versions_of(frame, items, which)
        held = np.array([self._held(item) for item in items.iter_rows()], np.int64)
        for kpart, version in zip(items["kpart"].to_list(), given.tolist(), strict=True):
            self._newest[kpart] = max(self._newest.get(kpart, 0), version)
        if not (older := (given < held)[which]).any():
            return self._replace(items, which, given, places, values, loading=False)
        nothing = places[older], np.zeros_like(values[older]), np.ones(int(older.sum()), np.bool_)
        if older.all():
            return nothing
        frame = frame.filter(~older)
        items, which = distinct(frame, ITEM_KEY)
        rest = self._replace(
            items, which, _versions_of(frame, items, which), places[~older], values[~older], loading=False
        )
        return tuple(np.concatenate(part) for part in zip(nothing, rest, strict=True))  # type: ignore[return-value]

    def _held(self, item: tuple[int, str, str]) -> int:
        kept = self._rows.get(item)
        return self._newest.get(item[0], 0) if kept is None else kept[2]

    def forget(self, before: int) -> None:
        """Drop the items all of whose bookings lie in panes before a number."""
        if not self._rows:
            return
        self._compact()
        starts = np.array([begin for begin, _, _ in self._rows.values()])
        latest = np.maximum.reduceat(self._places[: self._used, 1], starts)
        for item, pane in zip(list(self._rows), latest.tolist(), strict=True):
            if pane < before:
                begin, end, _ = self._rows.pop(item)
                self._replaced += end - begin
                self._updated.discard(item)

    def __len__(self) -> int:
        """Rows in memory."""
        return self._used

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
        if not self._replaced:
            return
        spans = [np.arange(start, stop) for start, stop, _ in self._rows.values()]
        kept = np.concatenate(spans) if spans else np.zeros(0, np.int64)
        self._places[: len(kept)], self._values[: len(kept)] = self._places[kept], self._values[kept]
        start = 0
        for item, (begin, end, version) in self._rows.items():
            self._rows[item] = start, start + end - begin, version
            start += end - begin
        self._used, self._replaced = start, 0
