"""The suite that every detector passes, and what each is there for."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import inf, isnan, nan, pi, sin

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.detection.detectors.combined import Combined
from benchmarks.detection.detectors.extremes import Extremes
from benchmarks.detection.detectors.level import Level
from benchmarks.detection.detectors.seasonal import Seasonal
from benchmarks.detection.detectors.signals import Spread
from benchmarks.detection.run import DETECTORS
from streams.detect.detectors.baseline import Standard
from streams.detect.detectors.detector import Detector, Judgement
from streams.detect.detectors.drift import Drift
from streams.windows.measures import DAY_US, HOUR_US

Make = Callable[[], Detector]
T0 = 1_767_225_600_000_000

every = pytest.mark.parametrize("make", DETECTORS.values(), ids=list(DETECTORS))


def judge(detector: Detector, values: Sequence[float], begin: int = 0, step_us: int = HOUR_US) -> list[Judgement]:
    return [detector.observe(T0 + (begin + row) * step_us, value) for row, value in enumerate(values)]


def rhythm(hours: int, seed: int = 1) -> list[float]:
    """A day that rises and falls between 50 and 150, with noise."""
    noise = np.random.default_rng(seed).normal(0, 3, hours)
    return [100 + 50 * sin(2 * pi * hour / 24) + float(noise[hour]) for hour in range(hours)]


def size(part: object) -> int:
    """Numbers in a state."""
    if isinstance(part, dict):
        return sum(map(size, part.values()))
    return sum(map(size, part)) if isinstance(part, list) else 1


finite = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 1e308, -1e308, 5e-324, 1e-12, 7.0]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-100, 100),
)


@every
@settings(max_examples=30)
@given(values=st.lists(finite, min_size=60, max_size=90), gaps=st.lists(st.integers(-3, 400), min_size=90, max_size=90))
def test_any_values_and_gaps_give_sound_judgements(make: Make, values: list[float], gaps: list[int]) -> None:
    """Constants, gaps, stamps that repeat or go back, values that are huge, tiny or negative."""
    detector, at_us = make(), T0
    for value, gap in zip(values, gaps, strict=False):
        at_us += gap * HOUR_US
        found = detector.observe(at_us, value)
        assert 0 <= found.score <= 1
        assert not any(map(isnan, (found.observed, found.low, found.high)))
        assert found.low <= found.high


@every
def test_a_judgement_depends_on_nothing_but_the_values_up_to_its_own(make: Make) -> None:
    values = rhythm(400)
    changed = [*values[:300], *(-value for value in values[300:])]
    assert judge(make(), values) == judge(make(), values)
    assert judge(make(), values)[:300] == judge(make(), changed)[:300]


@every
@settings(max_examples=10)
@given(cut=st.integers(0, 500))
def test_restored_from_json_it_goes_on_as_if_it_had_never_stopped(make: Make, cut: int) -> None:
    values = rhythm(500)
    values[250] = 900.0
    whole = judge(make(), values)
    first, second = make(), make()
    judge(first, values[:cut])
    second.restore(json.loads(json.dumps(first.state())))
    assert judge(second, values[cut:], begin=cut) == whole[cut:]


@every
def test_a_state_is_a_copy(make: Make) -> None:
    detector = make()
    judge(detector, rhythm(300))
    kept = json.dumps(detector.state())
    state = detector.state()
    judge(detector, [5000.0] * 50, begin=300)
    assert json.dumps(state) == kept


@every
def test_memory_is_bounded(make: Make) -> None:
    detector = make()
    judge(detector, rhythm(2_000))
    early = size(detector.state())
    judge(detector, rhythm(3_000, seed=2), begin=2_000)
    assert size(detector.state()) == early < 1_500


@every
@pytest.mark.parametrize("value", [0.0, 3.5, -4.0])
def test_a_constant_is_never_unusual(make: Make, value: float) -> None:
    assert max(found.score for found in judge(make(), [value] * 500)) < 0.5


@every
@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_what_is_no_number_is_refused_and_changes_nothing(make: Make, value: float) -> None:
    detector = make()
    judge(detector, rhythm(50))
    before = detector.state()
    with pytest.raises(ValueError, match="finite"):
        detector.observe(T0, value)
    assert detector.state() == before


@every
def test_it_explains_what_it_finds(make: Make) -> None:
    values = [0.1 * sin(hour) for hour in range(400)] + [100.0] * 40
    found = judge(make(), values)
    worst = max(found[400:], key=lambda judged: judged.score)
    assert worst.score > max(judged.score for judged in found[200:400])
    assert worst.component != "none"
    assert not worst.low <= worst.observed <= worst.high
    assert worst.since_us >= T0 + 390 * HOUR_US
    assert all(judged.since_us <= T0 + row * HOUR_US for row, judged in enumerate(found))


@every
def test_the_unit_does_not_matter(make: Make) -> None:
    """A series in micro-USD is judged as the same series in USD. Logarithms round, which may swap equals."""
    values = rhythm(400)
    values[350] = 700.0
    scores = [found.score for found in judge(make(), values)]
    scaled = [found.score for found in judge(make(), [value * 2.0**20 for value in values])]
    assert sum(abs(a - b) > 1e-6 for a, b in zip(scores, scaled, strict=True)) <= 8


def test_the_usual_rhythm_is_quiet_and_a_night_at_day_level_is_not() -> None:
    """The same value is fine at noon: only the hour of the day tells."""
    values = rhythm(21 * 24)
    values[-6:] = [value + 60 for value in values[-6:]]
    found = judge(Seasonal(), values)
    assert max(values[-6:]) < 150
    assert max(judged.score for judged in found[-6:]) > 0.999
    assert found[-1].component == "season"
    assert sum(judged.score > 0.999 for judged in found[:-6]) <= 3


def test_a_slow_drift_is_found_that_no_single_value_shows() -> None:
    noise = np.random.default_rng(3).normal(0, 1, 900)
    values = [100 + float(part) + max(0, row - 600) * 0.01 for row, part in enumerate(noise)]
    found = judge(DETECTORS["drift"](), values)
    assert max(judged.score for judged in found[:600]) < 0.5
    assert max(judged.score for judged in found[600:]) >= 0.5
    first = next(row for row in range(600, 900) if found[row].score >= 0.5)
    assert found[first].component == "drift"
    assert T0 + 560 * HOUR_US < found[first].since_us < T0 + first * HOUR_US
    assert abs(values[first] - 100) < 6


@pytest.mark.parametrize(
    ("days", "since"),
    [([0.2, 3.0], 1), ([0.2, 2.3, 2.3], 1), ([2.3, -4.0, 2.3], None), ([1.4] * 7, None), ([-2.3, -2.3], 0)],
)
def test_deviations_are_summed_as_they_are(days: list[float], since: int | None) -> None:
    """What is standardised already needs no learning: one day of three deviations is a drift, or two of 2.25 each."""
    last = judge(Drift(Standard(), slack=1.5, limit=1.5), days, step_us=DAY_US)[-1]
    assert (last.score >= 0.5, last.component) == (since is not None, "none" if since is None else "drift")
    assert since is None or last.since_us == T0 + since * DAY_US


def test_a_change_of_level_is_told_as_one() -> None:
    noise = np.random.default_rng(4).normal(0, 1, 800)
    values = [float(part) + (2 if row >= 700 else 0) for row, part in enumerate(noise)]
    found = judge(Level(), values)
    worst = max(found[700:740], key=lambda judged: judged.score)
    assert worst.score > 0.99
    assert worst.component == "level"


def test_a_series_that_falls_flat_is_told_as_such() -> None:
    noise = np.random.default_rng(5).normal(100, 10, 1_000)
    values = [float(part) for part in noise] + [100.0] * 60
    assert "spread" in {judged.component for judged in judge(Combined(), values)[1_000:]}
    worst = max(judge(Combined([Spread(50)]), values)[1_000:], key=lambda judged: judged.score)
    assert worst.score > 0.99
    assert worst.observed < worst.low


def test_the_second_of_two_equal_spikes_is_no_news_until_the_first_is_old() -> None:
    noise = np.random.default_rng(6).normal(100, 3, 2_000)
    values = [float(part) for part in noise]
    for row in (1_000, 1_010, 1_600):
        values[row] = 400.0
    found = judge(Combined(), values)
    assert found[1_000].score > 0.99
    assert found[1_010].score < 0.97
    assert found[1_600].score > found[1_010].score


@given(st.lists(st.integers(0, 12), min_size=21, max_size=200))
def test_rarity_is_the_rank_among_all_before(distances: list[int]) -> None:
    """For the 32 largest; below them it only falls with the distance."""
    extremes = Extremes()
    for distance in distances:
        extremes.learn(distance)
    kept = sorted(distances)[-32:]
    for distance in range(1, 13):
        farther = sum(other >= distance for other in distances)
        if distance > kept[0] or farther <= 31:
            share = min(1.0, (farther + 0.5) / (len(distances) + 1))
            assert 10 ** -extremes.rarity(distance) == pytest.approx(share)
    assert all(a <= b for a, b in pairwise(extremes.rarity(distance) for distance in range(14)))


def test_extremes_forget_what_is_old() -> None:
    extremes = Extremes()
    for row in range(45_000):
        extremes.learn(1e6 if row < 40 else row % 7)
    assert extremes.rarity(10) > 4


def test_a_day_is_enough_for_a_first_season() -> None:
    day = [10.0] * 12 + [100.0] * 12
    found = judge(Combined(), day * 4, step_us=HOUR_US)
    assert found[-1].since_us <= T0 + 4 * DAY_US
    assert max(judged.score for judged in found[48:]) < 0.99
