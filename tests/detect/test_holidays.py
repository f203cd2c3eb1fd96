"""A team's holidays, if a calendar tells them: no part of what is usual, and neither a drift nor a dead feed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.detect.alert import Alert, alert_rows
from streams.detect.calendar import Calendar
from streams.detect.engine import AlertEngine
from streams.detect.observed import SIZE_US
from streams.detect.policy import AlertPolicy
from streams.windows.measures import DAY_US, HOUR_US
from tests.detect.made import LATENESS_US, T0, Company, Hour, day, office
from tests.detect.stories import BUSY, busy, fired, normal

MONDAY = datetime.fromtimestamp(T0 / 1e6, UTC).date()


def calendar(*days: int, zone: str = "UTC", teams: tuple[str, ...] = ("web",)) -> Calendar:
    return Calendar(teams, zone, holidays=frozenset(MONDAY + timedelta(days=number) for number in days))


def told(tell: Callable[[int], Hour | None], days: int, *calendars: Calendar, panes: int = 1) -> list[Alert]:
    company = Company(["web"], day(days), lambda _, hour: tell(hour), panes=panes)
    engine = AlertEngine(AlertPolicy(), LATENESS_US, calendars)
    return engine.on_windows(company.windows(), company.end_us + LATENESS_US)


def test_a_holiday_lasts_from_midnight_to_midnight_by_the_teams_clock() -> None:
    [(begin, end)] = calendar(27, zone="America/New_York").days_off()
    assert (begin, end) == (T0 + 27 * DAY_US + 5 * HOUR_US, T0 + 28 * DAY_US + 5 * HOUR_US)
    spring = Calendar((), "Europe/Berlin", holidays=frozenset({date(2026, 3, 29)}))
    [(begin, end)] = spring.days_off()
    assert end - begin == 23 * HOUR_US  # the clocks go forward


@pytest.mark.parametrize(("off", "paged"), [((), True), ((28,), False), ((27,), True), ((29,), True)])
def test_silence_on_a_holiday_is_no_dead_feed(off: tuple[int, ...], *, paged: bool) -> None:
    """Some work in the morning of it, then all at once nobody does."""
    alerts = fired(told(lambda hour: None if hour >= day(28, 13) else busy(hour), 29, calendar(*off), panes=12))
    assert [alert.rule for alert in alerts] == ["feed_silent"] * paged


def test_a_feed_that_dies_on_the_day_after_a_holiday_is_told() -> None:
    def tell(hour: int) -> Hour | None:
        return None if day(28) <= hour < day(29) or hour >= day(29, 13) else busy(hour)

    [alert] = fired(told(tell, 30, calendar(28), panes=12))
    assert (alert.rule, alert.fired_at) == ("feed_silent", T0 + day(29, 13) * HOUR_US + HOUR_US // 2)


def test_another_teams_holiday_is_none() -> None:
    alerts = fired(
        told(lambda hour: None if hour >= day(28, 13) else busy(hour), 29, calendar(28, teams=("ops",)), panes=12)
    )
    assert [alert.rule for alert in alerts] == ["feed_silent"]


@given(first=st.integers(26, 29), days=st.integers(1, 2))
@settings(max_examples=4, deadline=None)
def test_no_drift_begins_on_a_holiday_and_it_is_told_once_it_is_over(first: int, days: int) -> None:
    """Spend doubles with the first holiday, on every day."""

    def tell(hour: int) -> Hour | None:
        return BUSY if hour >= day(first) and 9 <= hour % 24 < 17 else normal(hour) if hour < day(first) else None

    off = calendar(*range(first, first + days))
    [(begin, _), *_, (_, end)] = [*off.days_off(), *off.days_off()]
    with_calendar, without = (fired(told(tell, 36, *of)) for of in ((off,), ()))
    assert with_calendar
    assert not [alert for alert in with_calendar if begin < alert.started_at <= end + DAY_US // 2]
    assert {alert.rule for alert in with_calendar} == {alert.rule for alert in without}


@given(off=st.sets(st.integers(7, 27), min_size=1, max_size=3))
@settings(max_examples=4, deadline=None)
def test_windows_that_touch_a_holiday_are_no_part_of_what_is_usual(off: set[int]) -> None:
    """Whatever was used on it, each rule's usual is that of the other days."""

    def engine(then: Hour | None) -> AlertEngine:
        def tell(hour: int) -> Hour | None:
            return then if hour // 24 in off and hour % 24 < 20 else ordinary(hour)

        company = Company(["web"], day(34), lambda _, hour: tell(hour))
        found = AlertEngine(AlertPolicy(), LATENESS_US, [calendar(*off)])
        found.load(alert_rows([]), company.end_us + LATENESS_US)
        found.load_history(company.windows())
        return found

    usual = []
    for then in (
        None,
        Hour(
            spend=90,
            unattributed=40,
            core_cost=9,
            low_cost=60,
            core_value=7,
            items=9,
            requests=900,
            mtok=90,
            repeated=500,
        ),
    ):
        one = engine(then)
        usual.append(
            {
                rule.name: (rule.size, than)
                for rule, _, than in one.usual_now(("acme", "web"))
                if rule.name != "feed_silent"
            }
        )
    assert usual[0] == usual[1]
    assert all(size in SIZE_US for size, _ in usual[0].values())
    assert sum(than is not None for _, than in usual[0].values()) >= 3


def ordinary(hour: int) -> Hour | None:
    return replace(normal(hour) or Hour(), requests=50, mtok=10, repeated=1) if office(hour) else None


def test_on_a_holiday_an_open_alert_is_idle_not_without_data() -> None:
    """A ticket burns when the holiday comes: known, it goes on; unknown, usage seems to be missing."""

    def tell(hour: int) -> Hour | None:
        if day(32) <= hour < day(33):
            return None
        said = Hour(spend=10, unattributed=9, requests=40) if day(30) <= hour < day(32) else ordinary(hour)
        return said if office(hour) else None

    states = [{alert.state for alert in told(tell, 34, *of)} for of in ((calendar(32),), ())]
    assert ["no_data" in of for of in states] == [False, True]
