"""A robust seasonal baseline with anomaly likelihood."""

from __future__ import annotations

from math import erfc, sqrt
from typing import Final

from benchmarks.detection.detectors.profile import Profile
from streams.detect.detectors.detector import Detector, Judgement, Since

_SHORT: Final = 0.2
_LONG: Final = 0.001
_LEAST: Final = 50
"""Before that many values nothing is unusual."""
_CLIPPED: Final = 8.0
_UNUSUAL: Final = 0.99
_EXPECTED: Final = 3.0


class Seasonal(Detector):
    """Anomaly likelihood (Ahmad et al. 2017, https://doi.org/10.1016/j.neucom.2017.04.070): how unlikely the mean of the last residuals is
    under a Gaussian of all before, both as moving averages: the last 5 against the last 1,000.

    A residual is the distance from the profile in mean distances, at most 8. The score is 1 - 2 Q(z); Q: upper tail of the Gaussian. A
    stretch that is closer to the profile than usual is no anomaly here.
    """

    KEPT = ("profile", "spread", "recent", "mean", "variance", "seen", "since")

    def __init__(self) -> None:
        self.profile = Profile()
        self.spread = 0.0
        """Mean residual, in the unit of the series."""
        self.recent = 0.0
        self.mean = 0.0
        self.variance = 0.0
        self.seen = 0
        self.since = Since()

    def _observe(self, at_us: int, value: float) -> Judgement:
        self.profile.begin(at_us, value)
        expected = self.profile.expected(at_us)
        residual = abs(value - expected)
        unit = self.spread or residual or 1.0
        surprise = min(_CLIPPED, residual / unit)
        self.seen += 1
        self.recent += max(_SHORT, 1 / self.seen) * (surprise - self.recent)
        z = (self.recent - self.mean) / sqrt(self.variance) if self.variance > 0 else 0.0
        score = max(0.0, 1 - erfc(z / sqrt(2))) if self.seen > _LEAST else 0.0
        rate = max(_LONG, 1 / self.seen)
        off = self.recent - self.mean
        self.mean += rate * off
        self.variance += rate * (off * off - self.variance)
        self.spread += rate * (min(residual, _CLIPPED * unit) - self.spread)
        self.profile.learn(at_us, value)
        unusual = score >= _UNUSUAL
        room = _EXPECTED * unit
        since_us = self.since.follow(at_us, unusual=unusual)
        return Judgement(score, "season" if unusual else "none", value, expected - room, expected + room, since_us)
