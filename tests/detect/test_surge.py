"""Many completions at once: a digest, and nothing to any other rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.detect.alert import Alert, alert_rows
from streams.detect.engine import AlertEngine
from streams.detect.policy import AlertPolicy
from streams.windows.measures import HOUR_US
from tests.detect.made import LATENESS_US, T0, Company, Hour, day, office
from tests.detect.stories import BUSY, fired, normal, run

CLOSED = Hour(core_cost=300, low_cost=900, abandoned=50, core_value=40, items=90, low_items=60)
WEEK = 7 * 24


def ordinary(hour: int) -> Hour | None:
    return replace(normal(hour) or Hour(), low_items=hour % 2) if office(hour) else None


def closing(
    *at: int, closed: Hour = CLOSED, base: Callable[[int], Hour | None] = ordinary
) -> Callable[[int], Hour | None]:
    """Ordinary life, and a bulk close in some hours of the night."""
    return lambda hour: closed if hour in at else base(hour)


def tells(then: Callable[[int], Hour | None], days: int = 30) -> tuple[list[Alert], list[Alert]]:
    """What was fired: the surges, and all else."""
    told = fired(run(then, days))
    return [a for a in told if a.rule == "completion_surge"], [a for a in told if a.rule != "completion_surge"]


def test_items_closed_in_bulk_make_one_digest_and_neither_page_nor_ticket() -> None:
    [surge], others = tells(closing(day(22, 20)))
    assert others == []
    assert (surge.kind, surge.unit, surge.value, surge.baseline, surge.threshold) == ("digest", "items", 90, 0, 20)
    assert "completed 90 items in an hour, at this time of the week at most 0" in surge.summary
    assert surge.fired_at == T0 + day(22, 20) * HOUR_US + HOUR_US // 12


@pytest.mark.parametrize(
    ("why", "usually", "now", "told"),
    [
        ("fewer than 20", 1, 19, False),
        ("20, and 10 times the most", 2, 20, True),
        ("less than 10 times the most of this hour in four weeks", 3, 29, False),
        ("10 times it", 3, 30, True),
    ],
)
def test_a_surge_is_many_items_and_many_times_the_usual(why: str, usually: int, now: int, told: bool) -> None:
    at = day(23, 11)

    def tell(hour: int) -> Hour | None:
        return replace(ordinary(hour) or Hour(), items=now if hour == at else usually) if office(hour) else None

    assert bool(tells(tell, 24)[0]) == told, why


def test_it_is_held_against_the_hour_of_the_week_not_the_busiest_hour() -> None:
    def tell(hour: int) -> Hour | None:
        weekly = hour % WEEK == day(4, 15)  # each Friday at three 12 items are completed
        return (
            replace(ordinary(hour) or Hour(), items=100 if hour == day(23, 11) else 12 if weekly else 1)
            if office(hour)
            else None
        )

    [surge], _ = tells(tell, 26)
    assert surge.baseline == 1


def test_a_team_that_closes_in_bursts_at_any_hour_has_no_surges() -> None:
    """Each week 15 items are completed in an hour of another day: so 25 are none, 30 are."""

    def tell(hour: int, most: int) -> Hour | None:
        burst = hour in (day(2, 20), day(8, 22), day(17, 3), day(24, 1)) or hour == day(27, 4)
        return Hour(items=most if hour == day(27, 4) else 15) if burst else ordinary(hour)

    assert [len(tells(lambda hour, most=most: tell(hour, most), 29)[0]) for most in (25, 30)] == [0, 1]  # type: ignore[misc]


@given(at=st.sets(st.tuples(st.integers(16, 29), st.integers(18, 23)), min_size=1, max_size=4), drift=st.booleans())
@settings(max_examples=12, deadline=None)
def test_what_is_completed_in_a_surge_moves_nothing_of_other_rules(at: set[tuple[int, int]], *, drift: bool) -> None:
    """Also while something does happen: each other rule tells the same, with the same figures, as if nothing had been closed."""

    def base(number: int) -> Hour | None:
        busywork = replace(BUSY, low_cost=16, low_items=2)
        return (busywork if office(number) else None) if drift and number >= day(28) else ordinary(number)

    _, without = tells(base, 33)
    surges, others = tells(closing(*(day(number, hour) for number, hour in at), base=base), 33)
    assert 1 <= len(surges) <= len(at)  # one that follows another at once is part of it
    assert others == without
    assert bool(without) == drift


def test_it_stays_out_after_a_restart_and_for_a_reader() -> None:
    company = Company(["web"], day(33), lambda _, hour: closing(day(20, 20), day(27, 20))(hour), lambda _: False)
    windows, until = company.windows(), T0 + day(31) * HOUR_US
    early = windows.filter(pl.col("window_end") <= until)
    first = AlertEngine(AlertPolicy(), LATENESS_US)
    rows = {(a.fingerprint, a.started_at): a for a in first.on_windows(early, until + LATENESS_US)}
    second = AlertEngine(AlertPolicy(), LATENESS_US)
    second.load(alert_rows(rows.values()), until + LATENESS_US)
    second.load_history(early)
    plain = AlertEngine(AlertPolicy(), LATENESS_US)
    quiet = Company(["web"], day(33), lambda _, hour: ordinary(hour), lambda _: False).windows()
    plain.on_windows(quiet.filter(pl.col("window_end") <= until), until + LATENESS_US)
    usual = [
        {r.name: (now, than) for r, now, than in engine.usual_now(("acme", "web")) if r.size != "1h"}
        for engine in (first, second, plain)
    ]
    assert usual[0] == usual[1] == usual[2]
