"""The commands that show results, on a small demo whose stack is up."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from streams.cli import app
from streams.local.demo.run import Shown
from streams.store.client import connect
from streams.value.documents import shipped

Ask = Callable[..., Result]


@pytest.fixture
def ask(demo: Shown) -> Ask:
    """Runs a command against the demo's stack and checks its exit code."""

    def run(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, list(arguments), env={**demo.stack.env, "COLUMNS": "200"})
        assert result.exit_code == code, result.output
        return result

    return run


def parsed(result: Result) -> Any:
    return json.loads(result.stdout)


def test_the_demo_adds_up_and_is_verified(demo: Shown) -> None:
    story = demo.story
    assert story.trustworthy
    assert story.records.produced > 6_000
    assert story.records.dead == 21
    assert story.records.duplicate > 60
    assert story.verified.rows > 50_000


def test_the_demo_finds_its_episodes(demo: Shown) -> None:
    assert [told.episode.team for told in demo.story.told] == ["search", "ads-ui"]
    assert all(told.found for told in demo.story.told)


def test_fates_are_all_of_the_spend(demo: Shown, ask: Ask) -> None:
    with closing(connect(demo.stack.clickhouse)) as client:
        spend = client.query("SELECT sum(standard_cost_micro_usd) FROM panes FINAL").result_rows[0][0]
    assert sum(demo.story.fates.values()) == spend
    rows = parsed(ask("fates", "--days", "60", "--json"))
    assert sum(row["standard_cost_micro_usd"] for row in rows) == spend


def test_windows_of_all_teams(ask: Ask) -> None:
    rows = parsed(ask("windows", "--json"))
    assert {row["team"] for row in rows} == {"search", "ads-ui", "payments", "sre"}
    assert len({row["window_end"] for row in rows}) == 1
    table = ask("windows").stdout
    assert "core per Mtok" in table
    assert "search" in table


def test_windows_of_one_team(ask: Ask) -> None:
    rows = parsed(ask("windows", "--team", "search", "--last", "3", "--json"))
    assert [row["team"] for row in rows] == ["search"] * 3
    ends = [datetime.fromisoformat(row["window_end"]) for row in rows]
    assert [b - a for a, b in zip(ends[1:], ends, strict=False)] == [timedelta(hours=6)] * 2
    earlier = parsed(
        ask("windows", "--team", "search", "--last", "1", "--until", f"{ends[2]:%Y-%m-%dT%H:%M:%S}", "--json")
    )
    assert [row["window_end"] for row in earlier] == [rows[2]["window_end"]]


def test_windows_without_ratios_say_why(ask: Ask) -> None:
    assert "no work class" in ask("windows", "--by", "model").stdout
    assert "window too short" in ask("windows", "--size", "24h").stdout


def test_models_are_listed_with_what_they_cover(ask: Ask) -> None:
    rows = parsed(ask("models", "--json"))
    assert rows
    assert all(0 < row["items_share"] <= 1 for row in rows)
    assert "covers" in ask("models").stdout


def test_fates_by_team(ask: Ask) -> None:
    table = ask("fates", "--by", "team", "--days", "7").stdout
    assert "low value" in table
    only = parsed(ask("fates", "--team", "search", "--json"))
    assert {row["team"] for row in only} == {"search"}


def test_alerts(ask: Ask) -> None:
    rows = parsed(ask("alerts", "--json"))
    assert {"spend_runaway", "unattributed_surge"} <= {row["rule"] for row in rows if row["team"] == "ads-ui"}
    assert {row["state"] for row in parsed(ask("alerts", "--open", "--json"))} <= {"pending", "firing", "no_data"}
    assert "ads-ui spent" in ask("alerts", "--team", "ads-ui").stdout


def test_explain(demo: Shown, ask: Ask) -> None:
    found = parsed(ask("explain", demo.story.example, "--json"))
    assert found["item"]["fate"] == "core"
    assert found["rule"]["work_class"] == "core"
    assert [event["kind"] for event in found["events"]][-1] in ("completed", "reclassified")
    cost = sum(line["standard_cost_micro_usd"] for line in found["lines"])
    assert cost == found["item"]["standard_cost_micro_usd"]
    value = sum(booking["net_value_milli"] for booking in found["bookings"])
    assert value == round(1000 * found["item"]["value"])
    assert {window["size"] for window in found["windows"]} == {"1h", "24h", "7d", "28d"}
    text = ask("explain", demo.story.example).stdout
    assert f"{demo.story.example}: completed, its spend counts as core" in text


def test_the_windows_that_an_item_touched_hold_its_value(demo: Shown, ask: Ask) -> None:
    found = parsed(ask("explain", demo.story.example, "--json"))
    week = next(window for window in found["windows"] if window["size"] == "7d" and window["kind"] == "credit")
    at = datetime.fromisoformat(found["bookings"][0]["at"])
    first, last = (datetime.fromisoformat(week[name]) for name in ("first_end", "last_end"))
    assert first - timedelta(hours=6) <= at < first
    assert last - first == timedelta(days=7) - timedelta(hours=6)


def test_explain_of_a_misspelt_item(demo: Shown, ask: Ask) -> None:
    result = ask("explain", demo.story.example.lower(), code=1)
    assert demo.story.example in result.stderr


def test_explain_of_every_kind_of_item(demo: Shown, ask: Ask) -> None:
    with closing(connect(demo.stack.clickhouse)) as client:
        items = client.query("SELECT fate, any(work_item_id) FROM v_work_items GROUP BY fate").result_rows
    assert {"core", "low_value", "supporting", "excluded", "canceled", "in_flight"} <= {fate for fate, _ in items}
    for fate, item in items:
        assert f"its spend counts as {fate}" in ask("explain", item).stdout


