"""The shipped rules: what each of them tells, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from streams.detect.engine import AlertEngine
from streams.detect.observed import SIZE_US
from streams.detect.policy import AlertPolicy
from streams.windows.measures import HOUR_US
from tests.detect.made import LATENESS_US, T0, Company, Hour, day, office
from tests.detect.stories import BUSY, busy, during, fired, judged, normal, run

MINUTE_US = 60_000_000


def test_spend_up_with_flat_core_work_makes_a_ticket() -> None:
    changes = run(during(day(21), day(26), BUSY))
    (alert,) = fired(changes)
    assert (alert.rule, alert.kind, alert.team, alert.tenant) == ("spend_up_core_flat", "ticket", "web", "acme")
    assert (alert.baseline, alert.usual_spend_micro_usd, alert.usual_core_value_milli) == (
        400_000_000,
        400_000_000,
        20_000,
    )
    assert alert.threshold == 650_000_000
    assert 650_000_000 <= alert.value == alert.spend_micro_usd
    assert (
        "spent $688 on AI in seven days, usually $400, while core work was 20.0 items' worth, usually 20.0 items' worth"
        in alert.summary
    )


@pytest.mark.parametrize(
    ("more", "then", "fired_h", "since"),
    [
        ("tokens a request", Hour(22, 0.5, core_cost=8, core_value=0.5, items=1, requests=50, mtok=22), 9, "25 18:00"),
        ("requests", Hour(22, 0.5, core_cost=8, core_value=0.5, items=1, requests=110, mtok=22), 33, "25 18:00"),
    ],
)  # fmt: skip
def test_the_pace_of_the_last_days_tells_a_drift_before_a_week_is_dear(
    more: str, then: Hour, fired_h: int, since: str
) -> None:
    def tell(hour: int) -> Hour | None:
        if not office(hour):
            return None
        return then if hour >= day(21) else replace(normal(hour) or Hour(), requests=50, mtok=10)

    (alert,) = fired(run(tell, 25))
    assert (alert.rule, alert.baseline) == ("spend_up_core_flat", 400_000_000)
    assert alert.fired_at == T0 + day(21, 9 + fired_h) * HOUR_US
    assert (
        f"spends, with more {more} since 2026-01-{since} UTC, $880 on AI in seven days, usually $400" in alert.summary
    )


def test_of_few_requests_chance_explains_how_many_tokens_they_take() -> None:
    def tell(hour: int) -> Hour | None:
        then = Hour(22, 0.5, core_cost=8, core_value=0.5, items=1, mtok=22)
        said = (then if hour >= day(21) else replace(normal(hour) or Hour(), mtok=10)) if office(hour) else None
        return replace(said, requests=5) if said else None

    (alert,) = fired(run(tell, 28))
    assert (alert.rule, alert.fired_at) == ("spend_up_core_flat", T0 + day(23, 18) * HOUR_US)
    assert "spent $688 on AI in seven days" in alert.summary  # the week tells it


@pytest.mark.parametrize(("usually", "told"), [((30, 30), True), ((30, 90), False)])
def test_more_requests_are_held_against_how_uneven_the_teams_days_are(usually: tuple[int, int], *, told: bool) -> None:
    def tell(hour: int) -> Hour | None:
        requests = 80 if hour >= day(21) else usually[hour // day(7) % 2]
        said = Hour(requests / 3, core_cost=8, core_value=0.5, items=1, requests=requests, mtok=requests / 5)
        return said if office(hour) else None

    assert [alert.rule for alert in fired(run(tell, 23))] == ["spend_up_core_flat"] * told


def test_a_day_of_several_times_the_requests_tells_a_drift() -> None:
    def tell(hour: int) -> Hour | None:
        requests = 160 if hour >= day(22) else 50
        said = Hour(requests / 5, core_cost=8, core_value=0.5, items=1, requests=requests, mtok=requests / 5)
        return said if office(hour) else None

    (alert,) = fired(run(tell, 25))
    assert (alert.rule, alert.fired_at) == ("spend_up_core_flat", T0 + day(22, 18) * HOUR_US)


@pytest.mark.parametrize(("core_value", "told"), [(0.85, True), (1.15, False)])
def test_only_as_much_more_core_work_explains_more_tokens_a_request(core_value: float, *, told: bool) -> None:
    """Two tokens where there was one: 70 % more core work is more than half of that, 130 % more is all of it."""

    def tell(hour: int) -> Hour | None:
        value, mtok = (core_value, 20) if hour >= day(21) else (0.5, 10)
        done = core_value if day(15) <= hour < day(21) else value
        said = Hour(mtok, core_cost=8, core_value=done, items=1, requests=50, mtok=mtok)
        return said if office(hour) else None

    assert [alert.rule for alert in fired(run(tell, 23))] == ["spend_up_core_flat"] * told


@pytest.mark.parametrize(("core_value", "told"), [(0.85, True), (1.15, False)])
def test_only_as_much_more_core_work_explains_the_pace_of_requests(core_value: float, *, told: bool) -> None:
    def tell(hour: int) -> Hour | None:
        times = 2 if hour >= day(21) else 1
        done = core_value if hour >= day(15) else 0.5
        said = Hour(10 * times, core_cost=8, core_value=done, items=1, requests=100 * times, mtok=10 * times)
        return said if office(hour) else None

    assert [alert.rule for alert in fired(run(tell, 23))] == ["spend_up_core_flat"] * told


def test_a_weekend_in_which_somebody_works_is_no_pace() -> None:
    def tell(hour: int) -> Hour | None:
        said = normal(hour) or (Hour(10, core_cost=8, core_value=0.5) if day(26) <= hour < day(26, 5) else None)
        return replace(said, requests=50, mtok=10) if said else None

    assert fired(run(tell, 30)) == []


def test_days_without_requests_are_no_measure_for_others() -> None:
    """Of the Mondays before, one was free, which no calendar told, and on the last few were at work."""
    mondays = {7: 0, 14: 500, 21: 160}

    def tell(hour: int) -> Hour | None:
        requests = mondays.get(hour // 24, 500)
        said = Hour(requests / 50, core_cost=8, core_value=0.5, items=1, requests=requests, mtok=requests / 50)
        return said if office(hour) and requests else None

    assert fired(run(tell, 30)) == []


@pytest.mark.parametrize(
    ("why", "then"),
    [
        ("core work grew with it", Hour(spend=22, core_cost=20, low_cost=1, core_value=0.8, items=1)),
        ("it was operations", Hour(spend=22, enabling=12, core_cost=8, low_cost=1, core_value=0.5, items=1)),
        ("a third more is not half as much again", Hour(spend=13.3, core_cost=8, low_cost=1, core_value=0.5, items=1)),
    ],
)
def test_spend_up_is_quiet_when(why: str, then: Hour) -> None:
    assert fired(run(during(day(21), day(28), then))) == [], why


def test_a_team_that_completes_next_to_nothing_has_no_core_work_to_compare() -> None:
    assert fired(run(lambda hour: Hour(spend=22 if hour >= day(21) else 10) if office(hour) else None)) == []


def test_low_value_work_makes_a_ticket_when_it_ends() -> None:
    busywork = Hour(spend=10, core_cost=3, low_cost=6, core_value=0.2, items=1)
    (alert,) = fired(run(during(day(21), day(28), busywork)))
    assert (alert.rule, alert.kind, alert.unit, alert.baseline, alert.threshold) == (
        "low_value_share",
        "ticket",
        "per_mille",
        111,
        200,
    )
    assert alert.value >= 400
    assert "of the AI spend that ended, usually 11 %" in alert.summary
    (alert,) = fired(run(during(day(21), day(28), replace(busywork, low_items=1))))
    assert "put $48.00 into low-value work in a day, 67 % of the AI spend that ended, usually 11 %" in alert.summary
    assert (alert.rule, alert.fired_at) == ("low_value_share", T0 + day(21, 18) * HOUR_US)
    unfinished = Hour(spend=10, low_cost=0, core_value=0.5, items=1)
    assert fired(run(during(day(21), day(28), unfinished))) == []


@pytest.mark.parametrize(("mtok", "told"), [(10, False), (22, True)])
def test_a_dearer_model_alone_is_no_drift(mtok: float, told: bool) -> None:
    def tell(hour: int) -> Hour | None:
        said = (BUSY if hour >= day(21) else normal(hour)) if office(hour) else None
        return replace(said, mtok=mtok if hour >= day(21) else 10) if said else None

    assert [alert.rule for alert in fired(run(tell, 26))] == ["spend_up_core_flat"] * told


def test_prompts_that_only_repeat_make_a_ticket() -> None:
    def tell(hour: int) -> Hour | None:
        said = normal(hour)
        return replace(said, requests=100, repeated=60 if hour >= day(23) else 1) if said else None

    (alert,) = fired(run(tell, 25))
    assert (alert.rule, alert.kind, alert.baseline, alert.threshold) == ("repeated_prompts", "ticket", 10, 200)
    assert "prompts in 24 hours, " in alert.summary


@pytest.mark.parametrize(("spend", "paged"), [(130, True), (20, False)])
def test_a_page_for_a_loop_says_its_repeats_too(spend: float, *, paged: bool) -> None:
    def tell(hour: int) -> Hour | None:
        if day(22, 2) <= hour < day(22, 4):
            return Hour(spend=spend, core_cost=8, requests=2000, repeated=1900)
        said = normal(hour)
        return replace(said, requests=100) if said else None

    rules = {alert.rule for alert in fired(run(tell, 24))}
    assert ("spend_runaway" in rules, "repeated_prompts" in rules) == (paged, not paged)


def test_a_share_is_no_surge_when_only_the_whole_shrinks() -> None:
    """Half of the usage is unattributed at night, and one day there is only a night."""

    def tell(hour: int) -> Hour | None:
        if hour % 24 in (2, 3):
            return Hour(spend=30, unattributed=30)
        return Hour(spend=30, core_cost=8, core_value=0.5, items=1) if office(hour) and hour < day(29) else None

    assert fired(run(tell, 30)) == []


def test_a_team_whose_requests_stop_pages_within_the_hour() -> None:
    dead = range(day(28, 13), day(29, 11))
    company = Company(
        ["web", "ops"], day(30), lambda team, hour: None if hour in dead and team == "web" else busy(hour), panes=12
    )
    changes = judged(company.windows(), company.end_us)
    begin = T0 + day(28, 13) * HOUR_US
    assert [(a.team, a.rule, a.state, (a.window_end - begin) // (5 * MINUTE_US)) for a in changes] == [
        ("web", "feed_silent", "firing", 6),
        ("web", "feed_silent", "firing", 22 * 12 + 1),
        ("web", "feed_silent", "resolved", 22 * 12 + 3),
    ]
    assert changes[0].kind == "page"
    assert "sent no AI requests for 30 min, in which it usually sends 1" in changes[0].summary
    assert (changes[0].value, changes[0].threshold) == (0, 0)
    assert 150_000 <= changes[0].baseline <= 180_000


def test_a_feed_that_dies_again_and_again_is_told_each_time() -> None:
    dead = {*range(day(28, 11), day(28, 13)), *range(day(29, 11), day(29, 13))}
    company = Company(["web"], day(30), lambda _, hour: None if hour in dead else busy(hour), panes=12)
    changes = fired(judged(company.windows(), company.end_us))
    begins = [T0 + day(number, 11) * HOUR_US + 30 * MINUTE_US for number in (28, 29)]
    assert [(a.rule, a.fired_at) for a in changes] == [("feed_silent", begin) for begin in begins]


def test_silence_after_a_quiet_hour_must_last_until_as_much_is_missed() -> None:
    """Half as busy as usual: 0.7 times what usually comes is missed."""

    def tell(hour: int) -> Hour | None:
        if hour == day(28, 12):
            return Hour(requests=168)
        return None if hour > day(28, 12) else busy(hour)

    company = Company(
        ["web", "ops"], day(28, 17), lambda team, hour: tell(hour) if team == "web" else busy(hour), panes=12
    )
    (alert,) = fired(judged(company.windows(), company.end_us))
    assert alert.team == "web"
    assert alert.fired_at == T0 + day(28, 13) * HOUR_US + 40 * MINUTE_US
    assert 140_000 <= alert.baseline < 170_000


@pytest.mark.parametrize(
    ("why", "tell"),
    [
        ("a holiday is silent from the morning on", lambda hour: None if day(28) <= hour < day(29) else busy(hour)),
        ("too few requests are missed in three hours", lambda hour: replace(busy(hour) or Hour(), requests=40) if hour < day(28, 13) else None),
        ("every third hour is silent", lambda hour: busy(hour) if hour % 3 else None),
        ("there is no history", lambda hour: busy(hour) if hour < day(12, 13) else None),
        ("people leave one by one", lambda hour: Hour(requests={13: 160, 14: 60, 15: 10}.get(hour % 24, 330 if hour % 24 < 13 else 0)) if day(28) <= hour < day(29) else busy(hour)),
    ],
)  # fmt: skip
def test_silence_is_ordinary_when(why: str, tell: Callable[[int], Hour | None]) -> None:
    company = Company(["web"], day(30), lambda _, hour: tell(hour) if office(hour) else None, panes=12)
    assert fired(judged(company.windows(), company.end_us)) == [], why


def test_a_feed_that_is_asked_once_an_hour_is_silent_for_most_of_it() -> None:
    company = Company(["web"], day(28, 17), lambda _, hour: busy(hour) if hour < day(28, 13) else None)
    assert fired(judged(company.windows(), company.end_us)) == []


def test_a_dead_feed_is_delivered_while_other_teams_windows_are_live() -> None:
    def tell(team: str, hour: int) -> Hour | None:
        return None if team == "web" and hour >= day(28, 13) else busy(hour)

    backfill = Company(["web", "ops"], day(28, 17), tell, panes=12)
    (alert,) = fired(judged(backfill.windows(), backfill.end_us))
    assert (alert.rule, alert.team, alert.deliver) == ("feed_silent", "web", False)
    live = replace(backfill, backfill=lambda _: False)
    (alert,) = fired(judged(live.windows(), live.end_us))
    assert (alert.rule, alert.team, alert.deliver) == ("feed_silent", "web", True)


def test_what_a_page_told_stays_out_of_every_baseline() -> None:
    company = Company(["web"], day(24), lambda _, hour: Hour(spend=110) if hour == day(16, 2) else normal(hour))
    engine = AlertEngine(AlertPolicy())
    changes = engine.on_windows(company.windows(), company.end_us + LATENESS_US)
    assert {alert.rule for alert in changes} == {"spend_runaway"}
    for rule in engine.rules:
        longer_us = 0 if rule.name == "spend_runaway" else SIZE_US[rule.size]
        span = changes[0].started_at, changes[-1].resolved_at + longer_us
        assert engine._left_out(rule, ("acme", "web")) == [span]


def test_usage_that_lost_its_items_makes_a_ticket() -> None:
    lost = Hour(spend=10, unattributed=8, core_cost=8, low_cost=1, core_value=0.5, items=1)
    (alert,) = fired(run(during(day(22), day(24), lost)))
    assert (alert.rule, alert.kind, alert.baseline, alert.threshold) == ("unattributed_surge", "ticket", 50, 400)
    assert "without a work item in 24 hours" in alert.summary


def test_a_second_broken_hook_is_told_though_a_weekend_had_no_work_item_either() -> None:
    """On the weekend in which the first one lasted somebody spent a few dollars: all of it unattributed."""
    lost = Hour(spend=10, unattributed=8, core_cost=8, low_cost=1, core_value=0.5, items=1)

    def tell(hour: int) -> Hour | None:
        if day(26) <= hour < day(28):
            return Hour(spend=0.2, unattributed=0.2)
        broken = day(24) <= hour < day(26) or hour >= day(35)
        return lost if broken and office(hour) else normal(hour)

    assert [(a.rule, (a.started_at - T0) // HOUR_US // 24) for a in fired(run(tell, 38))] == [
        ("unattributed_surge", 24),
        ("unattributed_surge", 35),
    ]
