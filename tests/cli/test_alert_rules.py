"""`rules check`, `rules explain` and `backtest` as commands; the backtest of the demo finds what its workers told."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from streams.cli import app
from streams.detect.probes import NAMES as PROBES
from streams.local.demo.run import Shown

Ask = Callable[..., Result]
RULES = """\
[spend_runaway]
floor_usd = 5000

[[override]]
teams = ["search"]
low_value_share.least_share = 0.3
"""


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Runs a command in an empty directory and checks its exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = 0, **env: str) -> Result:
        result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200", "TOKENWORTH_ALERT_RULES": ""} | env)
        assert result.exit_code == code, result.output
        return result

    return run


def test_a_file_is_checked(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "alerts.toml"
    file.write_text(RULES)
    done = ask("rules", "check", "alerts.toml")
    assert done.stderr == ""
    lines = [" ".join(line.split()) for line in done.stdout.splitlines() if line.strip()]
    assert lines[0] == "alerts.toml: valid; it changes 2 numbers of the shipped rules"
    assert lines[3:] == [
        "spend_runaway floor_usd $100 $5,000 everyone",
        "low_value_share least_share 20 % 30 % teams search",
    ]
    found = json.loads(ask("rules", "check", "alerts.toml", "--json").stdout)
    assert found["differences"][0] == {"rule": "spend_runaway", "number": "floor_usd", "shipped": "$100", "here": "$5,000", "for": "everyone"}  # fmt: skip
    file.write_text(RULES.replace("5000", "-1"))
    done = ask("rules", "check", "alerts.toml", code=2)
    assert done.stdout == ""
    assert "alerts.toml:2: spend_runaway: floor_usd is not an amount above 0 in dollars" in done.stderr
    assert "remedy write it such as floor_usd = 100" in done.stderr


def test_rules_are_explained(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "alerts.toml").write_text(RULES)
    everything = ask("rules", "explain")
    assert "Alert rules, as they ship" in everything.stdout
    assert "An hour costs several times what is usual" in everything.stdout
    env = {"TOKENWORTH_ALERT_RULES": "alerts.toml"}
    one, _, others = ask("rules", "explain", "spend_runaway", **env).stdout.partition("some teams")
    assert others
    lines = [" ".join(line.split()) for line in one.splitlines()]
    assert lines[0] == "spend_runaway: a page, judged on windows of 1h"
    assert "floor_usd $5,000 $100 least cost of the hour" in lines
    assert lines[-1].startswith("Example: search spent $600 on AI in an hour")
    assert lines[-1].endswith("alerts from $5,000 on: not told")
    assert "The open item that takes most of its team's spend" in everything.stdout
    sink = ask("rules", "explain", "token_sink").stdout
    assert sink.startswith("token_sink: a ticket, a question to the store each 6h")
    assert "floor_usd $50.00 least cost of the item in 28 days" in " ".join(sink.split())
    assert "no alert rule 'runaway'" in ask("rules", "explain", "runaway", code=2).stderr


def test_a_team_is_explained_with_its_figures(ask: Ask, demo: Shown) -> None:
    found = json.loads(ask("rules", "explain", "--team", "search", "--json", **demo.stack.env).stdout)
    now = {rule["rule"]: rule["now"] for rule in found}
    assert now["spend_runaway"]["usual"].startswith("$")
    assert now["spend_runaway"]["alerts_from"] >= "$100"
    assert now["feed_silent"]["state"] == "not judged"
    ask("rules", "explain", "--team", "searhc", code=2, **demo.stack.env)


def test_a_backtest_of_the_demo_finds_what_its_workers_told(ask: Ask, demo: Shown, tmp_path: Path) -> None:
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["team", "from", "to", "what"])
        for one in demo.story.told:
            begin, end = (
                datetime.fromtimestamp(t / 1e6, UTC).isoformat() for t in (one.episode.begin_us, one.episode.end_us)
            )
            rows.writerow([one.episode.team, begin, end, one.episode.what])
    (tmp_path / "mine.toml").write_text("[unattributed_surge]\nenabled = false\n")
    env = demo.stack.env
    stored = json.loads(ask("alerts", "--json", **env).stdout)
    told = [row for row in stored if row["state"] in ("firing", "no_data", "resolved")]
    # Probes ask about the present, which other tests of this demo change: a backtest is of windows.
    live = Counter((row["rule"], row["team"]) for row in told if row["rule"] not in PROBES)
    assert live
    done = ask("backtest", "--labels", "labels.csv", "--json", **env)
    found = json.loads(done.stdout)
    [in_force] = found["rules"]
    assert Counter((row["rule"], row["team"]) for row in in_force["alerts"]) == live
    score = in_force["score"]
    assert (score["labels"], score["told"]) == (len(demo.story.told), len(demo.story.told) - len(found["missed"]))
    assert score["precision"] == round(sum(row["label"] is not None for row in in_force["alerts"]) / live.total(), 3)
    assert sum(sum(week["alerts"]) for week in found["weeks"]) == live.total()

    done = ask("backtest", "mine.toml", "--labels", "labels.csv", **env)
    shown = " ".join(done.stdout.split())
    without = sum(count for (rule, _), count in live.items() if rule == "unattributed_surge")
    assert without
    assert f"all {live.total()} {live.total() - without}" in shown
    assert "Added: none Removed began fired resolved rule what label" in shown
    assert "unattributed_surge" in shown.partition("Removed")[2]
    assert "is not before the end" in ask("backtest", "--from", "2100-01-01", code=2, **env).stderr
