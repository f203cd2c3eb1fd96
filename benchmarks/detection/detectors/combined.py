"""The detector for any series: one value seen from several sides, each judged by how rarely it was as far off."""

from __future__ import annotations

from typing import Final

from benchmarks.detection.detectors.extremes import Extremes
from benchmarks.detection.detectors.news import News
from benchmarks.detection.detectors.profile import Profile
from benchmarks.detection.detectors.signals import Fall, Jump, Mean, Relative, Residual, Signal, Spread, Value
from streams.detect.detectors.detector import Detector, Judgement, Since

_POWER: Final = 4
"""Between a mean, which dilutes the one signal that sees something, and a maximum, which adds up the false alarms of all."""
_USUAL: Final = 0.01
"""The expected range leaves out the farthest hundredth."""
_UNUSUAL: Final = 1.0
"""From here on something is told: as unusual as one value in ten."""


class Combined(Detector):
    """Rarities of all signals, as a power mean: one signal that is very rare counts more than many that are a little so.

    The score is 1 - the share of values that were as unusual. Right after a peak only what exceeds it keeps its score: the rest tells
    what is known already.
    """

    KEPT = ("profile", "signals", "extremes", "news", "since")

    def __init__(self, signals: list[Signal] | None = None) -> None:
        self.signals = signals or [Value(), Residual(), Fall(), Jump(), Relative(), Mean(10), Mean(40), Spread(50)]
        self.extremes = [Extremes() for _ in self.signals]
        self.profile = Profile()
        self.news = News()
        self.since = Since()

    def _observe(self, at_us: int, value: float) -> Judgement:
        profile = self.profile
        profile.begin(at_us, value)
        level, expected, scale = profile.level, profile.expected(at_us), profile.scale
        total, most = 0.0, -1.0
        for signal, extremes in zip(self.signals, self.extremes, strict=True):
            sight = signal.see(value, level, expected, scale)
            rarity = extremes.rarity(sight.distance)
            total += rarity**_POWER
            if rarity > most:
                most, component = rarity, signal.component
                observed, (low, high) = sight.observed, sight.within(extremes.reached_by(_USUAL))
            extremes.learn(sight.distance)
        profile.learn(at_us, value)
        rarity = (total / len(self.signals)) ** (1 / _POWER)
        unusual = rarity >= _UNUSUAL
        since_us = self.since.follow(at_us, unusual=unusual)
        score = 1 - 10 ** -self.news.of(rarity)
        return Judgement(score, component if unusual else "none", observed, low, high, since_us)
