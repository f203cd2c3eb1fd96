"""A second measure beside NAB's, which is criticised for its windows: precision, recall and delay by episode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.detection.corpus import Corpus


class Episodes(NamedTuple):
    """An episode is a labelled window. An alarm is a detected row, or several with less than an hour between them."""

    windows: int
    found: int
    alarms: int
    true_alarms: int
    """Alarms that begin in a window."""
    median_delay: float | None
    """From a window's begin to its first detection, as a share of the window. Its label lies in the middle, so 0.5 is no delay."""

    @property
    def recall(self) -> float:
        return self.found / self.windows

    @property
    def precision(self) -> float | None:
        return self.true_alarms / self.alarms if self.alarms else None


_APART_US = 3_600_000_000


def episodes(corpus: Corpus, scores: Sequence[Sequence[float]], threshold: float) -> Episodes:
    """Count at a threshold; rows in probation are left out."""
    windows = found = alarms = true_alarms = 0
    delays: list[float] = []
    for series, judged in zip(corpus.series, scores, strict=True):
        rows = [row for row in range(series.probation, len(judged)) if judged[row] >= threshold]
        begins = [
            row
            for before, row in zip([None, *rows], rows, strict=False)
            if before is None or abs(series.at_us[row] - series.at_us[before]) >= _APART_US
        ]
        windows += len(series.windows)
        alarms += len(begins)
        true_alarms += sum(any(first <= row <= last for first, last in series.windows) for row in begins)
        for first, last in series.windows:
            inside = [row for row in rows if first <= row <= last]
            if inside:
                found += 1
                delays.append((inside[0] - first) / (last - first + 1))
    return Episodes(windows, found, alarms, true_alarms, sorted(delays)[len(delays) // 2] if delays else None)
