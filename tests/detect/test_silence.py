"""Silence of less than an hour, out of windows of an hour."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.detect.silence import (
    PANE_US,
    PANES,
    RECENT,
    Counts,
    Pauses,
    Recent,
    faded_per_mille,
    panes,
    pauses,
    silent_panes,
)
from streams.windows.measures import DAY_US

TEAM = ("acme", "web")


def hours(requests: list[int]) -> Counts:
    """Windows of an hour that end with each of the last RECENT panes; before them is nothing."""
    whole = np.array([0] * (RECENT + PANES - len(requests)) + requests)
    return np.convolve(whole, np.ones(PANES, np.int64))[PANES : PANES + RECENT]


def silence(windows: Counts, least: int) -> int:
    """`silent_panes` at the last of some windows, which is not among those before it."""
    recent, last = Recent(), 40 * DAY_US
    for back, requests in enumerate(reversed(windows.tolist())):
        if back:
            recent.put(TEAM, last - back * PANE_US, requests)
    return silent_panes(recent, TEAM, last, int(windows[-1]), least)


def naive(requests: list[int]) -> int:
    """Panes at the end without requests."""
    return next((back for back, count in enumerate(reversed(requests)) if count), len(requests))


@given(st.lists(st.sampled_from([0, 0, 1, 7, 90]), min_size=30, max_size=200), st.integers(0, 30), st.integers(1, 8))
def test_panes_and_their_silence_are_those_that_the_windows_were_made_of(
    requests: list[int], silent: int, least: int
) -> None:
    told = [3, *requests, 5] + [0] * silent
    windows = hours(told)
    found = panes(windows)
    assert found is not None
    assert found[-len(told) :].tolist() == told
    expected = naive(told)
    assert silence(windows, least) == (expected if expected >= least else 0)


def test_panes_of_a_team_that_never_rests_are_known_once_each_was_empty() -> None:
    rng = np.random.default_rng(1)
    told = rng.poisson(20, RECENT + PANES)
    windows = np.convolve(told, np.ones(PANES, np.int64))[PANES : PANES + RECENT]
    assert panes(windows) is None
    assert pauses(windows, 48) is None
    told[5 * PANES : 6 * PANES] = 0
    windows = np.convolve(told, np.ones(PANES, np.int64))[PANES : PANES + RECENT]
    found = panes(windows)
    assert found is not None
    assert found.tolist() == told[PANES:].tolist()


def test_an_empty_window_is_silent_whatever_is_known_of_panes() -> None:
    told = [5] * (RECENT - 2) + [0] * 14
    windows = np.convolve(told, np.ones(PANES, np.int64))[PANES : PANES + RECENT]
    assert silence(windows, 6) == 14


def test_pauses_leave_out_what_the_hour_before_them_had_in_it() -> None:
    told = [10] * 24
    for _ in range(8):
        told += [0, 0, *[10] * 24]
    assert pauses(hours(told), 48) == Pauses(8, 20)
    assert pauses(hours([10] * 24), 48) == Pauses(0, 0)
    assert pauses(hours([*[10] * 24, *[0] * 30] * 8), 48) == Pauses(7, 120)  # an hour's worth at most
    assert pauses(hours([*[10] * 24, *[0] * 48] * 8), 48) == Pauses(0, 0)  # nights


@pytest.mark.parametrize(
    ("hour", "kept"),
    [([10] * 12, 1000), ([13] * 9 + [1] * 3, 100), ([0] * 9 + [40] * 3, 1000), ([12] * 9 + [0, 0, 6], 210)],
)
def test_a_pause_is_known_by_the_end_of_the_hour_before_it(hour: list[int], kept: int) -> None:
    """A feed dies in the middle of its work; people who pause ask less and less."""
    windows = hours([5] * 24 + hour + [0] * 9)
    assert faded_per_mille(windows, 9) == kept


def test_of_a_team_whose_panes_cannot_be_told_nothing_is_known_to_fade() -> None:
    told = [5] * (RECENT + PANES)
    assert faded_per_mille(np.convolve(told, np.ones(PANES, np.int64))[PANES : PANES + RECENT], 0) == 1000


@pytest.mark.parametrize("step", [1, 5])
def test_recent_windows_are_kept_by_their_ends_alone(step: int) -> None:
    kept, other = Recent(), Recent()
    ends = range(20 * DAY_US, 31 * DAY_US + 7 * PANE_US, step * PANE_US)
    for number, end in enumerate(ends):
        kept.put(TEAM, end, number + 1)
    for number, end in reversed(list(enumerate(ends))):  # a restart reads them in any order
        other.put(TEAM, end, number + 1)
    last = ends[-1]
    expected = [
        (end - ends[0]) // (step * PANE_US) + 1 if (end - ends[0]) % (step * PANE_US) == 0 else 0
        for end in range(last - RECENT * PANE_US, last, PANE_US)
    ]
    assert kept.before(TEAM, last, RECENT).tolist() == expected == other.before(TEAM, last, RECENT).tolist()
    kept.forget(last - RECENT * PANE_US)
    assert kept.before(TEAM, last, RECENT).tolist() == expected
    assert (kept.at(TEAM, last), kept.at(TEAM, last - 10 * DAY_US)) == (len(ends), 0)
    kept.forget(last + DAY_US)
    assert kept.at(TEAM, last) == 0
    assert not kept.before(TEAM, last, 3).any()


@given(st.lists(st.tuples(st.integers(0, 400), st.sampled_from([0, 0, 3])), max_size=30), st.integers(0, 400))
def test_empty_windows_are_those_since_the_last_one_with_requests(told: list[tuple[int, int]], place: int) -> None:
    """Whatever came, in any order, revised or not, and also before what came later."""
    recent, kept = Recent(), dict[int, int]()
    for at, requests in told:
        recent.put(TEAM, 40 * DAY_US + at * PANE_US, requests)
        kept[at] = requests
    expected = next((back for back in range(287) if kept.get(place - 1 - back)), 287)
    assert recent.empty_before(TEAM, 40 * DAY_US + place * PANE_US) == expected
