"""Slow drift: many small deviations to the same side."""

from __future__ import annotations

from typing import Final

from streams.detect.detectors.detector import Component, Detector, Judgement, Since
from streams.detect.detectors.profile import Profile

_SLACK: Final = 0.6
"""Half the drift to be noticed, in mean distances: about half a standard deviation of a Gaussian."""
_LIMIT: Final = 12.0
_CLIPPED: Final = 4.0
"""A single value moves a sum by no more than this, so that a spike is not a drift."""
_LEAST: Final = 50


class Drift(Detector):
    """Two-sided CUSUM (Page 1954): the sums of deviations above and below the profile, each less a slack and never below 0.

    A drift began when its sum last left 0. The profile follows a drift so slowly that the sum sees it first. The score is
    1 - 2^-(sum / 12), so 0.5 is the decision limit. A sum stops at four limits, so that a change that has become usual is forgotten.
    """

    KEPT = ("profile", "above", "below", "since_above", "since_below")

    def __init__(self) -> None:
        self.profile = Profile()
        self.above = 0.0
        self.below = 0.0
        self.since_above = Since()
        self.since_below = Since()

    def _observe(self, at_us: int, value: float) -> Judgement:
        if not self.profile.values:
            self.profile.begin(at_us, value)
        expected, scale = self.profile.expected(at_us), self.profile.scale
        off = value - expected
        if self.profile.values >= _LEAST and (scale > 0 or off):
            step = max(-_CLIPPED, min(_CLIPPED, off / scale)) if scale > 0 else (_CLIPPED if off > 0 else -_CLIPPED)
            self.above = min(4 * _LIMIT, max(0.0, self.above + step - _SLACK))
            self.below = min(4 * _LIMIT, max(0.0, self.below - step - _SLACK))
        self.profile.learn(at_us, value)
        total = max(self.above, self.below)
        room = _SLACK * scale
        up_us = self.since_above.follow(at_us, unusual=self.above > 0)
        down_us = self.since_below.follow(at_us, unusual=self.below > 0)
        since_us = up_us if self.above >= self.below else down_us
        component: Component = "drift" if total >= _LIMIT else "none"
        return Judgement(1 - 0.5 ** (total / _LIMIT), component, value, expected - room, expected + room, since_us)
