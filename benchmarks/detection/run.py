"""Every row of the corpus through a detector, in order, each series from nothing."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from benchmarks.detection.corpus import Corpus
from benchmarks.detection.detectors.combined import Combined
from benchmarks.detection.detectors.level import Level
from benchmarks.detection.detectors.profile import Profile
from benchmarks.detection.detectors.seasonal import Seasonal
from streams.detect.detectors.detector import Detector
from streams.detect.detectors.drift import Drift

DETECTORS: Final[Mapping[str, Callable[[], Detector]]] = {
    "combined": Combined,
    "seasonal": Seasonal,
    "level": Level,
    "drift": lambda: Drift(Profile(), slack=0.6, limit=12.0),
}


def judge(
    corpus: Corpus, detector: Callable[[], Detector], progress: Callable[[int], None] = lambda _: None
) -> list[list[float]]:
    """Scores of each series. The detector sees a row only after it has judged all before, and nothing of any other series."""
    scores, done = [], 0
    for series in corpus.series:
        observe = detector().observe
        scores.append([observe(at_us, value).score for at_us, value in zip(series.at_us, series.values, strict=True)])
        done += len(series.values)
        progress(done)
    return scores


def write_scores(path: Path, corpus: Corpus, scores: list[list[float]]) -> None:
    """A row for each of the corpus, in its order; scores keep every digit."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("series", "timestamp", "anomaly_score"))
        for series, judged in zip(corpus.series, scores, strict=True):
            rows.writerows(
                (series.name, timestamp, repr(score))
                for timestamp, score in zip(series.timestamps, judged, strict=True)
            )
