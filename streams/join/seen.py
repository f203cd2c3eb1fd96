"""The dedup index: which identities a partition has already applied.

A set of 128-bit hashes in sorted runs that are merged like a log-structured tree, so that adding a batch costs a few binary searches over
flat arrays. Collisions of one half are resolved by the other; two identities would have to agree in 128 bits to be mistaken.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

Hashes = npt.NDArray[np.uint64]
Times = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

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


class SeenIndex:
    """Remembers identities until the event time that each was added with falls behind `forget_before`."""

    def __init__(self) -> None:
        self._runs: list[_Run] = []
        self._forgotten_before = -(1 << 62)

    def __len__(self) -> int:
        return sum(len(run.high) for run in self._runs)

    @property
    def forgotten_before(self) -> int:
        """Identities added with an earlier time (us) may be forgotten: an absent one proves nothing."""
        return self._forgotten_before

    def forget_before(self, at: int) -> None:
        """Allow identities with a time before `at` (us) to be dropped, at the next merge."""
        self._forgotten_before = max(self._forgotten_before, at)

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
        for run in self._runs:
            first &= ~_contains(run, sorted_high, sorted_low)
        self._runs.append(_Run(sorted_high[first], sorted_low[first], at[order[first]]))
        self._merge()
        new = np.zeros(len(high), np.bool_)
        new[order[first]] = True
        return new

    def remember(self, high: Hashes, low: Hashes, at: Times) -> None:
        """Add identities whether or not they are there: one that is about to be forgotten gets a later time."""
        order = np.argsort(high, kind="stable")
        self._runs.append(_Run(high[order], low[order], at[order]))
        self._merge()

    def _merge(self) -> None:
        while len(self._runs) > 1 and len(self._runs[-1].high) * 2 > len(self._runs[-2].high):
            b, a = self._runs.pop(), self._runs.pop()
            high, low, at = (np.concatenate(pair) for pair in zip(a, b, strict=True))
            if (keep := at >= self._forgotten_before).all():
                order = np.argsort(high, kind="stable")
            else:
                high, low, at = high[keep], low[keep], at[keep]
                order = np.argsort(high, kind="stable")
            self._runs.append(_Run(high[order], low[order], at[order]))


def _contains(run: _Run, high: Hashes, low: Hashes) -> Mask:
    if len(run.high) == 0:
        return np.zeros(len(high), np.bool_)
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
