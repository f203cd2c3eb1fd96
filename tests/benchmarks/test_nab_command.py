"""`python -m benchmarks.detection`: what it writes and prints, and what the default detector must reach."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import typer

from benchmarks.detection import nab
from benchmarks.detection.__main__ import main
from benchmarks.detection.corpus import Corpus, Profile, Series, Window, load
from benchmarks.detection.episodes import episodes
from benchmarks.detection.page import show
from benchmarks.detection.run import DETECTORS, judge, write_scores
from tests.publish.data import data_file

HOUR_US = 3_600_000_000


def made() -> Corpus:
    values = [float(row % 5) for row in range(200)]
    values[120] = 500.0
    series = [
        Series(
            name, [f"t{row}" for row in range(200)], [row * HOUR_US for row in range(200)], values, [Window(115, 125)]
        )
        for name in ("a/1", "b/2")
    ]
    return Corpus(series, [Profile("standard", 1.0, 0.11, 1.0)], {})


def test_every_row_is_written_in_order_with_a_score_that_reads_back_exactly(tmp_path: Path) -> None:
    corpus, steps = made(), list[int]()
    scores = judge(corpus, DETECTORS["combined"], steps.append)
    assert steps == [200, 400]
    write_scores(tmp_path / "scores.csv", corpus, scores)
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["series", "timestamp", "anomaly_score"]
    assert [row[:2] for row in rows[1:]] == [[series.name, at] for series in corpus.series for at in series.timestamps]
    assert [float(row[2]) for row in rows[1:]] == [score for judged in scores for score in judged]


def test_no_score_depends_on_a_later_row_or_another_series() -> None:
    corpus = made()
    whole = judge(corpus, DETECTORS["combined"])
    cut = Corpus([Series("b/2", ["t"] * 150, s.at_us[:150], s.values[:150], []) for s in corpus.series[1:]], [], {})
    assert judge(cut, DETECTORS["combined"]) == [whole[1][:150]]


def test_the_spike_of_each_series_is_found_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    corpus = made()
    scores = judge(corpus, DETECTORS["combined"])
    assert all(judged.index(max(judged[30:])) in {120, 121} for judged in scores)
    show(corpus, scores, "combined")
    assert "standard" in capsys.readouterr().out


def test_episodes_are_counted_by_window_and_alarm() -> None:
    corpus = made()
    scores = [[0.0] * 200 for _ in corpus.series]
    for row in (5, 60, 118, 119, 180):
        scores[0][row] = 1.0
    found = episodes(corpus, scores, 0.5)
    assert (found.windows, found.found, found.alarms, found.true_alarms) == (2, 1, 4, 2)
    assert (found.recall, found.precision) == (0.5, 0.5)
    assert found.median_delay == pytest.approx(3 / 11)
    nothing = episodes(corpus, scores, 2.0)
    assert (nothing.recall, nothing.precision, nothing.median_delay) == (0, None, None)


def test_a_folder_without_the_corpus_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as stopped:
        main(tmp_path)
    assert stopped.value.exit_code == 1
    assert "nab_data.csv.gz" in capsys.readouterr().err


@pytest.mark.data
def test_the_default_detector_reaches_65_also_with_thresholds_of_other_directories() -> None:
    data_file("nab_meta.json.gz")
    corpus = load(data_file("nab_data.csv.gz").parent)
    rows, scores = nab.prepare(corpus), nab.joined(judge(corpus, DETECTORS["combined"]))
    assert nab.score(rows, scores, corpus.profiles[0]).score >= 65
    assert nab.held_out(rows, scores, corpus.profiles[0]) >= 65
