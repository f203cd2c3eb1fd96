"""A backtest over stored windows finds what the live engine tells of them, and says what other rules add and remove."""

from __future__ import annotations

from functools import cache
from typing import Any

import polars as pl
import pytest

from streams.detect.alert import Alert
from streams.detect.backtest import Label, Trial, only_in, score
from streams.detect.engine import AlertEngine
from streams.detect.policy import AlertPolicy
from streams.store.backtest import days_read, run_backtest
from streams.store.client import Client
from streams.store.reading import ClickHouseStored
from streams.windows.measures import DAY_US, HOUR_US
from tests.cli.conftest import Tokenworth, tokenworth  # noqa: F401 - a fixture
from tests.detect.made import LATENESS_US, T0, Company, Hour, day, office
from tests.store.windows_stored import store_windows

LAST_US = T0 + 40 * DAY_US
MINE = AlertPolicy.from_toml('[spend_runaway]\nfloor_usd = 500\n[[override]]\nteams = ["ops"]\nunattributed_surge.least_share = 0.9', "my.toml")  # fmt: skip
RULES = """\
[spend_runaway]
floor_usd = 500

[spend_up_core_flat]
enabled = false
"""


@cache
def windows() -> pl.DataFrame:
    """A runaway of web, a lost hook of ops, a runaway of ads before day 28 that lasts; quiet is new."""

    def tell(team: str, hour: int) -> Hour | None:
        if team == "quiet":
            return Hour(spend=1, requests=5) if hour > day(32) and office(hour) else None
        if team == "web" and day(33, 10) <= hour < day(33, 12):
            return Hour(spend=130, unattributed=125, repeated=9)
        if team == "ops" and day(35) <= hour < day(37) and office(hour):
            return Hour(spend=30, unattributed=25, core_cost=4, core_value=0.5, items=1)
        if team == "ads" and day(27, 12) <= hour < day(28, 12):
            return Hour(spend=700, core_cost=4, core_value=0.5, items=1)
        return (
            Hour(spend=10, unattributed=0.5, core_cost=8, low_cost=1, core_value=0.5, items=1) if office(hour) else None
        )

    return Company(["web", "ops", "ads", "quiet"], 40 * 24, tell, backfill=lambda _: False).windows()


def live(policy: AlertPolicy, begin_us: int) -> set[tuple[Any, ...]]:
    """What an engine tells that has judged everything from the first window on."""
    changes = AlertEngine(policy, LATENESS_US).on_windows(windows(), LAST_US + LATENESS_US)
    latest = {(alert.fingerprint, alert.started_at): alert for alert in changes}
    return {seen(alert) for alert in latest.values() if alert.fired_at > begin_us}


def seen(alert: Alert) -> tuple[Any, ...]:
    return alert.rule, alert.team, alert.started_at, alert.fired_at, alert.resolved_at, alert.threshold, alert.value


@pytest.fixture
def stored(migrated: Client) -> Client:
    store_windows(migrated, windows())
    rename = windows().filter(pl.col("team") == "web").with_columns(tenant=pl.lit("other"))
    store_windows(migrated, rename)
    return migrated


def test_it_finds_what_the_live_engine_tells(stored: Client) -> None:
    begin_us, done = T0 + 28 * DAY_US, list[int]()
    trials = run_backtest(
        ClickHouseStored(stored), ["acme", "other"], [AlertPolicy(), MINE], begin_us, LAST_US, T0, done.append
    )
    of_acme = [{seen(alert) for alert in trial.fired if alert.tenant == "acme"} for trial in trials]
    assert of_acme == [live(AlertPolicy(), begin_us), live(MINE, begin_us)]
    assert {rule for rule, *_ in of_acme[0]} >= {"spend_runaway", "unattributed_surge"}
    assert "ads" not in {team for rule, team, *_ in of_acme[0] if rule == "spend_runaway"}  # it burned before
    assert {seen(alert) for alert in trials[0].fired if alert.tenant == "other"} == {one for one in of_acme[0] if one[1] == "web"}  # fmt: skip
    assert trials[0].teams == {("acme", team) for team in ("web", "ops", "ads", "quiet")} | {("other", "web")}
    assert trials[0].teams - trials[0].judged == {("acme", "quiet")}
    assert done == sorted(done)
    assert done[-1] == days_read(2, begin_us, LAST_US, T0)
    removed = {(alert.tenant, alert.team, alert.rule) for alert in only_in(trials[0].fired, trials[1].fired)}
    assert removed == {(tenant, "web", "spend_runaway") for tenant in ("acme", "other")} | {("acme", "ops", "unattributed_surge")}  # fmt: skip
    assert only_in(trials[1].fired, trials[0].fired) == []


def test_the_begin_of_the_stretch_changes_nothing_that_follows(stored: Client) -> None:
    begin_us = T0 + 33 * DAY_US + 11 * HOUR_US
    [trial] = run_backtest(ClickHouseStored(stored), ["acme"], [AlertPolicy()], begin_us, LAST_US)
    assert {seen(alert) for alert in trial.fired} == live(AlertPolicy(), begin_us)


def test_alerts_beside_labels() -> None:
    trial = Trial(AlertPolicy(), T0 + 28 * DAY_US)
    trial.begin()
    trial.judge(windows(), LAST_US)
    told = Label("", "web", T0 + day(33, 10) * HOUR_US, T0 + day(33, 12) * HOUR_US, "a loop")
    other = Label("other", "web", told.begin_us, told.end_us, "a loop")
    missed = Label("", "quiet", T0 + day(34) * HOUR_US, T0 + day(35) * HOUR_US, "a feed")
    outside = Label("", "quiet", T0, T0 + 1, "long ago")
    found = score(trial.fired, [told, other, missed, outside], T0 + 28 * DAY_US, LAST_US)
    of_web = [alert for alert in trial.fired if alert.team == "web"]
    assert of_web
    assert (found.alerts, found.true, found.labels, found.told) == (len(trial.fired), len(of_web), 3, 1)
    assert found.missed == (other, missed)
    assert found.delays_h == ((min(alert.fired_at for alert in of_web) - told.begin_us) / HOUR_US,)
    assert score([], [], 0, 1).figures() == {"alerts": 0, "true": 0, "precision": None, "labels": 0, "told": 0, "recall": None, "median_delay_h": None}  # fmt: skip
