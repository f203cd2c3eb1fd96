"""Watermarks: event time up to which input is complete (DESIGN.md §6). All times in us; the clock comes from outside."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import polars as pl

SIDES: Final = ("usage", "items")


class Watermarks:
    """The sender's side: the watermark of each input partition of both topics that a worker owns."""

    def __init__(self, idle_us: int) -> None:
        self._idle_us = idle_us
        self._watermark: dict[tuple[int, str], int] = {}
        self._advanced_at: dict[tuple[int, str], int] = {}

    def restore(self, partition: int, usage: int, items: int, now: int) -> None:
        """Begin with what is stored; an input that never had an event is at 0."""
        for side, watermark in zip(SIDES, (usage, items), strict=True):
            self._watermark[partition, side] = max(watermark, 0)
            self._advanced_at[partition, side] = now

    def observe(self, partition: int, side: str, occurred_at: int, now: int) -> None:
        """The highest occurred_at applied so far."""
        if occurred_at > self._watermark.get((partition, side), 0):
            self._watermark[partition, side] = occurred_at
            self._advanced_at[partition, side] = now

    def idle(self, partition: int, side: str, *, fetched_at: int, drained: bool, now: int) -> bool:
        """Advance an input that stood still for `idle_us` and whose last fetch came back empty at its end; True when it moved.

        `drained`: that fetch (at `fetched_at`) found nothing, the broker's high watermark is the position, and all before it is applied.
        A broker that is away answers no fetch, so `fetched_at` stands still and with it the watermark.
        """
        key = (partition, side)
        advanced_at = self._advanced_at.get(key)
        if not drained or advanced_at is None or fetched_at <= advanced_at or now - advanced_at < self._idle_us:
            return False
        if fetched_at - self._idle_us <= self._watermark[key]:
            return False
        self._watermark[key] = fetched_at - self._idle_us
        return True

    def of(self, partition: int) -> tuple[int, int]:
        """The watermarks of usage and items of a partition."""
        return self._watermark.get((partition, "usage"), 0), self._watermark.get((partition, "items"), 0)


class InputWatermarks:
    """The receiver's side: the highest watermark and position heard of each input partition."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._heard: dict[int, tuple[int, int, int, int]] = {}

    def merge(self, frame: pl.DataFrame) -> None:
        """Take in watermark rows; what is known never goes back."""
        self.merge_rows(
            frame.select("kpart", "usage_next", "items_next", "usage_watermark", "items_watermark").iter_rows()
        )

    def merge_rows(self, rows: Iterable[tuple[int, int, int, int, int]]) -> None:
        """Likewise, from tuples."""
        for kpart, *values in rows:
            known = self._heard.get(kpart, (0, 0, 0, 0))
            self._heard[kpart] = (
                max(known[0], values[0]), max(known[1], values[1]), max(known[2], values[2]), max(known[3], values[3]),
            )  # fmt: skip

    def value(self) -> int | None:
        """The minimum over all partitions of both topics; None until every one has been heard of and has a watermark."""
        if len(self._heard) < self._partitions:
            return None
        lowest = min(min(usage, items) for _, _, usage, items in self._heard.values())
        return lowest or None

    def positions(self) -> list[tuple[int, int, int, int, int]]:
        """(partition, next offsets of usage and items, their watermarks), by partition."""
        return [(p, *self._heard[p]) for p in sorted(self._heard)]
