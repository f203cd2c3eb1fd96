"""Which item a session is about: drawn from those that are being worked on at its time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from streams.local.traffic.items import Item
from streams.local.traffic.rhythm import Floats, Ints
from streams.windows.measures import DAY_US

Strings = npt.NDArray[np.object_]

CLASSES: Final = ("core", "supporting", "low_value")
_PICK_ROWS: Final = 4096


class ItemTable:
    """The items of one team as columns, to draw sessions' items from."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.start: Ints = np.array([i.start_us for i in items], dtype=np.int64)
        self.end: Ints = np.array([i.end_us for i in items], dtype=np.int64)
        used = np.array([i.card.use == "assisted" for i in items], dtype=bool)
        self.pull: Floats = np.array([i.effort for i in items], dtype=np.float64) * used
        self.kind: Strings = np.array([i.injected or i.work_class for i in items], dtype=object)

    def pick(self, rng: np.random.Generator, times: Ints, kind: str) -> Ints:
        """For each time an item of the kind that is being worked on then, drawn by its pull; -1 where there is none."""
        return self._pick(rng, times, self.start, self.end, (self.kind == kind) & (self.pull > 0))

    def pick_closed(self, rng: np.random.Generator, times: Ints, days: tuple[float, float]) -> Ints:
        """For each time an item that was closed so many days before."""
        begin, end = self.end + int(days[0] * DAY_US), self.end + int(days[1] * DAY_US)
        return self._pick(rng, times, begin, end, (self.pull > 0) & np.isin(self.kind, CLASSES))

    def ids(self, rows: Ints) -> Strings:
        """Names of the items; '' for -1."""
        names = np.array([*(i.item_id for i in self.items), ""], dtype=object)
        return names[rows]

    def _pick(self, rng: np.random.Generator, times: Ints, begin: Ints, end: Ints, fits: npt.NDArray[np.bool_]) -> Ints:
        out = np.full(len(times), -1, dtype=np.int64)
        # In slices: the matrix of sessions by items would outgrow memory on a long demo.
        for lo in range(0, len(times), _PICK_ROWS):
            part = times[lo : lo + _PICK_ROWS]
            near = np.flatnonzero(fits & (begin < part.max()) & (end > part.min()))
            if not len(near):
                continue
            active = (begin[near] <= part[:, None]) & (end[near] > part[:, None])
            reach = np.cumsum(active * self.pull[near], axis=1)
            total = reach[:, -1]
            column = (reach < (rng.random(len(part)) * total)[:, None]).sum(axis=1)
            out[lo : lo + _PICK_ROWS] = np.where(total > 0, near[np.minimum(column, len(near) - 1)], -1)
        return out
