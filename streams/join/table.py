"""Rows by key: a hash table of 128-bit keys beside the columns of their rows, in flat arrays that compiled loops share.

A row costs its columns, 16 bytes of key and 8 to 16 of hash table. Rows of dropped keys are used again.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from streams.compiled import Number, compiled, given
from streams.events.texts import scrambled
from streams.join.growth import grown

Array = npt.NDArray[Any]
Rows = npt.NDArray[np.int32]

BEGUN, FREE, TOUCHED = 0, 1, 2
"""Places in `Table.counts`: rows ever begun, rows in `free`, rows in `touched`."""
LEAST: Final = 1024


class Table(NamedTuple):
    """What loops need of a table. `slots` [power of 2] int32 holds rows + 1, 0 is empty; `keys` [rows, 2] uint64; `free`, `touched` [rows] int32
    are lists of `counts` rows; `marks` [rows] uint8 says which rows are in `touched`."""

    slots: Array
    keys: Array
    free: Array
    touched: Array
    marks: Array
    counts: Array


class KeyTable:
    """Rows by key, with `columns` that grow along: name to (type, shape of a row)."""

    def __init__(self, **columns: tuple[Any, tuple[int, ...]]) -> None:
        self.table = Table(
            np.zeros(2 * LEAST, np.int32), np.zeros((LEAST, 2), np.uint64), np.zeros(LEAST, np.int32), np.zeros(LEAST, np.int32),
            np.zeros(LEAST, np.uint8), np.zeros(3, np.int64),
        )  # fmt: skip
        self.columns = {name: np.zeros((LEAST, *shape), kind) for name, (kind, shape) in columns.items()}

    def __len__(self) -> int:
        return int(self.table.counts[BEGUN] - self.table.counts[FREE])

    @property
    def nbytes(self) -> int:
        """Bytes of memory: room that no row has ever had is not backed by any."""
        begun, (slots, *rows, _) = int(self.table.counts[BEGUN]), self.table
        return int(slots.nbytes) + sum(column[:begun].nbytes for column in (*rows, *self.columns.values()))

    def __getitem__(self, column: str) -> Array:
        return self.columns[column]

    def reserve(self, more: int) -> None:
        """Make room for so many further keys: loops never grow a table."""
        table = self.table
        begun, held = int(table.counts[BEGUN]), len(self)
        needed = held + more
        if needed > len(table.keys):
            room = max(2 * len(table.keys), needed)
            keys, free, touched, marks = (
                grown(old, begun, room) for old in (table.keys, table.free, table.touched, table.marks)
            )
            self.columns = {name: grown(old, begun, room) for name, old in self.columns.items()}
            table = self.table = Table(table.slots, keys, free, touched, marks, table.counts)
        if 2 * needed > len(table.slots):
            slots = np.zeros(1 << (2 * needed - 1).bit_length(), np.int32)
            _refill(table.slots, table.keys, slots)
            self.table = table._replace(slots=slots)

    def find(self, keys: Array) -> Rows:
        """The row of each key ([n, 2] uint64), -1 where there is none."""
        out = np.empty(len(keys), np.int32)
        _find_all(self.table, given(keys), out)
        return out

    def place(self, keys: Array) -> tuple[Rows, npt.NDArray[np.bool_]]:
        """The row of each key, and whether it was begun by this call; new rows are all zero."""
        self.reserve(len(keys))
        out, new = np.empty(len(keys), np.int32), np.empty(len(keys), np.bool_)
        _place_all(self.table, given(keys), out, new)
        return out, new

    def rows(self) -> Rows:
        """The rows of all keys."""
        return self.table.slots[self.table.slots > 0] - np.int32(1)

    def rename(self, rows: Rows, keys: Array) -> None:
        """Change all keys: of each row to another that is unique."""
        assert len(rows) == len(self)
        self.table.keys[rows] = keys
        slots = np.zeros_like(self.table.slots)
        _refill(self.table.slots, self.table.keys, slots)
        self.table = self.table._replace(slots=slots)

    def drop(self, rows: Rows) -> None:
        """Forget keys by their rows."""
        _drop_all(self.table, given(rows))
        for column in self.columns.values():
            column[rows] = 0

    def touch(self, rows: Rows) -> None:
        """Add rows to the touched ones."""
        _touch_all(self.table, given(rows))

    def take_touched(self) -> Rows:
        """The touched rows, which then are no longer touched."""
        table = self.table
        rows = table.touched[: table.counts[TOUCHED]].copy()
        table.marks[rows] = 0
        table.counts[TOUCHED] = 0
        return rows


@compiled
def find(table: Table, high: Number, low: Number) -> Number:
    """The row of a key; -1: none."""
    mask = np.uint64(len(table.slots) - 1)
    at = scrambled(high ^ low) & mask
    while True:
        row = table.slots[at] - 1
        if row < 0 or (table.keys[row, 0] == high and table.keys[row, 1] == low):
            return row
        at = (at + np.uint64(1)) & mask


@compiled
def place(table: Table, high: Number, low: Number) -> tuple[Number, bool]:
    """The row of a key, and whether it was begun now: room for it must be reserved."""
    mask = np.uint64(len(table.slots) - 1)
    at = scrambled(high ^ low) & mask
    while True:
        row = table.slots[at] - 1
        if row < 0:
            break
        if table.keys[row, 0] == high and table.keys[row, 1] == low:
            return row, False
        at = (at + np.uint64(1)) & mask
    if table.counts[FREE]:
        table.counts[FREE] -= 1
        row = table.free[table.counts[FREE]]
    else:
        row = np.int32(table.counts[BEGUN])
        table.counts[BEGUN] += 1
    table.slots[at] = row + 1
    table.keys[row, 0], table.keys[row, 1] = high, low
    return row, True


@compiled
def drop(table: Table, row: Number) -> None:
    """Forget the key of a row. The caller zeroes the row's columns."""
    mask = np.uint64(len(table.slots) - 1)
    one = np.uint64(1)
    at = scrambled(table.keys[row, 0] ^ table.keys[row, 1]) & mask
    while table.slots[at] - 1 != row:
        at = (at + one) & mask
    # What stands behind a gap and belongs before it moves into it, so that a search still ends at the first empty slot.
    gap = at
    while True:
        at = (at + one) & mask
        other = table.slots[at] - 1
        if other < 0:
            break
        home = scrambled(table.keys[other, 0] ^ table.keys[other, 1]) & mask
        if ((at - home) & mask) >= ((at - gap) & mask):
            table.slots[gap] = other + 1
            gap = at
    table.slots[gap] = 0
    table.free[table.counts[FREE]] = row
    table.counts[FREE] += 1


