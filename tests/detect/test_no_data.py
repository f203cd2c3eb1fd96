"""An alert whose team's usage stops coming is not over."""

from __future__ import annotations

from functools import cache

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.detect.alert import Alert, alert_rows
from streams.detect.engine import AlertEngine
from streams.detect.policy import AlertPolicy
from streams.windows.measures import DAY_US, HOUR_US
from tests.detect.made import LATENESS_US, T0, Company, Hour, day, office
from tests.detect.stories import MINUTE_US, judged

LOOP = Hour(spend=130, unattributed=125, requests=20)


def company(loop: int, dead: range, weeks: int = 4, days: int = 31) -> Company:
    """A team with 20 requests in each of 40 hours a week, whose agent loops in one hour and whose feed is dead in others."""

    def tell(_: str, hour: int) -> Hour | None:
        if hour in dead or hour < day(7 * (4 - weeks)):
            return None
        if hour == loop:
            return LOOP
        return Hour(spend=10, requests=20, core_cost=8, core_value=0.5, items=1) if office(hour) else None

    return Company(["web"], day(days), tell)


def story(made: Company, since_hour: int) -> list[tuple[str, int]]:
    """(state, five minutes since that hour began) of the page."""
    found = [a for a in judged(made.windows(), made.end_us) if a.rule == "spend_runaway"]
    return [(a.state, (a.window_end - T0 - since_hour * HOUR_US) // (5 * MINUTE_US)) for a in found]


def test_a_page_is_not_over_because_the_feed_died() -> None:
    """The loop was the last thing that was seen, at 12:00; usage is back the next day at 11:00."""
    loop = day(28, 12)
    assert story(company(loop, range(loop + 1, day(29, 11))), loop) == [
        ("pending", 1),
        ("firing", 3),
        ("no_data", 13),
        ("firing", 23 * 12 + 1),
        ("resolved", 23 * 12 + 7),
    ]


@pytest.mark.parametrize(
    ("why", "made"),
    [
        ("other usage goes on", company(day(28, 12), range(0))),
        ("nobody works at that hour", company(day(28, 2), range(0))),
        ("a new team has no four weeks", company(day(28, 12), range(day(28, 13), day(29, 11)), weeks=3)),
    ],
)
def test_a_page_is_over_when(why: str, made: Company) -> None:
    loop = day(28, 2 if "nobody" in why else 12)
    assert story(made, loop) == [("pending", 1), ("firing", 3), ("firing", 13), ("resolved", 19)], why


def test_a_ticket_of_a_week_waits_as_well() -> None:
    def tell(_: str, hour: int) -> Hour | None:
        if not office(hour) or day(29) <= hour < day(39):
            return None
        busy = day(21) <= hour < day(26)
        return Hour(spend=24 if busy else 10, requests=20, core_cost=8, low_cost=1, core_value=0.5, items=1)

    made = Company(["web"], day(45), tell)
    found = [a for a in judged(made.windows(), made.end_us) if a.rule == "spend_up_core_flat"]
    told = [(a.state, (a.window_end - T0) // DAY_US) for a in found]
    assert told == [("firing", 23), ("no_data", 30), ("firing", 39), ("resolved", 42)]


@cache
def windows() -> pl.DataFrame:
    """Of the page above."""
    return company(day(28, 12), range(day(28, 13), day(29, 11)), days=30).windows()


@cache
def whole_story() -> list[Alert]:
    return judged(windows(), T0 + day(30) * HOUR_US)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(day(28) * 12 + 1, day(30) * 12), max_size=4))
def test_neither_batches_nor_restarts_change_the_story(cuts: list[int]) -> None:
    told = list[Alert]()
    done = T0 + day(28) * HOUR_US
    for cut in [*sorted(set(cuts)), day(30) * 12]:
        engine, until = AlertEngine(AlertPolicy(), LATENESS_US), T0 + cut * 5 * MINUTE_US
        latest = {(alert.fingerprint, alert.started_at): alert for alert in told}
        engine.load(alert_rows(latest.values()), done + LATENESS_US)
        engine.load_history(windows().filter(windows()["window_end"] <= done + 6 * HOUR_US))
        told += engine.on_windows(
            windows().filter(windows()["window_end"].is_between(done, until, closed="right")), until + LATENESS_US
        )
        done = until
    assert told == whole_story()
    assert "no_data" in {alert.state for alert in told}


def test_an_alert_without_data_tells_so() -> None:
    gone = next(alert for alert in whole_story() if alert.state == "no_data")
    assert gone.open
    assert not gone.clear_since
    assert b'"state":"no_data"' in gone.message()
    assert b'"endsAt":"0001-01-01T00:00:00Z"' in gone.message()
    assert gone.since(gone.window_end - 1) == [gone]
