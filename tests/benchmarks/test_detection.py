"""The labelled scenarios: their windows are the naive sums, a seed tells one story, and alerts are scored by the definitions."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from benchmarks.detection.__main__ import main
from benchmarks.detection.happenings import RULES, STRENGTHS, Happening
from benchmarks.detection.life import MEASURES, live
from benchmarks.detection.rolling import windows
from benchmarks.detection.scenarios import WHOLE_DAYS, Scenario, make_scenario
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
    first, again, other = (make_scenario(seed=seed, teams=2, days=WHOLE_DAYS) for seed in (1, 1, 2))
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
    scenario = Scenario(1, 90, (team,), (episode, business), make_scenario(seed=1, teams=1, days=WHOLE_DAYS).windows)
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
    scenario = Scenario(1, 90, (team,), (strong, weak), make_scenario(seed=1, teams=1, days=WHOLE_DAYS).windows)
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
    result = CliRunner().invoke(app, ["--seed", "1", "--teams", "3", "--days", str(WHOLE_DAYS), "--json", str(file)])
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


@pytest.mark.parametrize("days", [1, 20, 25, 30])
def test_a_short_history_is_judged_as_far_as_it_goes(tmp_path: Path, days: int) -> None:
    file = tmp_path / "figures.json"
    app = typer.Typer()
    app.command()(main)
    result = CliRunner().invoke(app, ["--seed", "1", "--teams", "2", "--days", str(days), "--json", str(file)])
    assert result.exit_code == 0, result.output
    out = json.loads(file.read_text())
    assert out["team_days"] == 2 * max(days - 24, 0)
    assert (out["false_pages_per_1000_team_days"] is None) == (days <= 24)
    missing = [kind for kind, of in out["patterns"].items() if not of["episodes"]]
    assert f"without an episode, so not judged: {', '.join(missing)}" in result.output
    assert all(share is None for kind in missing for share in out["patterns"][kind]["recall"].values())
    assert ("no team-day judged" in result.output) == (days <= 24)


def test_a_bulk_close_is_a_digest_and_any_ticket_about_it_is_false() -> None:
    team = draw_team(np.random.default_rng(1), 0)
    closed = Happening("bulk_close", 0, "", 0.5, 30 * DAY, 30 * DAY + HOUR)
    scenario = Scenario(1, 90, (team,), (closed,), make_scenario(seed=1, teams=1, days=WHOLE_DAYS).windows)
    at = at_us(closed.begin) + HOUR_US
    told = replace(ALERT, team=team.name, started_at=at, fired_at=at, window_end=at)
    surge = replace(told, rule="completion_surge", kind="digest")
    ticket = replace(told, rule="low_value_share", kind="ticket")
    out = figures(score(scenario, [surge, ticket]))
    assert out["digests"]["bulk_close"] == {"episodes": 1, "told": 1, "recall": 1, "median_delay_h": 1}
    assert out["rules"]["completion_surge"] == {"true": 1, "false": 0, "precision": 1}
    assert (out["false_tickets_per_60_team_days"], out["false_digests_per_60_team_days"]) == (round(60 / 66, 3), 0)
    assert figures(score(scenario, []))["digests"]["bulk_close"]["recall"] == 0


def test_a_bulk_close_closes_items_of_all_kinds_with_what_they_once_cost() -> None:
    team = draw_team(np.random.default_rng(1), 0)
    begin = 30 * DAY
    closed = Happening("bulk_close", 0, "", 0.5, begin, begin + HOUR)
    plain, bulk = (live(np.random.default_rng(7), team, 40 * DAY, happenings) for happenings in ([], [closed]))
    more = {name: int(bulk[name].sum() - plain[name].sum()) for name in MEASURES}
    assert more["items"] == 20 + 4 * team.people
    assert all(more[name] > 0 for name in ("matched", "matched_core", "matched_low", "low_items", "core_value"))
    assert all(more[name] == 0 for name in ("spend", "requests", "tokens", "unattributed", "abandoned"))
    assert all((bulk[name] == plain[name])[:begin].all() for name in MEASURES)


def test_half_of_the_upgrades_are_ten_times_as_dear_with_the_same_requests_and_tokens() -> None:
    team = draw_team(np.random.default_rng(1), 0)
    plain = live(np.random.default_rng(7), team, 40 * DAY, [])
    for kind, size, times in (("model_upgrade", 0.2, 2.3), ("model_upgrade", 0.75, 15), ("price_change", 0.9, 3.97)):
        dear = live(np.random.default_rng(7), team, 40 * DAY, [Happening(kind, 0, "", size, 20 * DAY, 34 * DAY)])
        assert (dear["tokens"] == plain["tokens"]).all()
        assert (dear["requests"] == plain["requests"]).all()
        assert dear["spend"][20 * DAY :].sum() / plain["spend"][20 * DAY :].sum() == pytest.approx(times, rel=0.05)
