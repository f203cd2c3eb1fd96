"""NAB's scoring: beside a naive reference, and against what its authors publish."""

from __future__ import annotations

from math import exp, inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.detection import nab, references
from benchmarks.detection.corpus import Corpus, Profile, Series, Window, load
from tests.publish.data import data_file

STANDARD = Profile("standard", hit=1.0, false_positive=0.11, miss=1.0)
PROFILES = [STANDARD, Profile("low_fp", 1.0, 0.22, 1.0), Profile("low_fn", 1.0, 0.11, 2.0)]


def naive(corpus: Corpus, scores: list[list[float]], profile: Profile, threshold: float) -> float:
    """The normalised score at a threshold, row by row."""

    def sigmoid(position: float) -> float:
        return 2 / (1 + exp(5 * position)) - 1 if position <= 3 else -1.0

    total, windows = 0.0, 0
    for series, judged in zip(corpus.series, scores, strict=True):
        caught: dict[Window, float] = dict.fromkeys(series.windows, -profile.miss)
        windows += len(caught)
        for row, score in enumerate(judged):
            if row < series.probation or score < threshold:
                continue
            inside = [window for window in series.windows if window.first <= row <= window.last]
            before = [window for window in series.windows if window.last < row]
            if inside:
                first, last = inside[0]
                weight = profile.hit * sigmoid((row - last - 1) / (last - first + 1)) / sigmoid(-1)
                caught[inside[0]] = max(caught[inside[0]], weight)
            elif before:
                first, last = before[-1]
                total += profile.false_positive * sigmoid((row - last) / (last - first))
            else:
                total -= profile.false_positive
        total += sum(caught.values())
    nothing, everything = -profile.miss * windows, profile.hit * windows
    return 100 * (total - nothing) / (everything - nothing)


@st.composite
def judged_corpora(draw: st.DrawFn) -> tuple[Corpus, list[list[float]]]:
    series, scores = [], []
    for number in range(draw(st.integers(1, 3))):
        length = draw(st.integers(10, 60))
        edges = sorted(draw(st.sets(st.integers(2, length - 1), max_size=6)))
        windows = [Window(*pair) for pair in zip(edges[::2], edges[1::2], strict=False)]
        series.append(Series(f"d{number % 2}/{number}", [""] * length, [0] * length, [0.0] * length, windows))
        scores.append(draw(st.lists(st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]), min_size=length, max_size=length)))
    series[0].windows[:] = series[0].windows or [Window(4, 8)]
    return Corpus(series, PROFILES, {}), scores


@given(judged_corpora(), st.sampled_from(PROFILES))
def test_the_sweep_finds_the_best_of_all_thresholds(made: tuple[Corpus, list[list[float]]], profile: Profile) -> None:
    corpus, scores = made
    found = nab.score(nab.prepare(corpus), nab.joined(scores), profile)
    thresholds = [inf, *{score for judged in scores for score in judged}]
    assert found.score == pytest.approx(max(naive(corpus, scores, profile, at) for at in thresholds))
    assert found.score == pytest.approx(naive(corpus, scores, profile, found.threshold))


@given(judged_corpora())
def test_held_out_is_never_better_than_in_hindsight(made: tuple[Corpus, list[list[float]]]) -> None:
    rows, scores = nab.prepare(made[0]), nab.joined(made[1])
    assert nab.held_out(rows, scores, STANDARD) <= nab.score(rows, scores, STANDARD).score + 1e-9


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    data_file("nab_meta.json.gz")
    return load(data_file("nab_data.csv.gz").parent)


@pytest.mark.data
def test_null_is_0_and_perfect_is_100(corpus: Corpus) -> None:
    rows = nab.prepare(corpus)
    for profile in corpus.profiles:
        assert nab.score(rows, nab.joined([references.null(series) for series in corpus.series]), profile).score == 0
        perfect = nab.joined([references.perfect(series) for series in corpus.series])
        assert nab.score(rows, perfect, profile).score == pytest.approx(100)


@pytest.mark.data
def test_chance_and_a_windowed_gaussian_score_what_is_published(corpus: Corpus) -> None:
    """The published figure of chance is a mean over seeds, one draw varies by some points; 0.6 is what another choice of threshold is worth."""
    rows = nab.prepare(corpus)
    draws = [
        nab.joined([references.chance(series, 1000 * seed + number) for number, series in enumerate(corpus.series)])
        for seed in range(10)
    ]
    assert np.mean([nab.score(rows, draw, corpus.profiles[0]).score for draw in draws]) == pytest.approx(11, abs=3)
    gaussian = nab.joined([references.windowed_gaussian(series) for series in corpus.series])
    published = corpus.published["windowedGaussian"]
    assert nab.score(rows, gaussian, corpus.profiles[0]).score == pytest.approx(published["standard"], abs=0.6)
