"""Other rules while alerts are open, as after a restart with another file: nothing is told twice, nothing is left open for ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import polars as pl
import pytest

from streams.detect.alert import Alert, alert_rows
from streams.detect.engine import AlertEngine
from streams.detect.policy import AlertPolicy
from streams.windows.measures import DAY_US, HOUR_US
from tests.detect.made import LATENESS_US, T0, Company, Hour, day, office

MINUTE_US = 60_000_000
BEGIN_US = T0 + day(22, 2) * HOUR_US + 5 * MINUTE_US
CHANGE_US = BEGIN_US + 2 * HOUR_US
"""The rules change in the third of six hours in which an hour costs $130; a busy one costs $10."""
END_US = T0 + 24 * DAY_US


@cache
def windows() -> pl.DataFrame:
    def tell(_: str, hour: int) -> Hour | None:
        if day(22, 2) <= hour < day(22, 8):
            return Hour(spend=130, core_cost=100, core_value=5, items=1)
        return Hour(spend=10, core_cost=8, core_value=0.5, items=1) if office(hour) else None

    return Company(["web"], 24 * 24, tell, backfill=lambda _: False).windows()


def upto(end_us: int) -> pl.DataFrame:
    return windows().filter(pl.col("window_end") <= end_us)


@cache
def before() -> list[Alert]:
    """What was told before the rules changed."""
    return [
        alert
        for alert in AlertEngine(AlertPolicy(), LATENESS_US).on_windows(upto(CHANGE_US), CHANGE_US + LATENESS_US)
        if alert.rule == "spend_runaway"
    ]


def after(rules: str, told: Sequence[Alert]) -> list[Alert]:
    """What an engine tells that takes up, under other rules, where the last one stood."""
    engine = AlertEngine(AlertPolicy.from_toml(rules, "my.toml"), LATENESS_US)
    engine.load(alert_rows({alert.started_at: alert for alert in told}.values()), CHANGE_US + LATENESS_US)
    engine.load_history(upto(CHANGE_US))
    changes = engine.on_windows(windows(), END_US + LATENESS_US)
    assert [alert for alert in engine.open_alerts if alert.rule == "spend_runaway"] == []
    return [alert for alert in changes if alert.rule in ("spend_runaway", "gone")]


def test_the_alert_is_open_when_the_rules_change() -> None:
    assert [(alert.state, alert.threshold, alert.started_at) for alert in before()] == [
        ("pending", 100_000_000, BEGIN_US),
        ("firing", 100_000_000, BEGIN_US),
    ]


@pytest.mark.parametrize("rules", ["", "[spend_runaway]\nfloor_usd = 500", "[spend_runaway]\nfactor = 20", "[spend_runaway]\nfloor_usd = 1\nfactor = 2"])  # fmt: skip
def test_an_open_alert_goes_on_under_its_own_threshold(rules: str) -> None:
    """Also where it would not begin any more: it ends when usage is back, once, and nothing else begins meanwhile."""
    changes = after(rules, before())
    assert [(alert.state, alert.started_at, alert.threshold) for alert in changes] == [
        ("firing", BEGIN_US, 100_000_000),  # clear
        ("resolved", BEGIN_US, 100_000_000),
    ]
    assert changes == after("", before())
    assert not changes[-1].ended_with_rule


@pytest.mark.parametrize("rules", ["[spend_runaway]\nenabled = false", '[[override]]\nteams = ["web"]\nspend_runaway.enabled = false'])  # fmt: skip
def test_an_alert_ends_with_its_rule_and_says_so(rules: str) -> None:
    [ended] = after(rules, before())
    assert (ended.state, ended.resolved_at, ended.fired_at) == ("resolved", CHANGE_US + 5 * MINUTE_US, before()[-1].fired_at)  # fmt: skip
    assert ended.window_end == ended.resolved_at  # the row's version: it replaces the one that fires
    assert ended.ended_with_rule
    assert ended.summary.startswith("web: the rule spend_runaway is switched off; it told: web spent $130 on AI")


def test_an_alert_of_a_rule_that_is_gone_ends_too() -> None:
    told = [replace(alert, rule="gone") for alert in before()]
    ended, *rest = after("[spend_runaway]\nenabled = false", told)
    assert (ended.rule, ended.state, rest) == ("gone", "resolved", [])
    assert ended.summary.startswith("web: the rule gone no longer exists; ")


def test_a_pending_alert_of_a_rule_that_is_off_never_fires() -> None:
    [pending] = after("[spend_runaway]\nenabled = false", before()[:1])
    assert (pending.state, pending.fired_at, pending.ended_with_rule) == ("inactive", 0, False)


def test_a_rule_that_is_switched_on_judges_what_goes_on() -> None:
    changes = after("", [])
    assert [(alert.state, alert.started_at) for alert in changes[:2]] == [
        ("pending", CHANGE_US + 5 * MINUTE_US),
        ("firing", CHANGE_US + 5 * MINUTE_US),
    ]


def test_an_override_counts_for_its_team_alone() -> None:
    rules = '[[override]]\nteams = ["web"]\nspend_runaway.floor_usd = 500'
    assert after(rules, []) == []
    assert after(rules.replace("web", "ops"), []) == after("", [])


def test_a_longer_for_counts_for_what_is_pending() -> None:
    changes = after('[spend_runaway]\nfor = "3h"', before()[:1])
    assert [(alert.state, alert.fired_at - BEGIN_US) for alert in changes[:1]] == [("firing", 3 * HOUR_US)]
