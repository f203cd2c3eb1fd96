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
    """Int64 sums per key, shape (keys, measures), and one Int64 maximum per key."""

    def __init__(self, measures: int) -> None:
        self._row_of: dict[Key, int] = {}
        self._keys: list[Key] = []
        self._sums = np.zeros((1024, measures), np.int64)
        self._latest = np.zeros(1024, np.int64)

    def __len__(self) -> int:
        return len(self._keys)

    def rows(self, keys: Iterable[Key]) -> tuple[Rows, int]:
        """The row of each key, creating missing ones; and the number of rows that existed before."""
        known, row_of, names = len(self._keys), self._row_of, self._keys
        out = []
        for key in keys:
            row = row_of.get(key)
            if row is None:
                row = row_of[key] = len(names)
                names.append(key)
            out.append(row)
        while len(names) > len(self._sums):
            self._sums = np.concatenate([self._sums, np.zeros_like(self._sums)])
            self._latest = np.concatenate([self._latest, np.zeros_like(self._latest)])
        return np.array(out, np.int64), known

    def add(self, rows: Rows, sums: Int64s, latest: Int64s | None = None) -> None:
        """Add `sums` (shape (rows, measures)) at distinct `rows`; raise the maxima to `latest`."""
        self._sums[rows] += sums
        if latest is not None:
            self._latest[rows] = np.maximum(self._latest[rows], latest)

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
