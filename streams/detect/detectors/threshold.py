"""A fixed range: for what a person knows better than any history."""

from __future__ import annotations

from math import inf

from streams.detect.detectors.detector import Detector, Judgement, Since
from streams.errors import ConfigError


class Threshold(Detector):
    """Unusual is what lies outside low..high. The score is 0 inside, from 0.5 on outside, and nears 1 with the distance in `tolerance`s.

    Raises ConfigError if the range is empty or the tolerance not positive.
    """

    KEPT = ("since",)

    def __init__(self, low: float = -inf, high: float = inf, tolerance: float = 1.0) -> None:
        if not low <= high:
            raise ConfigError("low", "is above high", remedy="swap them")
        if not tolerance > 0:
            raise ConfigError("tolerance", "must be positive", remedy="leave it out for 1")
        self.low, self.high, self.tolerance = low, high, tolerance
        self.since = Since()

    def _observe(self, at_us: int, value: float) -> Judgement:
        outside = max(self.low - value, value - self.high, 0.0)
        score = 1 - 0.5 / (1 + outside / self.tolerance) if outside else 0.0
        since_us = self.since.follow(at_us, unusual=outside > 0)
        return Judgement(score, "threshold" if outside else "none", value, self.low, self.high, since_us)
