"""A change of level: the mean of the last values against the usual distance of such means."""

from __future__ import annotations

from benchmarks.detection.detectors.combined import Combined
from benchmarks.detection.detectors.signals import Mean


class Level(Combined):
    """The mean of the last 10 and of the last 40 residuals, judged as Combined judges."""

    def __init__(self) -> None:
        super().__init__([Mean(10), Mean(40)])
