"""Running totals per key: a dict from key to row beside flat Int64 columns, so that a batch is added with two vector operations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Key = tuple[Any, ...]
Rows = npt.NDArray[np.int64]
Int64s = npt.NDArray[np.int64]


class Totals:
    """Int64 sums per key, shape (keys, measures), and one Int64 maximum per key. Rows of dropped keys are used again."""

    def __init__(self, measures: int) -> None:
        self._row_of: dict[Key, int] = {}
        self._keys: list[Key] = []
        self._free: list[int] = []
        self._sums = np.zeros((1024, measures), np.int64)
        self._latest = np.zeros(1024, np.int64)

    def __len__(self) -> int:
        return len(self._row_of)

    def __contains__(self, key: Key) -> bool:
        return key in self._row_of

    def rows(self, keys: Iterable[Key]) -> tuple[Rows, list[bool]]:
        """The row of each key, and whether it is a new one, created at zero."""
        row_of, names, free = self._row_of, self._keys, self._free
        out, new = [], []
        for key in keys:
            row = row_of.get(key)
            new.append(row is None)
            if row is None:
                if free:
                    row = free.pop()
                    names[row] = key
                else:
                    row = len(names)
                    names.append(key)
                row_of[key] = row
            out.append(row)
        while len(names) > len(self._sums):
            self._sums = np.concatenate([self._sums, np.zeros_like(self._sums)])
            self._latest = np.concatenate([self._latest, np.zeros_like(self._latest)])
        return np.array(out, np.int64), new

    def add(self, rows: Rows, sums: Int64s, latest: Int64s | None = None) -> None:
        """Add `sums` (shape (rows, measures)) at distinct `rows`; raise the maxima to `latest`."""
        self._sums[rows] += sums
        if latest is not None:
            self._latest[rows] = np.maximum(self._latest[rows], latest)

    def drop(self, keys: Iterable[Key]) -> None:
        """Forget keys that are there."""
        dropped = [self._row_of.pop(key) for key in keys]
        self._sums[dropped] = 0
        self._latest[dropped] = 0
        for row in dropped:
            self._keys[row] = ()
        self._free += dropped

    def keys(self, rows: Sequence[int] | Rows) -> list[Key]:
        """The keys of rows."""
        names = self._keys
        return [names[row] for row in rows]

    def sums(self, rows: Sequence[int] | Rows) -> Int64s:
        """The sums of rows, shape (rows, measures)."""
        return self._sums[rows]

    def latest(self, rows: Sequence[int] | Rows) -> Int64s:
        """The maxima of rows."""
        return self._latest[rows]
