"""`python -m benchmarks.detection.libraries.measure --nab FOLDER [NAME]...`: detectors of libraries on the Numenta Anomaly Benchmark.

Each is scored as it is; with its score ranked among those before as Combined ranks distances (Extremes, News), because scores of libraries have
no common scale, and repeat; and as one more side of Combined.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from time import process_time
from typing import Annotated, Final, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.detection import nab
from benchmarks.detection.corpus import Corpus, Series, load
from benchmarks.detection.detectors.combined import Combined
from benchmarks.detection.detectors.extremes import Extremes
from benchmarks.detection.detectors.news import News
from benchmarks.detection.detectors.signals import Sight, Signal
from benchmarks.detection.libraries.adapters import LIBRARIES, MatrixProfile
from streams.detect.detectors.detector import Detector

CONTENDERS: Final[Mapping[str, Callable[[], Detector]]] = {"Combined": Combined, **LIBRARIES}


class Measured(NamedTuple):
    """Scores of each series; CPU time of a value, all of them alike; bytes of the largest state at the end of a series."""

    scores: list[list[float]]
    us: float
    largest: int


def measure(name: str, corpus: Corpus) -> Measured:
    """Every series from nothing, one value after the other."""
    warm = CONTENDERS[name]()
    for at_us, value in zip(corpus.series[0].at_us[:400], corpus.series[0].values, strict=False):
        warm.observe(at_us, value)  # what is compiled when it is first used
    scores, spent, largest = [], 0.0, 0
    for series in corpus.series:
        detector, begin = CONTENDERS[name](), process_time()
        scores.append([detector.observe(*row).score for row in zip(series.at_us, series.values, strict=True)])
        spent += process_time() - begin
        largest = max(largest, size(detector))
    return Measured(scores, 1e6 * spent / sum(map(len, scores)), largest)


def size(detector: Detector) -> int:
    """Bytes of a state: pickled; what cannot be pickled by its arrays."""
    if isinstance(detector, MatrixProfile):
        return sum(getattr(part, "nbytes", 0) for part in vars(detector.model).values())
    return len(pickle.dumps(detector))


def ranked(scores: list[float]) -> list[float]:
    """How rare each score is among those of its series before it, as Combined tells it of a distance."""
    extremes, news, found = Extremes(), News(), []
    for score in scores:
        found.append(1 - 10 ** -news.of(extremes.rarity(score)))
        extremes.learn(score)
    return found


class Said(Signal):
    """A side of a value that is told already: the score of a library."""

    component = "spike"

    def __init__(self, scores: Iterable[float]) -> None:
        self.left = iter(scores)

    def see(self, value: float, level: float, expected: float, scale: float) -> Sight:
        return Sight(next(self.left), value, level)


def beside(series: Series, scores: list[float]) -> list[float]:
    """Scores of Combined with those of a library as its ninth side."""
    detector = Combined([*Combined().signals, Said(scores)])
    return [detector.observe(*row).score for row in zip(series.at_us, series.values, strict=True)]


def main(
    folder: Annotated[Path, typer.Option("--nab", help="folder that holds the corpus")],
    names: Annotated[list[str] | None, typer.Argument(help=f"some of: {', '.join(CONTENDERS)}")] = None,
) -> None:
    """Scores of the standard profile, each with the best threshold in hindsight / with that of the other directories."""
    corpus = load(folder)
    rows, standard = nab.prepare(corpus), corpus.profiles[0]
    table = Table("detector", "as it is", "ranked", "ninth side", "µs a value", "kB a series")
    for name in names or CONTENDERS:
        found = measure(name, corpus)
        shown = [
            f"{nab.score(rows, of, standard).score:.1f} / {nab.held_out(rows, of, standard):.1f}"
            for of in map(
                nab.joined,
                (found.scores, list(map(ranked, found.scores)), list(map(beside, corpus.series, found.scores))),
            )
        ]
        table.add_row(name, *shown, f"{found.us:.1f}", f"{found.largest / 1000:,.1f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    typer.run(main)
