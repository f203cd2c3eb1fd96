"""The dedup index: which identities a partition has already applied.

A set of 128-bit hashes in sorted runs that are merged like a log-structured tree, so that adding a batch costs a few binary searches over
flat arrays. Collisions of one half are resolved by the other; two identities would have to agree in 128 bits to be mistaken.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

Hashes = npt.NDArray[np.uint64]
Times = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

MOST_LATE: Final = 1 << 20
"""Late identities in memory (24 bytes each), before those that the store holds are dropped: bounds a backfill under a standing watermark."""

_SEEDS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)


def identity_hashes(frame: pl.DataFrame, columns: list[str]) -> tuple[Hashes, Hashes]:
    """Two independent 64-bit hashes of the columns of each row; stable within a process only, so never stored."""
    key = frame.select(pl.struct(columns)).to_series() if len(columns) > 1 else frame[columns[0]]
    high, low = (key.hash(seed).to_numpy() for seed in _SEEDS)
    return high, low


class _Run(NamedTuple):
    high: Hashes
    low: Hashes
    at: Times


class _Runs:
    """Sorted runs, the longest first."""

    def __init__(self) -> None:
        self._runs: list[_Run] = []

    def __len__(self) -> int:
        return sum(len(run.high) for run in self._runs)

    def contain(self, high: Hashes, low: Hashes) -> Mask:
        """Which of the identities, ascending by `high`, are there."""
        found = np.zeros(len(high), np.bool_)
        for run in self._runs:
            found |= _contains(run, high, low)
        return found

    def append(self, run: _Run, drop_before: int) -> None:
        """Add a sorted run; what is older than `drop_before` may go when runs are merged."""
        if not len(run.high):
            return
        self._runs.append(run)
        while len(self._runs) > 1 and len(self._runs[-1].high) * 2 > len(self._runs[-2].high):
            b, a = self._runs.pop(), self._runs.pop()
            high, low, at = (np.concatenate(pair) for pair in zip(a, b, strict=True))
            if not (keep := at >= drop_before).all():
                high, low, at = high[keep], low[keep], at[keep]
            order = np.argsort(high, kind="stable")
            self._runs.append(_Run(high[order], low[order], at[order]))


class SeenIndex:
    """Remembers identities until their event time falls behind `forgotten_before`.

    Late ones, whose time was behind it when they came, are kept too until there are too many of them; the store must be asked about them.
    """

    def __init__(self) -> None:
        self._recent, self._late, self._later = _Runs(), _Runs(), _Runs()
        self._forgotten_before = self._drop_before = -(1 << 62)

    def __len__(self) -> int:
        return len(self._recent) + len(self._late) + len(self._later)

    @property
    def forgotten_before(self) -> int:
        """Identities with an earlier time (us) may be forgotten: an absent one proves nothing."""
        return self._forgotten_before

    def forget_before(self, at: int) -> None:
        """Allow identities with a time before `at` (us) to be dropped. Call after a flush was committed: what came since its cut stays."""
        # One flush behind, because what came since the cut may be older than `at`, and the store does not hold it yet.
        self._drop_before = self._forgotten_before
        self._forgotten_before = max(self._forgotten_before, at)
        if len(self._later) > MOST_LATE // 2:
            self._late, self._later = self._later, _Runs()

    def add(self, high: Hashes, low: Hashes, at: Times) -> Mask:
        """Add identities in order; True where one is new, False where it was there or stands earlier in the same call."""
        if len(high) == 0:
            return np.zeros(0, np.bool_)
        order = np.argsort(high, kind="stable")
        sorted_high, sorted_low = high[order], low[order]
        same_high = sorted_high[1:] == sorted_high[:-1]
        if np.any(same_high & (sorted_low[1:] != sorted_low[:-1])):
            order = np.lexsort((low, high))
            sorted_high, sorted_low = high[order], low[order]
            same_high = sorted_high[1:] == sorted_high[:-1]
        first = np.ones(len(high), np.bool_)
        first[1:] = ~(same_high & (sorted_low[1:] == sorted_low[:-1]))
        for runs in (self._recent, self._late, self._later):
            first &= ~runs.contain(sorted_high, sorted_low)
        self._append(_Run(sorted_high[first], sorted_low[first], at[order[first]]))
        new = np.zeros(len(high), np.bool_)
        new[order[first]] = True
        return new

    def remember(self, high: Hashes, low: Hashes, at: Times) -> None:
        """Add identities whether or not they are there."""
        order = np.argsort(high, kind="stable")
        self._append(_Run(high[order], low[order], at[order]))

    def _append(self, run: _Run) -> None:
        late = run.at < self._forgotten_before
        if late.any():
            self._later.append(_Run(run.high[late], run.low[late], run.at[late]), -(1 << 62))
            run = _Run(run.high[~late], run.low[~late], run.at[~late])
        self._recent.append(run, self._drop_before)


def _contains(run: _Run, high: Hashes, low: Hashes) -> Mask:
    at = np.searchsorted(run.high, high)
    last = len(run.high) - 1
    np.minimum(at, last, out=at)
    same_high = run.high[at] == high
    found: Mask = same_high & (run.low[at] == low)
    open_ = np.flatnonzero(same_high & ~found)  # half a collision: look at the neighbours with the same high half
    while len(open_):
        at[open_] += 1
        open_ = open_[at[open_] <= last]
        open_ = open_[run.high[at[open_]] == high[open_]]
        hit = run.low[at[open_]] == low[open_]
        found[open_[hit]] = True
        open_ = open_[~hit]
    return found
