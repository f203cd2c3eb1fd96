"""How rare a distance is among all those seen, without assuming a distribution."""

from __future__ import annotations

from bisect import bisect_left
from math import log10
from typing import Final

from streams.detect.detectors.detector import Kept

_KEPT: Final = 32
_HORIZON: Final = 20_000
_LEAST: Final = 20
"""Before that many values nothing is rare."""


class Extremes(Kept):
    """The largest distances of the last 20,000, in ascending order.

    The share of values that lay as far off is their rank over their number. Nothing is extrapolated: a value beyond all others is as rare
    as the history is long. That needs no fitted tail, which heavy-tailed usage would break.
    """

    KEPT = ("seen", "largest", "rows")

    def __init__(self) -> None:
        self.seen = 0
        self.largest: list[float] = []
        self.rows: list[int] = []

    def rarity(self, distance: float) -> float:
        """-log10 of the share of values at least as far off: 2 is one in a hundred. Not negative."""
        if self.seen < _LEAST or distance <= 0:
            return 0.0
        count = min(self.seen, _HORIZON) + 1
        kept = len(self.largest)
        farther = kept - bisect_left(self.largest, distance)
        share = (farther + 0.5) / count
        if farther == kept == _KEPT:
            share += (1 - share) * (1 - distance / self.largest[0])
        return max(0.0, -log10(min(1.0, share)))

    def reached_by(self, share: float) -> float:
        """The distance that about this share of the values reached; of what is kept the nearest."""
        if not self.largest:
            return 0.0
        rank = int(share * min(self.seen, _HORIZON)) + 1
        return self.largest[max(0, len(self.largest) - rank)]

    def learn(self, distance: float) -> None:
        """Take a distance in."""
        self.seen += 1
        if self.rows and self.seen % 64 == 0 and min(self.rows) <= self.seen - _HORIZON:
            kept = [pair for pair in zip(self.largest, self.rows, strict=True) if pair[1] > self.seen - _HORIZON]
            self.largest, self.rows = [pair[0] for pair in kept], [pair[1] for pair in kept]
        if len(self.largest) == _KEPT:
            if distance <= self.largest[0]:
                return
            del self.largest[0], self.rows[0]
        place = bisect_left(self.largest, distance)
        self.largest.insert(place, distance)
        self.rows.insert(place, self.seen)
