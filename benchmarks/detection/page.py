"""The result on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from benchmarks.detection import nab
from benchmarks.detection.corpus import Corpus
from benchmarks.detection.episodes import episodes

_NOTE = (
    "As NAB defines it, each profile's one threshold is the best in hindsight over the whole corpus. Held out: each directory is judged with "
    "the threshold that is best for the others. Delay: share of a window before its first detection; its label is at 0.5."
)


def show(corpus: Corpus, scores: list[list[float]], detector: str) -> None:
    """The score of each profile, and what its threshold finds."""
    rows, joined = nab.prepare(corpus), nab.joined(scores)
    table = Table(title=f"NAB v1.1, {len(corpus.series)} series, {len(joined):,} rows: {detector}")
    table.add_column("profile")
    for name in ("score", "held out", "threshold", "recall", "precision", "delay", "alarms"):
        table.add_column(name, justify="right")
    for profile in corpus.profiles:
        found = nab.score(rows, joined, profile)
        seen = episodes(corpus, scores, found.threshold)
        table.add_row(
            profile.name,
            f"{found.score:.2f}",
            f"{nab.held_out(rows, joined, profile):.2f}",
            f"{found.threshold:.6f}",
            f"{seen.recall:.2f}",
            "." if seen.precision is None else f"{seen.precision:.2f}",
            "." if seen.median_delay is None else f"{seen.median_delay:.2f}",
            str(seen.alarms),
        )
    console = Console()
    console.width = max(console.width, 100)
    console.print(table)
    console.print(_NOTE, highlight=False)
