"""The labelled scenarios: their windows are the naive sums, a seed tells one story, and alerts are scored by the definitions."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import typer
from typer.testing import CliRunner

from benchmarks.detection.__main__ import main
from benchmarks.detection.happenings import RULES, STRENGTHS, Happening
from benchmarks.detection.life import MEASURES
from benchmarks.detection.rolling import windows
from benchmarks.detection.scenarios import LEAST_DAYS, Scenario, make_scenario
from benchmarks.detection.scoring import at_us, figures, pooled, score
from benchmarks.detection.teams import DAY, HOUR, T0_US, draw_team
from streams.detect.alert import Alert
from streams.windows.measures import DAY_US, HOUR_US
from tests.detect.made import T0, USD, Company, Hour
from tests.detect.test_alert import ALERT


def test_windows_are_the_sums_of_the_naive_reference() -> None:
    rng = np.random.default_rng(1)
    hours = 9 * 24
    told = [Hour(*rng.integers(0, 90, 11).tolist()) if rng.random() < 0.3 else None for _ in range(hours)]
    cells = {name: np.zeros(hours * HOUR, np.int64) for name in MEASURES}
    for hour, said in enumerate(told):
        if said is None:
            continue
        at = {
            "spend": said.spend * USD,
            "unattributed": said.unattributed * USD,
            "enabling": said.enabling * USD,
            "matched": (said.core_cost + said.low_cost) * USD,
            "matched_core": said.core_cost * USD,
            "matched_low": said.low_cost * USD,
            "abandoned": said.abandoned * USD,
            "items": said.items,
            "repeated": said.repeated,
            "requests": said.requests,
            "tokens": said.mtok * 1_000_000,
            "core_value": said.core_value * 1000,
        }
        for name, amount in at.items():
            cells[name][hour * HOUR] = round(amount)
    company = Company(
        ["web"], hours, lambda _, hour: told[hour], backfill=lambda end: T0 + DAY_US < end <= T0 + 2 * DAY_US
    )
    expected = company.windows()
    expected = expected.filter(expected["window_end"] <= company.end_us)
    assert T0 == T0_US
    found = windows("web", cells, [(DAY, 2 * DAY)])
    order = ["size", "window_end", "work_class"]
    assert found.sort(order).equals(expected.sort(order))


def test_a_seed_tells_one_story() -> None:
    first, again, other = (make_scenario(seed=seed, teams=2, days=LEAST_DAYS) for seed in (1, 1, 2))
    assert first.windows.equals(again.windows)
    assert first.happenings == again.happenings
    assert not first.windows.equals(other.windows)


def test_every_pattern_and_strength_has_its_turn() -> None:
    happenings = make_scenario(seed=3, teams=40, days=60).happenings
    assert {(h.kind, h.strength) for h in happenings if h.rules} == {(kind, of) for kind in RULES for of in STRENGTHS}
    for number in range(40):
        mine = [h for h in happenings if h.team == number]
        assert all(first.end < then.begin for first, then in pairwise(mine))


def test_alerts_are_scored_by_team_and_time() -> None:
    team = draw_team(np.random.default_rng(1), 0)
    episode = Happening("agent_loop", 0, "strong", 12, 30 * DAY, 30 * DAY + 2 * HOUR)
    business = Happening("release", 0, "", 0.5, 50 * DAY, 60 * DAY)
    scenario = Scenario(1, 90, (team,), (episode, business), make_scenario(seed=1, teams=1, days=LEAST_DAYS).windows)
    begin, end = at_us(episode.begin), at_us(episode.end)

    def page(at: int) -> Alert:
        return replace(ALERT, team=team.name, started_at=at, fired_at=at + HOUR_US, window_end=at + HOUR_US)

    def scored(*alerts: Alert) -> tuple[float | None, float | None, float]:
        out = figures(score(scenario, alerts))
        return out["recall"]["strong"], out["median_delay_h"]["spend_runaway"], out["false_pages_per_1000_team_days"]

    assert scored() == (0, None, 0)
    assert scored(page(begin)) == (1, 1, 0)
    assert scored(page(end + HOUR_US), page(begin + HOUR_US)) == (1, 2, 0)
    assert scored(page(end + 2 * HOUR_US)) == (0, None, round(1000 / 66, 3))
    assert scored(page(begin - HOUR_US)) == (0, None, round(1000 / 66, 3))
    ticket = replace(ALERT, team=team.name, rule="low_value_share", kind="ticket", started_at=at_us(business.begin))
    result = score(scenario, [ticket])
    assert figures(result)["false_after"] == {"release": 1}
    assert figures(pooled([result, result]))["false_tickets_per_60_team_days"] == round(60 / 66, 3)


def test_the_delay_is_told_with_and_without_the_weak_episodes() -> None:
    team = draw_team(np.random.default_rng(1), 0)
    strong = Happening("agent_loop", 0, "strong", 12, 30 * DAY, 30 * DAY + 2 * HOUR)
    weak = replace(strong, strength="weak", begin=50 * DAY, end=50 * DAY + 2 * HOUR)
    scenario = Scenario(1, 90, (team,), (strong, weak), make_scenario(seed=1, teams=1, days=LEAST_DAYS).windows)
    pages = [
        replace(ALERT, team=team.name, started_at=at, fired_at=at, window_end=at)
        for at in (at_us(strong.begin) + HOUR_US, at_us(weak.begin) + 2 * HOUR_US)
    ]
    of = figures(score(scenario, pages))["patterns"]["agent_loop"]
    assert (of["median_delay_h"], of["median_delay_h_but_weak"]) == (1.5, 1)


def test_the_command_writes_its_figures(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    app = typer.Typer()
    app.command()(main)
    result = CliRunner().invoke(app, ["--seed", "1", "--teams", "3", "--days", str(LEAST_DAYS), "--json", str(file)])
    assert result.exit_code == 0, result.output
    out = json.loads(file.read_text())
    assert {
        "recall",
        "false_pages_per_1000_team_days",
        "false_tickets_per_60_team_days",
        "median_delay_h",
        "patterns",
    } <= out.keys()
    assert out["recall"].keys() == set(STRENGTHS)
    assert out["patterns"].keys() == RULES.keys()
    assert all({"median_delay_h", "median_delay_h_but_weak"} <= of.keys() for of in out["patterns"].values())
    assert "false pages per 1,000 team-days" in result.output
