"""Distances from what is usual: the same value seen from several sides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import exp, log, sqrt
from typing import ClassVar, Final, NamedTuple

from streams.detect.detectors.detector import Component, Kept

_FARTHEST: Final = 700.0
"""Beyond it an exponential is no number any more."""


class Sight(NamedTuple):
    """One side of a value: how far `observed` lies from `centre`, in the unit of the series or, for a ratio, as a natural logarithm."""

    distance: float
    observed: float
    centre: float
    ratio: bool = False

    def within(self, distance: float) -> tuple[float, float]:
        """The range of `observed` that lies no farther off."""
        if self.ratio:
            factor = exp(min(distance, _FARTHEST))
            return self.centre / factor, self.centre * factor
        return self.centre - distance, self.centre + distance


class Signal(Kept, ABC):
    """A distance with its own short memory."""

    component: ClassVar[Component]

    @abstractmethod
    def see(self, value: float, level: float, expected: float, scale: float) -> Sight:
        """The distance of a value, given the level of the series, what was expected at this moment, and its mean distance from the level."""


class Value(Signal):
    """From the level: outside the range seen so far."""

    component = "spike"

    def see(self, value: float, level: float, expected: float, scale: float) -> Sight:
        return Sight(abs(value - level), value, level)


class Residual(Signal):
    """From what the hour of the week expects."""

    component = "season"

    def see(self, value: float, level: float, expected: float, scale: float) -> Sight:
        return Sight(abs(value - expected), value, expected)


class Fall(Signal):
    """Below what the hour of the week expects. Rises of usage are larger than any fall can be, so falls are compared with falls."""

    component = "season"

    def see(self, value: float, level: float, expected: float, scale: float) -> Sight:
        return Sight(max(0.0, expected - value), value, expected)


class Jump(Signal):
    """From the value before, both without their season."""

    component = "spike"
    KEPT = ("last",)

    def __init__(self) -> None:
        self.last = 0.0

    def see(self, value: float, level: float, expected: float, scale: float) -> Sight:
        before, self.last = self.last, value - expected
        return Sight(abs(self.last - before), value, expected + before)


class Relative(Signal):
    """From the value before, as a ratio: a fall to a tenth counts as much as a rise to the tenfold.

    A tenth of the level is added to both sizes, so that nothing is said of noise around 0.
    """

    component = "spike"
    KEPT = ("last",)

    def __init__(self) -> None:
        self.last = 0.0

    def see(self, value: float, level: float, expected: float, scale: float) -> Sight:
        least = 0.1 * abs(level)
        now, before, self.last = abs(value) + least, abs(self.last) + least, value
        if not now or not before:
            return Sight(0.0, now, now)  # all is 0 so far
        return Sight(abs(log(now) - log(before)), now, before, ratio=True)


class Mean(Signal):
    """The mean of the last residuals from 0: a change of level."""

    component = "level"
    KEPT = ("recent",)

    def __init__(self, size: int) -> None:
        self.size = size
        self.recent: list[float] = []

    def see(self, value: float, level: float, expected: float, scale: float) -> Sight:
        remember(self.recent, value - expected, self.size)
        mean = sum(self.recent) / len(self.recent)
        return Sight(abs(mean), expected + mean, expected)


class Spread(Signal):
    """How much the last values vary, as a ratio to what is usual: a series that becomes restless, or falls flat."""

    component = "spread"
    KEPT = ("recent", "usual", "seen")

    def __init__(self, size: int) -> None:
        self.size = size
        self.recent: list[float] = []
        self.usual = 0.0
        self.seen = 0

    def see(self, value: float, level: float, expected: float, scale: float) -> Sight:
        remember(self.recent, value, self.size)
        mean = sum(self.recent) / len(self.recent)
        deviation = sqrt(sum((part - mean) ** 2 for part in self.recent) / len(self.recent))
        deviation += 0.05 * scale
        if not deviation:
            return Sight(0.0, 0.0, 0.0)  # all is the same so far
        spread = log(deviation)
        usual = self.usual if self.seen else spread
        self.seen += 1
        self.usual = usual + max(0.002, 1 / self.seen) * (spread - usual)
        return Sight(abs(spread - usual), exp(spread), exp(usual), ratio=True)


def remember(recent: list[float], value: float, size: int) -> None:
    """Append, and forget the oldest beyond `size`."""
    recent.append(value)
    if len(recent) > size:
        del recent[0]