def test_verify_finds_nothing_and_then_what_was_changed(demo: Shown, ask: Ask) -> None:
    assert parsed(ask("verify", "--json"))["different"] == 0
    with closing(connect(demo.stack.clickhouse)) as client:
        key = "work_item_id = (SELECT min(work_item_id) FROM work_item_usage)"
        row = f"INSERT INTO work_item_usage SELECT * REPLACE ({{}}) FROM work_item_usage FINAL WHERE {key} LIMIT 1"
        item = client.query(f"SELECT work_item_id FROM work_item_usage WHERE {key}").result_rows[0][0]
        client.command(row.format("tokens + 1 AS tokens, version + 1 AS version"))
        try:
            result = ask("verify", "--wait-s", "1", code=1)
            assert item in result.stdout
            assert "work_item_usage" in result.stdout
        finally:
            client.command(
                f"INSERT INTO work_item_usage SELECT * REPLACE (tokens - 1 AS tokens, version + 1 AS version)"
                f" FROM work_item_usage FINAL WHERE {key} ORDER BY version DESC LIMIT 1"
            )
    ask("verify", "--json")


def test_doctor_is_content(ask: Ask) -> None:
    checks = parsed(ask("doctor", "--json"))
    assert {check["name"] for check in checks} == {
        "broker",
        "partition counts",
        "append time",
        "clickhouse",
        "migrations",
        "installation",
        "clock",
        "records",
        "workers",
        "schemas",
    }
    assert all(check["ok"] for check in checks), checks


def test_init_again_changes_nothing(ask: Ask) -> None:
    done = parsed(ask("init", "--json"))
    assert (done["topics"], done["database"], done["migrations"], done["defaults"]) == ([], False, [], [])


def test_init_with_another_partition_count(ask: Ask) -> None:
    assert "4 partitions" in ask("init", "--partitions", "5", code=3).stderr


def test_rules_in_force(ask: Ask) -> None:
    found = parsed(ask("rules", "show", "--json"))
    assert len([rule for rule in found["rules"] if rule["rule"]]) == 16
    assert "first match wins" in ask("rules", "show", "--prices-too").stdout
    tried = parsed(ask("rules", "test", "--type", "Story", "--points", "5", "--json"))
    assert tried == {"rule": 10, "kind": "match", "work_class": "core", "label": "", "value_milli": 1667}
    assert "value:low" in ask("rules", "test", "--type", "story", "--label", "value:low").stdout


def test_rules_on_all_completed_items(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(shipped("default_rules.toml"))
    same = parsed(ask("rules", "test", "--rules", str(file), "--json"))
    assert same
    assert all(row["from"] == row["to"] and row["value_milli_change"] == 0 for row in same)
    file.write_text(shipped("default_rules.toml").replace('"feature", "story", ', '"feature", '))
    moved = parsed(ask("rules", "test", "--rules", str(file), "--json"))
    assert any(row["from"] == "core" and row["to"] == "supporting" for row in moved)


def test_rules_come_into_force_an_hour_ahead_at_least(demo: Shown, ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    now = datetime.now(UTC).replace(microsecond=0)
    ahead = now + timedelta(days=300)
    text = shipped("default_rules.toml")
    file.write_text(text.replace("2015-01-01T00:00:00Z", f"{now:%Y-%m-%dT%H:%M:%SZ}"))
    assert "less than an hour ahead" in ask("rules", "apply", "--rules", str(file), code=2).stderr
    file.write_text(text.replace("2015-01-01T00:00:00Z", f"{ahead:%Y-%m-%dT%H:%M:%SZ}"))
    assert "valid" in ask("rules", "apply", "--rules", str(file), "--dry-run").stdout
    assert parsed(ask("rules", "show", "--json"))["later_rule_sets"] == []
    ask("rules", "apply", "--rules", str(file))
    assert parsed(ask("rules", "show", "--json"))["later_rule_sets"] == [int(ahead.timestamp()) * 1_000_000]


def test_prices_come_into_force_later(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    later = f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}"
    file.write_text(f'effective_from = {later}\n[[model]]\nname = "new-model"\ninput = "1"\noutput = "2"\n')
    assert "1 rows loaded" in ask("rules", "apply", "--prices", str(file)).stdout
    assert "0 rows loaded" in ask("rules", "apply", "--prices", str(file)).stdout
    file.write_text(f'effective_from = {later}\n[[model]]\nname = "new-model"\ninput = "1"\noutput = "3"\n')
    assert "two different prices" in ask("rules", "apply", "--prices", str(file), code=2).stderr


@pytest.mark.parametrize("arguments", [[], ["rules"]])
def test_help_lists_the_commands(arguments: list[str]) -> None:
    text = CliRunner().invoke(app, [*arguments, "--help"], env={"COLUMNS": "200"}).stdout
    wanted = (
        ("show", "test", "apply")
        if arguments
        else (
            "init",
            "up",
            "worker",
            "demo",
            "replay",
            "windows",
            "fates",
            "alerts",
            "explain",
            "rules",
            "verify",
            "doctor",
        )
    )
    for command in wanted:
        assert command in text


@pytest.mark.parametrize(
    "command", ["init", "up", "worker", "doctor", "demo", "replay", "windows", "fates", "alerts", "explain", "verify"]
)
def test_every_help_has_an_example(command: str) -> None:
    text = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).stdout
    assert "Example" in text
    assert f"tokenworth {command}" in text
