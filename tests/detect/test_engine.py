"""The alert engine: what fires, when it resolves, and that neither batches nor restarts change its story."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from random import Random
from typing import ClassVar

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.detect import looks
from streams.detect.alert import Alert, alert_rows
from streams.detect.detectors.detector import Judgement
from streams.detect.detectors.drift import Drift
from streams.detect.engine import AlertEngine
from streams.detect.history import KEPT_US
from streams.detect.policy import AlertPolicy
from streams.windows.measures import DAY_US, HOUR_US
from tests.detect.made import LATENESS_US, T0, Company, Hour, day, office
from tests.detect.stories import BUSY, during, fired, judged, normal, run

MINUTE_US = 60_000_000


def test_ordinary_weeks_are_quiet() -> None:
    assert run(normal, 40) == []


def test_a_runaway_hour_pages_after_ten_minutes_and_resolves_half_an_hour_after_it_left_the_window() -> None:
    loop = Hour(spend=130, unattributed=125, repeated=1600)
    changes = [a for a in run(during(day(22, 2), day(22, 3), loop, lambda _: True)) if a.rule == "spend_runaway"]
    begin = T0 + day(22, 2) * HOUR_US + 5 * MINUTE_US
    assert [(a.state, (a.window_end - begin) // MINUTE_US) for a in changes] == [
        ("pending", 0),
        ("firing", 10),
        ("firing", 60),  # the loop left the window: clear
        ("resolved", 90),
    ]
    alert = changes[1]
    assert (alert.kind, alert.unit, alert.value, alert.baseline, alert.threshold) == (
        "page",
        "micro_usd",
        130_000_000,
        7_272_727,  # nothing at this hour in the three weeks before, and a busy hour counts as eight
        100_000_000,
    )
    assert alert.summary == (
        "web spent $130 on AI in an hour, where a busy one costs $7.27, 96 % of it without a work item, 1,600 prompts repeated; "
        "so since 2026-01-27 02:05 UTC: see `tokenworth windows --team web --size 1h`"
    )


def test_what_goes_away_before_its_time_never_fires() -> None:
    odd = {day(22, 16): Hour(spend=70, unattributed=60), day(22, 17): Hour(spend=70, core_cost=70)}
    changes = run(lambda hour: odd.get(hour) or normal(hour))
    assert [(a.rule, a.state, a.fired_at) for a in changes] == [
        ("unattributed_surge", "pending", 0),
        ("unattributed_surge", "inactive", 0),
    ]
    assert changes[1].resolved_at - changes[1].started_at == HOUR_US


def test_a_team_is_observed_before_it_is_judged() -> None:
    assert run(during(day(8), day(14), Hour(spend=200)), days=14) == []
    assert fired(run(during(day(15), day(19), Hour(spend=200)), days=19))


def test_windows_that_are_not_there_resolve_an_alert() -> None:
    changes = run(
        lambda hour: BUSY if day(21) <= hour < day(26) and office(hour) else normal(hour) if hour < day(26) else None,
        45,
    )
    assert [change.state for change in changes if change.rule == "spend_up_core_flat"] == [
        "firing",
        "firing",
        "resolved",
    ]
    assert judged(busy_month().clear(), LAST_US) == []


def test_years_of_silence_cost_nothing() -> None:
    company = Company(["web"], 26 * 24, lambda _, hour: BUSY if hour >= day(21) and office(hour) else normal(hour))
    began = time.monotonic()
    changes = judged(company.windows(), company.end_us + 4000 * DAY_US)
    assert changes[-1].state == "resolved"
    assert time.monotonic() - began < 5


def test_memory_is_that_of_the_baselines_whatever_is_revised() -> None:
    windows = Company(["web"], 90 * 24, lambda _, hour: normal(hour)).windows()
    engine, kept = AlertEngine(AlertPolicy(), LATENESS_US), []
    revised = windows.filter(pl.col("window_end") < T0 + 10 * DAY_US)
    for end_us in range(T0, T0 + 90 * DAY_US, 2 * DAY_US):
        rows = windows.filter(pl.col("window_end").is_between(end_us - 2 * DAY_US, end_us, closed="right"))
        engine.on_windows(rows, end_us + LATENESS_US)
        if end_us > T0 + 60 * DAY_US:
            engine.load_history(revised)
        kept.append(engine.windows_kept)
    assert max(kept[20:]) <= max(kept[:20])


def test_an_episode_does_not_become_the_usual_while_it_lasts_nor_after() -> None:
    def tell(hour: int) -> Hour | None:
        return BUSY if office(hour) and (day(21) <= hour < day(42) or day(56) <= hour < day(63)) else normal(hour)

    alerts = fired(run(tell, 66))
    assert [(a.rule, a.baseline) for a in alerts] == [("spend_up_core_flat", 400_000_000)] * 2


def test_a_level_that_stays_becomes_the_usual() -> None:
    changes = run(lambda hour: BUSY if hour >= day(21) and office(hour) else normal(hour), 90)
    assert [change.state for change in changes if change.state != "pending"] == ["firing", "resolved"]
    assert 35 * DAY_US <= changes[-1].resolved_at - changes[-1].started_at < 36 * DAY_US


def test_what_fired_in_old_windows_is_delivered_only_if_it_still_burns_live() -> None:
    def tell(_: str, hour: int) -> Hour | None:
        return during(day(21), day(26), BUSY)(hour)

    old = Company(["web"], 40 * 24, tell)
    assert [a.deliver for a in judged(old.windows(), old.end_us)] == [False] * 3
    live = Company(["web"], 40 * 24, tell, backfill=lambda end: False)
    first = judged(live.windows(), live.end_us)[0]
    assert (first.state, first.deliver) == ("firing", True)
    caught_up = Company(["web"], 40 * 24, tell, backfill=lambda end: end < T0 + 26 * DAY_US)
    states = [(a.state, a.deliver) for a in judged(caught_up.windows(), caught_up.end_us)]
    assert states == [("firing", False), ("firing", True), ("firing", True), ("resolved", True)]


def test_a_late_revision_corrects_baselines_but_judges_nothing_again() -> None:
    company = Company(["web"], 30 * 24, lambda _, hour: normal(hour))
    engine = AlertEngine(AlertPolicy())
    windows = company.windows()
    engine.on_windows(windows.filter(pl.col("window_end") <= company.end_us), company.end_us + LATENESS_US)
    more = pl.col("standard_cost_micro_usd") * 100
    assert engine.on_windows(windows.with_columns(standard_cost_micro_usd=more), company.end_us + LATENESS_US) == []
    past = engine._history.before("7d", ("acme", "web"), company.end_us + DAY_US)
    assert {window[0] for _, window in past} == {40_000_000_000}


EARLIER_US = T0 + 18 * DAY_US


@cache
def busy_month() -> pl.DataFrame:
    """Windows of two teams with every kind of alert in the last days, backfill and live ones mixed."""

    def tell(team: str, hour: int) -> Hour | None:
        if team == "web" and day(22, 2) <= hour < day(22, 4):
            return Hour(spend=130, unattributed=125, repeated=9)
        if team == "ops" and day(21) <= hour < day(24) and office(hour):
            return Hour(
                spend=30,
                unattributed=20,
                core_cost=4,
                low_cost=9,
                low_items=2,
                core_value=0.5,
                items=1,
                requests=20,
                mtok=9,
            )
        said = normal(hour)
        return replace(said, requests=20, mtok=4) if said else None

    return Company(["web", "ops"], 26 * 24, tell, backfill=lambda end: end % (5 * HOUR_US) != 0).windows()


LAST_US = T0 + 30 * DAY_US


@cache
def whole_story() -> list[Alert]:
    return judged(busy_month(), LAST_US)


def upto(end_us: int, begin_us: int = 0) -> pl.DataFrame:
    return busy_month().filter(pl.col("window_end").is_between(begin_us, end_us, closed="right"))


def resumed(alerts: Sequence[Alert], watermark_us: int, ahead_us: int = 0) -> AlertEngine:
    """An engine that was started again from its tables, which may already hold windows that it has not judged."""
    latest = {(alert.fingerprint, alert.started_at): alert for alert in alerts}
    engine = AlertEngine(AlertPolicy(), LATENESS_US)
    engine.load(alert_rows(latest.values()), watermark_us)
    engine.load_history(upto(watermark_us - LATENESS_US + ahead_us, watermark_us - KEPT_US))
    return engine


moments = st.integers(EARLIER_US // MINUTE_US, LAST_US // MINUTE_US).map(lambda minute: minute * MINUTE_US)


def test_the_busy_month_has_every_kind_of_alert() -> None:
    assert {alert.rule for alert in fired(whole_story())} == {
        "spend_runaway",
        "spend_up_core_flat",
        "low_value_share",
        "unattributed_surge",
    }
    assert min(alert.window_end for alert in whole_story()) > EARLIER_US
    assert {alert.state for alert in whole_story()} == {"pending", "firing", "no_data", "resolved"}


@settings(max_examples=25, deadline=None)
@given(st.lists(moments, max_size=8), st.randoms(use_true_random=False), st.integers(0, 30))
def test_batches_may_be_cut_and_repeated_anywhere(cuts: list[int], random: Random, again_h: int) -> None:
    engine = resumed([], EARLIER_US)
    story, done = [], EARLIER_US - LATENESS_US
    for end_us in sorted({*cuts, LAST_US}):
        rows = upto(end_us, done - again_h * HOUR_US)
        mixed = rows.sample(fraction=1, shuffle=True, seed=random.randrange(1000))
        half = random.randrange(len(rows) + 1)
        story += engine.on_windows(mixed[:half], done + LATENESS_US)
        story += engine.on_windows(mixed[half:], end_us + LATENESS_US)
        done = end_us
    assert story == whole_story()


changes_of_state = st.deferred(lambda: st.sampled_from(sorted({alert.window_end for alert in whole_story()})))


@settings(max_examples=25, deadline=None)
@given(moments | changes_of_state, st.integers(0, 5 * 24), st.integers(0, 48))
def test_a_restart_changes_nothing(stop_us: int, ahead_h: int, behind_h: int) -> None:
    """Also when the windows' table is ahead of what was judged, and when the writer could not note how far it had come."""
    told = [alert for alert in whole_story() if alert.window_end <= stop_us]
    noted = stop_us + LATENESS_US
    engine = resumed(told, noted, ahead_h * HOUR_US)
    assert engine.on_windows(upto(LAST_US, stop_us), LAST_US + LATENESS_US) == whole_story()[len(told) :]
    engine = resumed(told, max(noted - behind_h * HOUR_US, EARLIER_US), ahead_h * HOUR_US)
    assert (
        engine.on_windows(upto(LAST_US, stop_us - behind_h * HOUR_US), LAST_US + LATENESS_US)
        == whole_story()[len(told) :]
    )


