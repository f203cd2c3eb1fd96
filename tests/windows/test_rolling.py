"""Interval and difference arithmetic against sets and loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.windows.rolling import Ints, Presence, RunningSums, clip, group_of, key, number_of, places, unite

GROUPS, NUMBERS = st.integers(0, 3), st.integers(0, 12)
INTERVALS = st.lists(st.tuples(GROUPS, NUMBERS, st.integers(-2, 6)), max_size=12)


def ints(values: list[int]) -> Ints:
    return np.array(values, np.int64)


def line(intervals: list[tuple[int, int, int]]) -> tuple[Ints, Ints]:
    groups, starts, lengths = (ints([row[i] for row in intervals]) for i in range(3))
    return key(groups, starts + 3), key(groups, starts + 3) + lengths


def covered(starts: Ints, stops: Ints) -> set[int]:
    return {place for a, b in zip(starts.tolist(), stops.tolist(), strict=True) for place in range(a, b + 1)}


@settings(deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(0, 2**32 - 1))
def test_a_place_is_a_group_and_a_number(group: int, number: int) -> None:
    place = key(ints([group]), number)
    assert (group_of(place)[0], number_of(place)[0]) == (group, number)


@settings(deadline=None)
@given(INTERVALS)
def test_a_union_covers_the_same_places_with_gaps_between(intervals: list[tuple[int, int, int]]) -> None:
    starts, stops = line(intervals)
    united = unite(starts, stops)
    assert covered(*united) == covered(starts, stops)
    assert (united[0] <= united[1]).all()
    assert (united[0][1:] > united[1][:-1] + 1).all()


@settings(deadline=None)
@given(INTERVALS, NUMBERS, NUMBERS)
def test_places_and_clip(intervals: list[tuple[int, int, int]], first: int, last: int) -> None:
    starts, stops = line(intervals)
    assert places(starts, stops).tolist() == sorted(covered(starts, stops))
    kept = sorted(p for p in covered(starts, stops) if first <= p & 0xFFFFFFFF <= last)
    assert places(*clip(starts, stops, first, last)).tolist() == kept


@settings(deadline=None)
@given(
    st.lists(st.tuples(GROUPS, NUMBERS, st.integers(-(2**62), 2**62), st.integers(0, 9)), max_size=20),
    st.lists(st.tuples(GROUPS, NUMBERS, st.integers(0, 9)), max_size=10),
)
def test_running_sums_of_stretches(
    rows: list[tuple[int, int, int, int]], stretches: list[tuple[int, int, int]]
) -> None:
    rows = sorted(rows, key=lambda row: row[1])
    values = np.array([[r[2], r[3], 7] for r in rows], np.int64).reshape(-1, 3)
    sums = RunningSums(ints([r[0] for r in rows]), ints([r[1] for r in rows]), values, 2)
    starts = key(ints([s[0] for s in stretches]), ints([s[1] for s in stretches]))
    stops = starts + ints([s[2] for s in stretches])
    low, high = sums.between(starts, stops)
    totals = np.empty((2, len(low)), np.int64)
    sums.sums(low, high, totals)
    for total, begin, end, (group, number, length) in zip(totals.T.tolist(), low, high, stretches, strict=True):
        held = [r for r in rows if r[0] == group and number <= r[1] < number + length]
        wide = (sum(r[2] for r in held) + 2**63) % 2**64 - 2**63
        assert (total, bool(begin < end)) == ([wide, sum(r[3] for r in held)], bool(held))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(GROUPS, st.integers(0, 2), NUMBERS), max_size=25), st.sampled_from((1, 2, 5)))
def test_presence_counts_distinct_members_of_every_window(rows: list[tuple[int, int, int]], count: int) -> None:
    rows = sorted(rows, key=lambda row: row[2])
    presence = Presence(ints([r[0] for r in rows]), ints([r[1] for r in rows]), ints([r[2] for r in rows]), count)
    windows = [(group, end) for group in range(4) for end in range(20)]
    counts = presence.counts(key(ints([w[0] for w in windows]), ints([w[1] for w in windows])))
    for (group, end), counted in zip(windows, counts.tolist(), strict=True):
        assert counted == len({member for g, member, bucket in rows if g == group and end - count <= bucket < end})


@pytest.mark.parametrize("size", [0, 1])
def test_nothing_is_a_valid_input(size: int) -> None:
    nothing = ints([])
    windows = key(ints([0] * size), ints([5] * size))
    assert places(nothing, nothing).tolist() == []
    assert Presence(nothing, nothing, nothing, 3).counts(windows).tolist() == [0] * size
