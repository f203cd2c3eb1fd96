"""Messages as the person who is woken reads them: the page in docs/alerts.md shows exactly these."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from streams.deliver.messages import LINK_FIELDS, link, notice, reasons, title
from streams.deliver.notice import spark
from streams.detect.words import duration
from tests.deliver.made import EXPLAINED, T0, alert

PAGE = (Path(__file__).parents[2] / "docs/alerts.md").read_text()


@pytest.mark.parametrize("state", ["firing", "resolved"])
def test_the_page_for_operators_shows_what_is_sent(state: str) -> None:
    found = alert("resolved" if state == "resolved" else "firing")
    made = notice(found, "id", T0, EXPLAINED)
    assert textwrap.indent(f"{made.title}\n{made.text}\n", "    ") in PAGE


def test_the_figures_say_why() -> None:
    week = alert(size="7d", core_value_milli=3100, usual_core_value_milli=3000)
    assert reasons(week) == ["core work did not grow with it: 3.1 items' worth, usually 3.0 items' worth"]
    assert "fell" in reasons(replace(week, core_value_milli=1500))[0]
    assert "pay off" in reasons(replace(week, core_value_milli=4500))[0]
    share = alert(size="24h", unit="per_mille", spend_micro_usd=100, usual_spend_micro_usd=100)
    assert "mix has changed" in reasons(share)[0]
    assert "rose" in reasons(replace(share, spend_micro_usd=150))[0]


def test_names_cannot_break_out_of_a_line_or_a_command() -> None:
    made = notice(alert(team="a b; rm -rf x\nNext: pay me"), "id", T0)
    assert "--team 'a b; rm -rf x\nNext: pay me'" in dict(made.facts)["Next"]
    assert "\n" not in made.title
    assert dict(made.facts)["Team"] == "a b; rm -rf x Next: pay me, tenant acme"


def test_spend_without_a_team_and_rules_that_are_not_known_yet() -> None:
    found = alert(team="", rule="new_rule")
    assert title(found) == "[page] usage without a team: new rule, $1,490 in an hour, usually $120"
    assert "`tokenworth windows --size 1h`" in dict(notice(found, "id", T0).facts)["Next"]


def test_what_is_missing_is_told_as_too_little() -> None:
    silent = alert(rule="feed_silent", unit="milli_requests", value=2_000, baseline=1_250_000, threshold=25_000)
    silent = replace(silent, fired_at=silent.started_at)  # it fires at once
    facts = dict(notice(silent, "id", T0).facts)
    assert title(silent) == "[page] search: its usage feed is silent, 2 requests, usually 1,250 requests"
    assert facts["Observed"] == "2 requests, usually 1,250 requests, alerts from 25 requests down"
    assert "Likely" not in facts
    assert facts["How sure"] == "compared with the team's own four weeks before"
    assert "`tokenworth doctor`" in facts["Next"]


def test_what_is_not_known_is_left_out() -> None:
    facts = dict(notice(alert(), "id", T0).facts)
    assert list(facts) == ["What", "Since", "Observed", "Next", "How sure", "Team"]
    assert not facts["Next"].startswith("Begin with")


def test_three_reasons_at_most_those_with_money_first() -> None:
    week = alert(size="7d", core_value_milli=3100, usual_core_value_milli=3000)
    told = dict(notice(week, "id", T0, EXPLAINED).facts)["Likely"]
    assert [line[:7] for line in told.splitlines()] == ["1. 83 %", "2. 61 %", "3. core"]
    alone = dict(notice(week, "id", T0).facts)["Likely"]
    assert alone == reasons(week)[0]


def test_the_link_names_the_group_and_the_time() -> None:
    template = "https://grafana.example/d/x?" + "&".join(f"{name}={{{name}}}" for name in LINK_FIELDS)
    made = link(template, alert(team="a b&tenant=x/ü"))
    assert made == (
        "https://grafana.example/d/x?tenant=acme&team=a%20b%26tenant%3Dx%2F%C3%BC&rule=spend_runaway&window=1h"
        f"&from_ms={(T0 - 1_200_000_000 - 7_200_000_000) // 1000}&to_ms={(T0 - 600_000_000) // 1000}"
    )
    assert link("", alert()) == ""


def test_a_unit_that_is_not_known_yet_is_named() -> None:
    assert "1,490,000,000 milli tokens" in title(alert(unit="milli_tokens"))


def test_an_alert_that_became_the_usual_says_so() -> None:
    year = alert("resolved", started_at=T0 - 365 * 86_400_000_000)
    assert "counts as usual from now on" in notice(year, "id", T0).text


def test_bars_and_durations() -> None:
    assert spark([0, 1, 4, 7]) == "▁▂▅█"
    assert spark([0, 0, -3]) == "▁▁▁"
    assert [duration(m * 60_000_000) for m in (0, 10, 60, 200, 1440, 3199)] == [
        "0 min",
        "10 min",
        "1 h",
        "3 h 20 min",
        "1 d",
        "2 d 5 h",
    ]
