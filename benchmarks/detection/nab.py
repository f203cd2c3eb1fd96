"""NAB's scoring, after its description (Lavin and Ahmad 2015, https://arxiv.org/abs/1510.03336).

A row is detected if its score reaches the threshold. Of the detections in a window the earliest counts: its weight falls from 1 at the
window's first row to nearly 0 at its last. A window without one costs `miss`. A detection outside costs up to `false_positive`: less the
sooner it follows a window. Rows in probation do not count. The sum is scaled so that no detection at all gives 0 and a detection at the
first row of every window, and nowhere else, 100.

One threshold serves the whole corpus. As NAB defines it, it is the best one in hindsight, so a score flatters every detector alike;
`held_out` chooses it without the directory that is scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.detection.corpus import Corpus, Floats, Profile, Series

_STEEP: Final = 5.0
_FAR: Final = 3.0
"""A false positive this many window widths after a window costs as much as any other."""


class Outcome(NamedTuple):
    """Normalised score, and the threshold that gives it."""

    score: float
    threshold: float


@dataclass(frozen=True)
class Rows:
    """What a detection of each row is worth, for rows after probation. `window`: its number in the corpus, -1 outside."""

    row: npt.NDArray[np.int64]
    position: Floats
    window: npt.NDArray[np.int64]
    directory: npt.NDArray[np.int64]
    directories: list[str]
    windows_in: list[int]
    """Windows in each directory."""


def sigmoid(position: Floats) -> Floats:
    """2 / (1 + e^(5 x)) - 1, and -1 from far behind a window on; x: 0 at a window's end, -1 at its begin."""
    falling = 2.0 / (1.0 + np.exp(_STEEP * np.minimum(position, _FAR))) - 1.0
    return np.where(position > _FAR, -1.0, falling)


def worths(series: Series) -> tuple[Floats, npt.NDArray[np.int64]]:
    """For each row: what it is worth, 1 at a window's begin, -1 far from any; and the number of its window in the series, -1 outside."""
    rows = np.arange(len(series.values))
    position, window = np.full(len(rows), np.inf), np.full(len(rows), -1, dtype=np.int64)
    for number, (first, last) in enumerate(series.windows):
        width = last - first + 1
        position[first:] = (rows[first:] - last) / max(width - 1, 1)
        position[first : last + 1] = (rows[first : last + 1] - last - 1) / width
        window[first : last + 1] = number
    worth = sigmoid(position)
    return np.where(window < 0, worth, worth / sigmoid(np.array(-1.0))), window


def prepare(corpus: Corpus) -> Rows:
    """What does not depend on the scores."""
    directories = list(dict.fromkeys(series.name.split("/")[0] for series in corpus.series))
    parts: list[tuple[npt.NDArray[Any], ...]] = []
    windows_in = [0] * len(directories)
    begin = windows = 0
    for series in corpus.series:
        worth, window = worths(series)
        of = directories.index(series.name.split("/")[0])
        counted = np.arange(series.probation, len(worth))
        numbered = np.where(window < 0, -1, window + windows)
        parts.append((counted + begin, worth[counted], numbered[counted], np.full(len(counted), of)))
        begin, windows = begin + len(worth), windows + len(series.windows)
        windows_in[of] += len(series.windows)
    row, position, number, directory = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Rows(
        row.astype(np.int64), position, number.astype(np.int64), directory.astype(np.int64), directories, windows_in
    )


def gains(rows: Rows, scores: Floats, profile: Profile) -> tuple[Floats, Floats]:
    """Thresholds, highest first, and for each directory (a row) what each threshold gains over no detection at all.

    The first threshold is infinite and gains nothing.

    `scores`: one for each row of the corpus, probation included.
    """
    judged = scores[rows.row]
    order = np.argsort(-judged, kind="stable")
    judged, position, window = judged[order], rows.position[order], rows.window[order]
    gain = np.where(window < 0, profile.false_positive * position, 0.0)
    inside = np.flatnonzero(window >= 0)
    inside = inside[np.argsort(window[inside], kind="stable")]
    for detections in np.split(inside, np.flatnonzero(np.diff(window[inside])) + 1):
        gain[detections] = np.diff(np.maximum.accumulate(profile.hit * position[detections]), prepend=-profile.miss)
    last = np.flatnonzero(np.append(np.diff(judged) != 0, True))
    directory = rows.directory[order]
    by_directory = np.array(
        [np.cumsum(np.where(directory == number, gain, 0.0))[last] for number in range(len(rows.directories))]
    )
    return np.append(np.inf, judged[last]), np.pad(by_directory, ((0, 0), (1, 0)))


def score(rows: Rows, scores: Floats, profile: Profile) -> Outcome:
    """The final score: the threshold is the best one, in hindsight."""
    thresholds, gained = gains(rows, scores, profile)
    total = gained.sum(axis=0)
    best = int(np.argmax(total))
    return Outcome(_normal(float(total[best]), sum(rows.windows_in), profile), float(thresholds[best]))


def held_out(rows: Rows, scores: Floats, profile: Profile) -> float:
    """The score when each directory is judged with the threshold that is best for all the others."""
    _, gained = gains(rows, scores, profile)
    total = gained.sum(axis=0)
    earned = sum(float(own[int(np.argmax(total - own))]) for own in gained)
    return _normal(earned, sum(rows.windows_in), profile)


def _normal(gain: float, windows: int, profile: Profile) -> float:
    return 100.0 * gain / (windows * (profile.hit + profile.miss))


def joined(scores: Sequence[Sequence[float]]) -> Floats:
    """Scores of all series, one after the other."""
    return np.concatenate([np.asarray(part, dtype=np.float64) for part in scores])