@compiled
def touch(table: Table, row: Number) -> None:
    """Add a row to the touched ones."""
    if not table.marks[row]:
        table.marks[row] = 1
        table.touched[table.counts[TOUCHED]] = row
        table.counts[TOUCHED] += 1


@compiled
def _refill(old: Array, keys: Array, slots: Array) -> None:
    mask = np.uint64(len(slots) - 1)
    for k in range(len(old)):
        row = old[k] - 1
        if row >= 0:
            at = scrambled(keys[row, 0] ^ keys[row, 1]) & mask
            while slots[at]:
                at = (at + np.uint64(1)) & mask
            slots[at] = row + 1


@compiled
def _find_all(table: Table, keys: Array, out: Array) -> None:
    for i in range(len(keys)):
        out[i] = find(table, keys[i, 0], keys[i, 1])


@compiled
def _place_all(table: Table, keys: Array, out: Array, new: Array) -> None:
    for i in range(len(keys)):
        out[i], new[i] = place(table, keys[i, 0], keys[i, 1])


@compiled
def _drop_all(table: Table, rows: Array) -> None:
    for i in range(len(rows)):
        drop(table, rows[i])


@compiled
def _touch_all(table: Table, rows: Array) -> None:
    for i in range(len(rows)):
        touch(table, rows[i])
