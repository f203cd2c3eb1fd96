"""What a runaway is, and that a dearer model or a new price is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.detect.alert import Alert
from streams.detect.engine import AlertEngine
from streams.detect.policy import AlertPolicy
from tests.detect.made import LATENESS_US, Company, Hour, day, office
from tests.detect.stories import fired, run

WORK = Hour(spend=40, core_cost=30, low_cost=2, core_value=0.5, items=1, requests=300, mtok=40)


def dearer(times: float, upto: int = day(40)) -> Callable[[int], Hour | None]:
    """From day 22 on the same requests and tokens cost so many times as much."""

    def tell(hour: int) -> Hour | None:
        if not office(hour):
            return None
        uneven = 0.7 + hour * 7919 % 61 / 100
        return replace(
            WORK,
            spend=WORK.spend * uneven * (times if day(22) <= hour < upto else 1),
            requests=round(WORK.requests * uneven),
            mtok=WORK.mtok * uneven,
        )

    return tell


def runaways(alerts: list[Alert]) -> list[Alert]:
    return [alert for alert in fired(alerts) if alert.rule == "spend_runaway"]


@given(times=st.floats(2, 20), days=st.integers(1, 18))
@settings(max_examples=8, deadline=None)
def test_a_dearer_model_is_no_alert_however_dear_and_however_long(times: float, days: int) -> None:
    assert fired(run(dearer(times, day(22 + days)), 40)) == []


@pytest.mark.parametrize(
    ("why", "extra"),
    [
        ("a loop at the team's own prices", Hour(spend=500, requests=3800, mtok=500)),
        ("a loop on a model five times as dear", Hour(spend=500, requests=760, mtok=100)),
        ("ten times the tokens a request, of a model twice as dear", Hour(spend=800, requests=300, mtok=400)),
        ("nobody tells its tokens", Hour(spend=500)),
    ],
)
@pytest.mark.parametrize("hour", [day(23, 3), day(23, 11)])
def test_a_runaway_pages_whatever_its_model_costs(why: str, extra: Hour, hour: int) -> None:
    def tell(number: int) -> Hour | None:
        usually = WORK if office(number) else Hour()
        if number == hour:
            both = replace(usually, spend=usually.spend + extra.spend, requests=usually.requests + extra.requests)
            return replace(both, mtok=usually.mtok + extra.mtok if extra.mtok else 0)
        return usually if office(number) else None

    assert len(runaways(run(tell, 25))) == 1, why


def test_more_use_of_a_dearer_model_pages_too() -> None:
    """A loop a day after an upgrade to a model ten times as dear."""

    def tell(hour: int) -> Hour | None:
        if hour == day(23, 3):
            return Hour(spend=4000, requests=3000, mtok=400)
        return dearer(10)(hour)

    assert len(runaways(run(tell, 25))) == 1


@pytest.mark.parametrize(("times", "paged"), [(3, False), (8, True)])
def test_days_after_an_upgrade_its_price_is_the_usual_one(times: int, paged: bool) -> None:
    """A busy hour on a model five times as dear: three times the tokens cost fifteen times as much as four weeks ago, but three times today's."""
    busy, later = day(27, 11), dearer(5)

    def tell(hour: int) -> Hour | None:
        usually = WORK if hour < day(22) else replace(WORK, spend=5 * WORK.spend)
        if hour == busy:
            return replace(usually, spend=times * usually.spend, requests=times * 300, mtok=times * WORK.mtok)
        return usually if later(hour) else None

    assert len(runaways(run(tell, 29))) == paged


def test_an_hour_that_is_dear_each_week_needs_more() -> None:
    """A job each Monday night costs $60, a busy hour $40: at that time (4 x 60 + 8 x 40) / 12 = $46.67 are usual, at any other four weeks of nothing
    count as well, and so $26.67."""

    def tell(hour: int) -> Hour | None:
        if hour % (7 * 24) == 2:
            return Hour(spend=60 if hour < day(28) else 180)
        return Hour(spend=180) if hour == day(30, 3) else WORK if office(hour) else None

    assert [(alert.baseline, alert.threshold) for alert in runaways(run(tell, 32))] == [(26_666_666, 133_333_330)]


def test_a_team_with_a_budget_is_paged_when_the_hour_burns_it_fast_as_well() -> None:
    company = Company(
        ["web"], day(24), lambda _, hour: Hour(spend=250) if hour == day(22, 3) else WORK if office(hour) else None
    )

    def paged(usd_a_month: int) -> bool:
        budget = f'[[budget]]\ntenant = "acme"\nteam = "web"\nusd_a_month = {usd_a_month}\n'
        engine = AlertEngine(AlertPolicy.from_toml(budget, "my.toml"))
        return bool(runaways(engine.on_windows(company.windows(), company.end_us + LATENESS_US)))

    assert paged(12_500)  # 14.4 times $17.36 are $250
    assert not paged(12_600)
