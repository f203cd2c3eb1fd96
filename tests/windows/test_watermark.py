"""Watermarks: what a sender says of its inputs, and what a receiver makes of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.windows.updates import pack_watermarks, unpack
from streams.windows.watermark import InputWatermarks, Watermarks

SECOND = 1_000_000
IDLE = 30 * SECOND
NOW = 1_700_000_000 * SECOND


def one_input(watermark: int = NOW - 60 * SECOND, now: int = NOW) -> Watermarks:
    """Partition 3, whose inputs stand at a watermark since `now`."""
    made = Watermarks(idle_us=IDLE)
    made.restore(3, watermark, watermark, now)
    return made


def test_the_watermark_is_the_highest_time_applied() -> None:
    made = one_input(watermark=NOW)
    for occurred_at, expected in ((NOW - 1, NOW), (NOW + 5, NOW + 5), (NOW + 2, NOW + 5)):
        made.observe(3, "usage", occurred_at, NOW)
        assert made.of(3) == (expected, NOW)


def test_an_input_that_never_had_an_event_is_at_zero() -> None:
    made = Watermarks(idle_us=IDLE)
    assert made.of(0) == (0, 0)
    made.restore(0, -(2**63), 7, NOW)
    assert made.of(0) == (0, 7)


def test_an_idle_input_follows_its_fetches() -> None:
    made = one_input()
    for seconds in (30, 31, 90):
        now = NOW + seconds * SECOND
        assert made.idle(3, "usage", fetched_at=now - 5, drained=True, now=now)
        assert made.of(3) == (now - 5 - IDLE, NOW - 60 * SECOND), "the other side has to show by itself that it is idle"


def test_nothing_moves_before_thirty_seconds_or_with_records_left() -> None:
    made = one_input()
    now = NOW + IDLE
    assert not made.idle(3, "usage", fetched_at=now - 1, drained=True, now=now - 1)
    assert not made.idle(3, "usage", fetched_at=now, drained=False, now=now)
    assert made.idle(3, "usage", fetched_at=now, drained=True, now=now)


def test_a_broker_that_is_away_freezes_the_watermark() -> None:
    made = one_input()
    fetched_at = NOW + 40 * SECOND
    assert made.idle(3, "usage", fetched_at=fetched_at, drained=True, now=fetched_at)
    for later in (1, 100, 10_000):
        assert not made.idle(3, "usage", fetched_at=fetched_at, drained=True, now=fetched_at + later * SECOND)
    assert made.of(3)[0] == fetched_at - IDLE


def test_a_trickle_of_old_events_neither_stops_nor_drives_the_watermark() -> None:
    made = one_input()
    for seconds in range(0, 120, 10):
        now = NOW + seconds * SECOND
        made.observe(3, "usage", NOW - 3600 * SECOND, now)
        assert made.idle(3, "usage", fetched_at=now, drained=True, now=now) == (seconds >= 30)
    assert made.of(3)[0] == NOW + 110 * SECOND - IDLE


def test_a_fetch_from_before_the_last_event_shows_nothing() -> None:
    made = one_input()
    made.observe(3, "usage", NOW - 50 * SECOND, NOW + SECOND)
    assert not made.idle(3, "usage", fetched_at=NOW + SECOND, drained=True, now=NOW + 32 * SECOND)
    assert made.idle(3, "usage", fetched_at=NOW + 2 * SECOND, drained=True, now=NOW + 32 * SECOND)


def test_an_input_ahead_of_its_fetches_stays() -> None:
    made = one_input(watermark=NOW + 300 * SECOND)
    assert not made.idle(3, "usage", fetched_at=NOW + 330 * SECOND, drained=True, now=NOW + 330 * SECOND)
    assert made.idle(3, "usage", fetched_at=NOW + 331 * SECOND, drained=True, now=NOW + 331 * SECOND)


def test_an_input_that_is_not_owned_is_left_alone() -> None:
    made = Watermarks(idle_us=0)
    assert not made.idle(3, "usage", fetched_at=NOW, drained=True, now=NOW)
    assert made.of(3) == (0, 0)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("event"), st.integers(-100, 100)),
        st.tuples(st.just("empty"), st.integers(0, 3)),
        st.tuples(st.just("full"), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.sampled_from((1, 10, 29, 30, 31, 500))),
    ),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_the_watermark_by_the_words_of_the_design(steps: list[tuple[str, int]]) -> None:
    """Times in seconds after NOW; `empty` and `full` are fetches that came back so many seconds ago."""
    made = one_input(watermark=NOW)
    now = watermark = advanced_at = 0
    for step, value in steps:
        if step == "wait":
            now += value
        elif step == "event":
            made.observe(3, "usage", NOW + value * SECOND, NOW + now * SECOND)
            if value > watermark:
                watermark, advanced_at = value, now
        else:
            made.idle(
                3, "usage", fetched_at=NOW + (now - value) * SECOND, drained=step == "empty", now=NOW + now * SECOND
            )
            if step == "empty" and now - advanced_at >= 30 and now - value > advanced_at:
                watermark = max(watermark, now - value - 30)
        assert made.of(3) == (NOW + watermark * SECOND, NOW)


# --- the receiver -------------------------------------------------------------------------------------------------------------------


def heard(partitions: int, *rows: tuple[int, int, int, int, int]) -> InputWatermarks:
    made = InputWatermarks(partitions)
    made.merge(unpack(pack_watermarks(rows))[1])
    return made


def test_no_watermark_before_all_inputs_have_one() -> None:
    made = heard(2, (1, 5, 5, 70, 60))
    assert made.value() is None
    made.merge_rows([(0, 0, 0, 50, 0)])
    assert made.value() is None, "the work items of partition 0 have none yet"
    made.merge_rows([(0, 0, 0, 40, 30)])
    assert made.value() == 30


@pytest.mark.parametrize("side", [3, 4])
def test_the_minimum_is_over_both_topics(side: int) -> None:
    rows = [[kpart, 1, 1, 100 + kpart, 100 + kpart] for kpart in range(3)]
    rows[2][side] = 7
    assert heard(3, *((a, b, c, d, e) for a, b, c, d, e in rows)).value() == 7


ROW: Any = st.tuples(st.integers(0, 2), *[st.integers(0, 4)] * 4)


@settings(deadline=None)
@given(st.lists(st.lists(ROW, max_size=4), max_size=8))
def test_what_is_known_never_goes_back(messages: list[list[tuple[int, int, int, int, int]]]) -> None:
    made = InputWatermarks(3)
    best: dict[int, tuple[int, ...]] = {}
    before: int | None = None
    for message in messages:
        made.merge(unpack(pack_watermarks(message))[1])
        for kpart, *values in message:
            best[kpart] = tuple(max(pair) for pair in zip(best.get(kpart, (0,) * 4), values, strict=True))
        assert made.positions() == [(kpart, *best[kpart]) for kpart in sorted(best)]
        now = made.value()
        complete = len(best) == 3 and all(usage and items for _, _, usage, items in best.values())
        assert now == (min(min(values[2:]) for values in best.values()) if complete else None)
        assert before is None or (now is not None and now >= before)
        before = now


@given(st.permutations([(0, 4, 1, 9, 9), (0, 5, 2, 8, 9), (1, 1, 1, 7, 9), (1, 2, 1, 8, 8)]))
def test_the_order_of_messages_does_not_matter(rows: list[tuple[int, int, int, int, int]]) -> None:
    made = heard(2, *rows)
    assert made.positions() == [(0, 5, 2, 9, 9), (1, 2, 1, 8, 9)]
    restored = InputWatermarks(2)
    restored.merge_rows(made.positions())
    assert (restored.positions(), restored.value()) == (made.positions(), 8)
