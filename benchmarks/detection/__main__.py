"""`python -m benchmarks.detection`: the default alert rules on made histories with labels, or, with --nab, the detectors on the Numenta Anomaly Benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.detection.corpus import load
from benchmarks.detection.evaluate import evaluate
from benchmarks.detection.page import show
from benchmarks.detection.run import DETECTORS, judge, write_scores
from benchmarks.screen import Screen
from streams.errors import TokenworthError


def main(
    nab: Annotated[
        Path | None, typer.Option(help="folder that holds the corpus, nab_data.csv.gz and nab_meta.json.gz")
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option(help="with --nab: CSV to write: series, timestamp, anomaly_score of every row, in their order"),
    ] = None,
    detector: Annotated[str, typer.Option(help=f"with --nab: one of: {', '.join(DETECTORS)}")] = "combined",
    seed: Annotated[int, typer.Option(help="of the first made history")] = 1,
    seeds: Annotated[
        int, typer.Option(min=1, help="so many histories, of seeds that follow each other, scored as one")
    ] = 1,
    teams: Annotated[int, typer.Option(min=1, help="of a made history")] = 60,
    days: Annotated[int, typer.Option(min=1, help="of a made history")] = 90,
    json_file: Annotated[Path | None, typer.Option("--json", help="where the figures of the rules go")] = None,
    each: Annotated[bool, typer.Option("--each", help="list what was missed and every false alert")] = False,
) -> None:
    """Recall, false alerts and delay of the default rules on made histories of a company; or the score of a detector, one configuration for all series."""
    if nab is None:
        evaluate(seed, seeds, teams, days, json_file, each=each)
        return
    if detector not in DETECTORS:
        raise typer.BadParameter(f"{detector}: none of {', '.join(DETECTORS)}")
    screen = Screen()
    try:
        corpus = load(nab)
    except TokenworthError as error:
        screen.say(f"{error.message}\n{error.remedy}".rstrip())
        raise typer.Exit(1) from error
    with screen.counting(f"scoring with {detector}", sum(len(series.values) for series in corpus.series)) as progress:
        judged = judge(corpus, DETECTORS[detector], progress)
    if scores is not None:
        write_scores(scores, corpus, judged)
    show(corpus, judged, detector)


if __name__ == "__main__":
    typer.run(main)