class _Noted(Drift):
    """Notes what it said."""

    said: ClassVar[list[Judgement]] = []

    def observe(self, at_us: int, value: float) -> Judgement:
        self.said.append(super().observe(at_us, value))
        return self.said[-1]


@settings(max_examples=10, deadline=None)
@given(moments)
def test_detectors_say_the_same_to_the_last_bit_after_a_restart(stop_us: int) -> None:
    """They keep no state of their own: it is made again from the stored windows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(looks, "Drift", _Noted)
        engine = resumed([], EARLIER_US)
        told = engine.on_windows(upto(stop_us), stop_us + LATENESS_US)
        said: list[list[Judgement]] = []
        for of in (engine, resumed(told, stop_us + LATENESS_US)):
            _Noted.said.clear()
            of.on_windows(upto(LAST_US, stop_us), LAST_US + LATENESS_US)
            said.append(list(_Noted.said))
    assert said[0] == said[1]
    assert stop_us > T0 + 21 * DAY_US or max(judged.score for judged in said[0]) > 0.5


def test_only_the_last_instance_of_an_alert_is_open() -> None:
    first = [alert for alert in whole_story() if alert.rule == "spend_runaway"][-1]
    again = replace(first, state="firing", started_at=first.started_at + DAY_US, resolved_at=0)
    for alerts in ([first, again], [again, first]):
        engine = AlertEngine(AlertPolicy(), LATENESS_US)
        engine.load(alert_rows(alerts), LAST_US)
        assert engine.open_alerts == [again]
