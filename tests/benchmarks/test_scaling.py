"""docs/scaling.md says what its script makes of the stored results, and the formulas in it hold for the real engine."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.growth.grouping import PER_TEAM
from benchmarks.inside import HORIZON_US, new_engine
from benchmarks.scaling.costs import Assumed, between, load
from benchmarks.scaling.page import SECTIONS, figure, size, tables, write
from benchmarks.scaling.plan import (
    DAYS_OF_WINDOWS,
    LONGER,
    PANES_PER_DAY,
    RATES,
    limits,
    pane_use,
    plan,
    shares_of,
    window_rows_held,
)
from streams.windows.families import FAMILIES
from streams.windows.measures import DAY_US, PANE_US, USAGE_MEASURES

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"


def test_the_page_is_what_the_script_makes_of_the_stored_results() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert write(text, load(Assumed()), Assumed()) == text, "run: python -m benchmarks.scaling"
    assert text.count("<!-- end of ") == len(SECTIONS)


def test_every_need_grows_with_the_rate_and_everything_stored_is_of_the_rate() -> None:
    costs = load(Assumed())
    few, many = plan(RATES[0], costs, Assumed()), plan(RATES[-1], costs, Assumed())
    assert many.join_cores == pytest.approx(1000 * few.join_cores)
    assert many.identities_gb == pytest.approx(1000 * few.identities_gb)
    assert many.tables["usage_events"].stored_per_day == pytest.approx(1000 * few.tables["usage_events"].stored_per_day)
    assert few.partitions < many.partitions
    shorter = plan(RATES[0], costs, replace(Assumed(), horizon_days=1))
    assert shorter.identities_gb == pytest.approx(few.identities_gb / 7)
    found = limits(costs, Assumed())
    assert [limit.full_at for limit in found] == sorted(limit.full_at for limit in found)
    assert all(limit.full_at > 0 and limit.turn for limit in found)


@pytest.mark.parametrize("days", [1, 3])
def test_the_window_agent_holds_as_many_rows_as_the_formula_says(days: int) -> None:
    """Every series has usage of two input partitions in every pane, of one person in all of them."""
    series, partitions, end = 4, 2, 40 * DAY_US
    starts = np.arange(end - days * DAY_US, end, PANE_US)
    keys = pl.DataFrame({"pane_start": starts}).join(
        pl.DataFrame({"tool": [f"tool-{number}" for number in range(series)]}), how="cross"
    ).with_columns(tenant=pl.lit("acme"), team=pl.lit("team"), model=pl.lit("model"))  # fmt: skip
    shares = keys.join(pl.DataFrame({"kpart": [0, 1]}, schema={"kpart": pl.UInt16}), how="cross")
    panes = shares.with_columns(*(pl.lit(1).alias(name) for name in USAGE_MEASURES), version=pl.lit(1, pl.UInt64))
    actors = keys.with_columns(kpart=pl.lit(0, pl.UInt16), actor_hash=pl.lit(7, pl.UInt64))
    engine = new_engine(0, HORIZON_US, panes, actors, end)
    used = series * PANES_PER_DAY * days
    expected = used * (partitions + LONGER) + used * (1 + LONGER)
    assert engine.rows_kept == pytest.approx(expected, rel=0.01)


def test_the_formula_of_what_windows_hold_counts_what_the_families_ask_for() -> None:
    longest = max(family.slide_us * family.count for family in FAMILIES)
    assert longest == DAYS_OF_WINDOWS * DAY_US
    assert pytest.approx(sum(FAMILIES[0].slide_us / family.slide_us for family in FAMILIES[1:])) == LONGER
    assumed = replace(Assumed(), teams=10, events_per_s=1_000_000)  # so dense that every pane holds everybody
    assert list(pane_use(assumed)) == pytest.approx([1.0, 10.0])
    assert shares_of(1, assumed) == pytest.approx(1.0, rel=0.01)
    assert shares_of(10_000, assumed) == pytest.approx(10, rel=0.01)
    panes, people = window_rows_held(1, assumed)
    every = 10 * PER_TEAM * PANES_PER_DAY * (28 + 7)
    assert panes == pytest.approx(every * (1 + LONGER), rel=0.01)
    assert people == pytest.approx(10 * every * (1 + LONGER), rel=0.01)


def test_between_measured_points_lies_the_straight_line_of_logarithms() -> None:
    assert between([10, 1000], [1, 100], 100) == pytest.approx(10)
    assert between([10, 1000], [1, 100], 10_000) == pytest.approx(1000)


def test_figures_have_three_digits_and_a_unit() -> None:
    assert [figure(value) for value in (0, 0.12345, 12.345, 123_456.0, 1024, math.inf)] == [
        "0", "0.123", "12.3", "123,000", "1,024", "never",
    ]  # fmt: skip
    assert [size(value) for value in (12.0, 1.5e6, 2e15)] == ["12.0 B", "1.50 MB", "2.00 PB"]


def test_all_sections_have_a_table() -> None:
    assert all(
        lines[1].startswith("|---") or lines[1].startswith("|--:")
        for lines in tables(load(Assumed()), Assumed()).values()
    )
