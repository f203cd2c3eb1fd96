"""Detectors whose published scores check the scoring: none of them is part of the product."""

from __future__ import annotations

from math import erfc, sqrt

import numpy as np

from benchmarks.detection.corpus import Series

_KEPT, _STEP = 6400, 100


def null(series: Series) -> list[float]:
    """The same for every row. Published: 0."""
    return [0.5] * len(series.values)


def perfect(series: Series) -> list[float]:
    """One detection, at the first row of every window. By definition 100."""
    first = {window.first for window in series.windows}
    return [float(row in first) for row in range(len(series.values))]


def chance(series: Series, seed: int) -> list[float]:
    """A number drawn for each row. Published: 11.0 in the overview (a mean over seeds), 16.8 in the table of results (one seed)."""
    return [float(drawn) for drawn in np.random.default_rng(seed).random(len(series.values))]


def windowed_gaussian(series: Series) -> list[float]:
    """How unlikely a value is under a Gaussian of the last 6,400 values, which moves on by 100 at a time. Published: 39.65 / 20.87 / 47.41."""
    values = np.asarray(series.values)
    ends = np.arange(1, len(values))
    ends = np.where(ends <= _KEPT, ends, _KEPT + (ends - _KEPT) // _STEP * _STEP)
    begins = np.maximum(ends - _KEPT, 0)
    scores = [0.0]
    moments: dict[int, tuple[float, float]] = {}
    for value, begin, end in zip(series.values[1:], begins.tolist(), ends.tolist(), strict=True):
        if end not in moments:
            kept = values[begin:end]
            moments = {end: (float(kept.mean()), float(kept.std()) or 1e-6)}
        mean, deviation = moments[end]
        scores.append(1 - 0.5 * erfc(abs(value - mean) / deviation / sqrt(2)))
    return scores
