"""What has not been touched for a while: rows in the order of their last touch, so that finding the idle ones costs nothing for the others."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from streams.compiled import Number, compiled, given
from streams.join.growth import grown

Array = npt.NDArray[Any]
Rows = npt.NDArray[np.int32]

BEFORE, AFTER = 0, 1
WATERMARK, CUT = 0, 1


class Order(NamedTuple):
    """A ring of rows. `links` [rows + 1, 2] int32: the neighbours of row - 1, of which number 0 stands for both ends; `stamps` [rows + 1, 2]
    int64: the watermark (us) and the number of the cut at the last touch, 0 of a row that is not in the ring; `total` [1]: rows."""

    links: Array
    stamps: Array
    total: Array


class Idle:
    """Rows of state in memory, each with the watermark and the number (from 1) of the cut at which it was last touched.

    Both stamps never go back from one call to the next.
    """

    def __init__(self, most: int) -> None:
        """`most`: rows to keep even when none of them is idle."""
        self._most = most
        self.order = Order(np.zeros((1, 2), np.int32), np.zeros((1, 2), np.int64), np.zeros(1, np.int64))

    @property
    def nbytes(self) -> int:
        """Bytes of memory for the rows in the order, if these are the first ones."""
        links, stamps, total = self.order
        return int(links[: total[0]].nbytes + stamps[: total[0]].nbytes)

    def reserve(self, rows: int) -> None:
        """Make room for rows up to this number."""
        links, stamps, total = self.order
        if len(links) <= rows:
            links, stamps = (grown(old, len(old), rows + 1) for old in (links, stamps))
            self.order = Order(links, stamps, total)

    def touch(self, rows: Rows, watermark: int, cut: int) -> None:
        """Rows were read or changed; they are part of cut number `cut`."""
        if len(rows):
            self.reserve(int(rows.max()) + 1)
            _move_all_to_end(self.order, given(rows), watermark, cut)

    def take(self, before: int, stored: int) -> Rows:
        """Remove and return rows last touched before a watermark, and the oldest of too many; only what cut `stored` or an earlier one holds."""
        out = np.empty(self.order.total[0], np.int32)
        return out[: _take(self.order, before, stored, int(self.order.total[0]) - self._most, out)].copy()


@compiled
def move_to_end(order: Order, row: Number, watermark: Number, cut: Number) -> None:
    """Touch a row: room for it must be reserved."""
    links, stamps, total = order
    at = row + 1
    if stamps[at, CUT] == cut and stamps[at, WATERMARK] == watermark:
        return
    if stamps[at, CUT]:
        links[links[at, BEFORE], AFTER] = links[at, AFTER]
        links[links[at, AFTER], BEFORE] = links[at, BEFORE]
    else:
        total[0] += 1
    last = links[0, BEFORE]
    links[at, BEFORE], links[at, AFTER] = last, 0
    links[last, AFTER] = at
    links[0, BEFORE] = at
    stamps[at, WATERMARK], stamps[at, CUT] = watermark, cut


@compiled
def _move_all_to_end(order: Order, rows: Array, watermark: Number, cut: Number) -> None:
    for i in range(len(rows)):
        move_to_end(order, rows[i], watermark, cut)


@compiled
def _take(order: Order, before: Number, stored: Number, excess: Number, out: Array) -> Number:
    links, stamps, total = order
    taken = 0
    at = links[0, AFTER]
    while at and stamps[at, CUT] <= stored and (stamps[at, WATERMARK] < before or taken < excess):
        out[taken] = at - 1
        taken += 1
        after = links[at, AFTER]
        stamps[at, CUT] = 0
        at = after
    links[0, AFTER] = at
    links[at, BEFORE] = 0
    total[0] -= taken
    return taken
