"""Slow drift: many small deviations to the same side."""

from __future__ import annotations

from typing import Final

from streams.detect.detectors.baseline import Baseline
from streams.detect.detectors.detector import Component, Detector, Judgement, Since

_CLIPPED: Final = 4.0
"""A single value moves a sum by no more than this, so that a spike is not a drift."""


class Drift(Detector):
    """Two-sided CUSUM (Page 1954): the sums of deviations above and below what is usual, each less a slack and never below 0.

    A deviation is a distance in scales of the baseline, at most 4. `slack`: half the drift to be noticed, `limit`: the sum that is one, both
    in scales. A drift began when its sum last left 0. The score is 1 - 2^-(sum / limit), so 0.5 is the decision limit. A sum stops at four
    limits, so that a change that has become usual is forgotten.
    """

    KEPT = ("baseline", "above", "below", "since_above", "since_below")

    def __init__(self, baseline: Baseline, slack: float, limit: float) -> None:
        self.baseline = baseline
        self.slack, self.limit = slack, limit
        self.above = 0.0
        self.below = 0.0
        self.since_above = Since()
        self.since_below = Since()

    def _observe(self, at_us: int, value: float) -> Judgement:
        self.baseline.begin(at_us, value)
        expected, scale = self.baseline.expected(at_us), self.baseline.scale
        off = value - expected
        if self.baseline.known and (scale > 0 or off):
            step = max(-_CLIPPED, min(_CLIPPED, off / scale)) if scale > 0 else (_CLIPPED if off > 0 else -_CLIPPED)
            self.above = min(4 * self.limit, max(0.0, self.above + step - self.slack))
            self.below = min(4 * self.limit, max(0.0, self.below - step - self.slack))
        self.baseline.learn(at_us, value)
        total = max(self.above, self.below)
        room = self.slack * scale
        up_us = self.since_above.follow(at_us, unusual=self.above > 0)
        down_us = self.since_below.follow(at_us, unusual=self.below > 0)
        since_us = up_us if self.above >= self.below else down_us
        component: Component = "drift" if total >= self.limit else "none"
        return Judgement(1 - 0.5 ** (total / self.limit), component, value, expected - room, expected + room, since_us)
