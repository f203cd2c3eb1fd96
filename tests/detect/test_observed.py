"""Reading final windows."""

from __future__ import annotations

import polars as pl

from streams.detect.history import History, usual
from streams.detect.observed import Observed, final_rows
from streams.windows.measures import DAY_US, HOUR_US
from tests.detect.made import T0, Company, Hour

WORK = Hour(
    spend=10,
    unattributed=3,
    enabling=2,
    core_cost=4,
    low_cost=1,
    abandoned=0.5,
    core_value=2,
    items=3,
    repeated=7,
    requests=9,
    mtok=8,
)


def test_rows_of_a_window_complete_each_other_in_any_order() -> None:
    windows = Company(["web"], 1, lambda _, hour: WORK).windows()
    for frame in (windows, windows.reverse()):
        history = History()
        for row in final_rows(frame):
            history.put(row)
        kept = history._kept["1h", ("acme", "web")]
        expected = Observed(10_000_000, 3_000_000, 2_000_000, 5_500_000, 3, 7, 9, 8_000_000, 2_000, 1_000_000)
        assert {end: Observed._make(window) for end, window in kept.items()} == {T0 + HOUR_US: expected}


def test_only_final_windows_of_teams_count() -> None:
    windows = Company(["web"], 1, lambda _, hour: WORK).windows()
    assert not list(final_rows(windows.with_columns(status=pl.lit("provisional"))))
    assert not list(final_rows(windows.with_columns(grouping=pl.lit("tenant"))))
    assert not list(final_rows(windows.with_columns(size=pl.lit("28d"))))
    as_times = windows.with_columns(pl.col("window_end").cast(pl.Datetime("us", "UTC")))
    assert list(final_rows(as_times)) == list(final_rows(windows))


def kept(days: int, first_day: int = 0) -> History:
    history = History()
    for row in final_rows(
        Company(["web"], days * 24, lambda _, hour: WORK if hour >= first_day * 24 else None).windows()
    ):
        history.put(row)
    return history


GROUP = ("acme", "web")


def test_a_baseline_needs_fourteen_days_before_the_window() -> None:
    history = kept(40)
    assert not history.before("7d", GROUP, T0 + 21 * DAY_US - 6 * HOUR_US)
    ends = [end for end, _ in history.before("7d", GROUP, T0 + 21 * DAY_US)]
    assert (ends[0], ends[-1]) == (
        T0 + 7 * DAY_US,
        T0 + 14 * DAY_US,
    )  # whole, and not overlapping the window that is judged
    assert not history.before("1h", GROUP, T0 + 14 * DAY_US)
    assert len(history.before("1h", GROUP, T0 + 14 * DAY_US + HOUR_US)) == 14 * 24


def test_a_baseline_reaches_back_four_weeks() -> None:
    history = kept(60)
    ends = [end for end, _ in history.before("7d", GROUP, T0 + 50 * DAY_US)]
    assert (ends[0], ends[-1]) == (T0 + 22 * DAY_US, T0 + 43 * DAY_US)
    history.forget(T0 + 50 * DAY_US)
    assert [end for end, _ in history.before("7d", GROUP, T0 + 50 * DAY_US)] == ends
    assert min(min(windows) for windows in history._kept.values()) > T0 + 13 * DAY_US
    history.forget(T0 + 200 * DAY_US)
    assert not history._kept


def test_missing_windows_are_empty_ones() -> None:
    history = History()
    for row in final_rows(Company(["web"], 30 * 24, lambda _, hour: WORK if hour % 24 == 9 else None).windows()):
        history.put(row)
    past = history.before("1h", GROUP, T0 + 30 * DAY_US)
    ends = [end for end, _ in past]
    assert ends == list(range(ends[0], T0 + 30 * DAY_US, HOUR_US))
    assert ends[0] < T0 + 3 * DAY_US
    assert [end for end, window in past if any(window)] == [
        T0 + number * DAY_US + 10 * HOUR_US for number in range(2, 30)
    ]


def test_median_and_percentile_leave_out_spans_and_undefined_figures() -> None:
    past = [(end, Observed(spend=end)) for end in range(1, 101)]
    assert usual(past, lambda window: window.spend, []) == (50, 95)
    assert usual(past, lambda window: window.spend, [(41, 100)]) == (20, 38)
    assert usual(past, lambda window: window.spend if window.spend <= 20 else None, []) == (10, 19)
    assert usual(past, lambda window: window.spend if window.spend < 20 else None, []) is None
