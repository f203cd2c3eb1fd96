"""The demo's story and screen: figures in, the right words out; a miss and a false alert are as loud as a hit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.local.demo.facts import as_facts
from streams.local.demo.figures import FiredAlert, Records, Speed, Story, TeamStory, Told, Verified
from streams.local.demo.screen import WIDTH, change, render, sparkline
from streams.local.demo.story import drivers, match, read_teams
from streams.local.traffic import Episode
from streams.windows.measures import DAY_US, HOUR_US

BEGIN_US = 1_792_972_800_000_000
BURN = Episode(
    "low_value_burn", "search", ("low_value_share",), BEGIN_US + 21 * DAY_US, BEGIN_US + 28 * DAY_US, "renames"
)
LOOP = Episode(
    "agent_loop", "ads-ui", ("spend_runaway",), BEGIN_US + 22 * DAY_US, BEGIN_US + 22 * DAY_US + HOUR_US, "a loop"
)


def alert(rule: str, team: str, day: float, after_h: float = 1.0) -> FiredAlert:
    at = BEGIN_US + int(day * DAY_US)
    kind = "page" if rule == "spend_runaway" else "ticket"
    return FiredAlert(rule, team, kind, at, at + int(after_h * HOUR_US))


def team(
    name: str, spend: float, before: float | None, work: float, work_before: float, ratio: float | None, **shares: float
) -> TeamStory:
    return TeamStory(name, spend, before, work, work_before, ratio, ratio, 0, shares)


def story(**changes: object) -> Story:
    teams = read_teams(
        [
            team("search", 1490, 680, 15, 16, 0.024, low_value=0.58, core=0.3),
            team("ads-ui", 960, 520, 20, 20, 0.053, unattributed=0.49),
            team("sre", 520, 500, 6, 6, 0.05, enabling=0.63),
            team("checkout", 320, 310, 34, 31, 0.253, core=0.8),
        ]
    )
    whole = Story(
        seed=7,
        days=28,
        begin_us=BEGIN_US,
        people=35,
        teams=teams,
        spend_usd=(2010.0, 3290.0),
        core_value=(73.0, 75.0),
        core_per_mtok=(0.106, 0.084),
        daily_spend_usd=tuple(float(day) for day in range(28)),
        daily_core_value=(None,) * 28,
        daily_core_per_mtok=(0.1,) * 28,
        drivers=drivers(teams),
        fates={"core": 8_000_000_000, "low_value": 3_000_000_000, "unattributed": 999_000_000, "stalled": 1_000_000},
        told=(Told(BURN, (alert("low_value_share", "search", 22, 19),)), Told(LOOP, ())),
        false_alerts=(alert("spend_runaway", "checkout", 20),),
        quiet=("payments (holiday)",),
        known_requests=0.987,
        rules_fit=0.94,
        records=Records(1000, 980, 19, 1),
        verified=Verified(118_406, 0),
        speed=Speed(38.0, 30.0, 64_300.0, 80_000.0, 2),
        example="PAY-12",
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def screen(shown: Story) -> str:
    return "\n".join(line.plain for line in render(shown))


def test_the_headline_compares_spend_with_core_work() -> None:
    assert "LAST WEEK: AI SPEND +64 %, CORE WORK +3 %    98 % of the extra $1,280 came from 2 of 4 teams" in screen(
        story()
    )


def test_a_short_demo_compares_nothing() -> None:
    text = screen(story(spend_usd=(None, 3290.0), core_value=(None, 75.0), drivers=()))
    assert "LAST WEEK: AI SPEND $3,290, CORE WORK 75" in text
    lone = read_teams([team("a", 100, None, 5, 0, None)])
    text = screen(story(teams=(replace(lone[0], core_value_before=None),)))
    assert "A usage leaderboard would put a first." in text
    assert "core work fell" not in text


def test_each_line_fits_a_wide_terminal() -> None:
    for line in render(story()):
        assert len(line.plain) <= WIDTH + 40, line.plain


def test_fates_add_up_to_100_percent() -> None:
    text = screen(story())
    assert "sums to 100 % of spend" in text
    assert "core 67 %" in text
    assert "LOW VALUE 25 %" in text
    assert "stalled" not in text, "a fate that rounds to nothing takes no place"


def test_a_bar_has_each_fate_in_proportion() -> None:
    bar = next(line.plain for line in render(story()) if line.plain.strip().startswith("███"))
    assert len(bar) == WIDTH - 2
    assert bar.count("█") == pytest.approx(2 * bar.count("x") * 4 / 3, abs=3)


def test_what_there_is_to_say_about_a_team() -> None:
    readings = {t.team: t.reading for t in story().teams}
    assert readings["search"] == "! 58 % went into low-value work"
    assert readings["ads-ui"] == "! 49 % has no work item"
    assert readings["sre"] == "on-call 63 %: no per-unit verdict"
    assert readings["checkout"] == "cheapest core work, 0 reopened"
    flat = read_teams([team("a", 200, 100, 10, 10, 0.1), team("b", 100, 100, 10, 10, 0.2)])
    assert [t.reading for t in flat] == ["! spend up, core work flat", "cheapest core work, 0 reopened"]


def test_an_on_call_team_gets_no_ratio() -> None:
    line = next(line.plain for line in render(story()) if "sre" in line.plain)
    assert "0.050" not in line


def test_misses_and_false_alerts_stand_out() -> None:
    lines = [line for line in render(story()) if "MISSED" in line.plain or "FALSE" in line.plain]
    assert [line.plain.split()[:2] for line in lines] == [["MISSED", "ads-ui"], ["FALSE", "checkout"]]
    assert all("red" in str(line.style) for line in lines)
    assert "1 of 2 injected episodes found, 1 false in 112 team-days" in screen(story())


def test_a_found_episode_says_when_it_was_told() -> None:
    assert "ticket  search         low value share            began day 21 00:00   told after 43 h" in screen(story())


def test_lost_records_and_different_rows_are_loud() -> None:
    text = screen(story(records=Records(1001, 980, 19, 1), verified=Verified(118_406, 3)))
    assert "1,001 records ARE NOT 980 applied + 19 duplicate + 1 dead letters" in text
    assert "3 different" in text
    assert not story(records=Records(1001, 980, 19, 1)).trustworthy
    assert not story(verified=Verified(10, 1)).trustworthy
    assert story().trustworthy


def test_an_alert_tells_only_the_episode_that_its_label_names() -> None:
    told, false = match(
        [BURN, LOOP],
        [
            alert("low_value_share", "search", 23),  # by its rule
            alert("spend_runaway", "search", 23),  # the right team, but no rule of the label
            alert("low_value_share", "search", 20),  # began before
            alert("spend_runaway", "ads-ui", 22.02),
            alert("spend_runaway", "ads-ui", 36),  # long after
        ],
    )
    assert [(t.episode.kind, t.found, len(t.alerts)) for t in told] == [
        ("low_value_burn", True, 1),
        ("agent_loop", True, 1),
    ]
    assert [(a.team, a.rule) for a in false] == [
        ("search", "spend_runaway"),
        ("search", "low_value_share"),
        ("ads-ui", "spend_runaway"),
    ]


def test_the_first_alert_counts() -> None:
    told = Told(BURN, (alert("low_value_share", "search", 24), alert("spend_up_core_flat", "search", 22, 2)))
    assert told.after_us == DAY_US + 2 * HOUR_US
    assert told.rules == ("low_value_share", "spend_up_core_flat")


def test_drivers_are_as_few_teams_as_explain_most() -> None:
    teams = [team("a", 300, 100, 0, 0, None), team("b", 200, 150, 0, 0, None), team("c", 100, 100, 0, 0, None)]
    assert drivers(teams) == (("a", 200),)
    assert drivers([team("a", 100, 300, 0, 0, None)]) == ()


@pytest.mark.parametrize(
    ("values", "drawn"), [([0.0, 1.0, 8.0], "▁▂█"), ([None, 4.0], " █"), ([0.0, 0.0], "▁▁"), ([], "")]
)
def test_sparkline(values: list[float | None], drawn: str) -> None:
    assert sparkline(values) == drawn


@pytest.mark.parametrize(
    ("pair", "shown"),
    [((100, 131), "+31 %"), ((100, 100.2), "0 %"), ((100, 94), "-6 %"), ((0, 5), "."), ((None, 5), ".")],
)
def test_change(pair: tuple[float | None, float | None], shown: str) -> None:
    assert change(*pair) == shown


def test_facts_have_the_keys_that_are_promised() -> None:
    facts = as_facts(story(), 90.0)
    assert facts["events"] == {"produced": 1000, "applied": 980, "duplicate": 19, "dead": 1}
    assert facts["verify"] == {"rows": 118_406, "different": 0}
    assert {name: facts["alerts"][name] for name in ("episodes", "detected", "false")} == {
        "episodes": 2,
        "detected": 1,
        "false": 1,
    }
    assert facts["fates"]["core"] == 8_000_000_000
    assert (facts["events_per_s"], facts["events_per_cpu_s"]) == (64_300, 80_000)
    first = facts["teams"][0]
    assert (first["team"], first["standard_cost_micro_usd"], first["core_value_milli"], first["core_per_mtok"]) == (
        "search",
        1_490_000_000,
        15_000,
        0.024,
    )
