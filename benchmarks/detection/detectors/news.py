"""What is new about a rarity: repetition is not."""

from __future__ import annotations

from typing import Final

from streams.detect.detectors.detector import Kept

_SHARE: Final = 0.1
_LEAST: Final = 100
_MOST: Final = 400
_KNOWN: Final = 0.5
_WORN: Final = 0.1
_HALF_LIFE: Final = 1000
_COUNTS_FROM: Final = 1.5


class News(Kept):
    """Halves a rarity that does not exceed the last peak; a peak is forgotten after a tenth of the values seen, 100 to 400.

    Each new peak also raises the bar for those to come: a series that is unusual all the time is not. What a peak adds halves every 1,000
    values.
    """

    KEPT = ("seen", "peak", "peak_row", "worn")

    def __init__(self) -> None:
        self.seen = 0
        self.peak = 0.0
        self.peak_row = 0
        self.worn = 0.0

    def of(self, rarity: float) -> float:
        """What is new of a rarity; not negative."""
        self.seen += 1
        self.worn *= 0.5 ** (1 / _HALF_LIFE)
        rarity = max(0.0, rarity - _WORN * self.worn)
        if rarity <= self.peak and self.seen - self.peak_row <= min(_MOST, max(_LEAST, _SHARE * self.seen)):
            return _KNOWN * rarity
        self.peak, self.peak_row = rarity, self.seen
        self.worn += max(0.0, rarity - _COUNTS_FROM)
        return rarity
