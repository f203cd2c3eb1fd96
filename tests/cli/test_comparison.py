"""`tokenworth replay --compare`: waits for workers that may not be there, and says what its figures cover."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from streams.cli.comparison import compare_models, print_comparison
from streams.config import ITEMS_TOPIC, USAGE_TOPIC, Settings
from streams.errors import SetupError
from streams.store.client import connect
from streams.store.migrations import migrate
from tests.cli.conftest import Tokenworth
from tests.cli.test_replay import HEADER, ROWS
from tests.store.right_store import RightStore, insert
from tests.strategies import World, at, item_event, usage_event


def test_without_a_worker_the_wait_ends_with_a_message(
    tokenworth: Tokenworth, tmp_path: Path, tansu_address: str, clickhouse_database: str
) -> None:
    (tmp_path / "runs.csv").write_text(HEADER + ROWS)
    env = {"TOKENWORTH_KAFKA": tansu_address, "TOKENWORTH_CLICKHOUSE": clickhouse_database}
    done = tokenworth("replay", "runs.csv", "--mapping", "agent_runs", "--compare", "--wait-s", "0.5", env=env)
    assert done.returncode == 3, done.stderr
    assert "no worker has applied a record for 0.5 s" in done.stderr
    assert "none ever ran" in done.stderr
    assert "start one: tokenworth worker" in done.stderr
    assert done.stdout == ""


def test_a_worker_that_stopped_is_named(clickhouse_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = {(USAGE_TOPIC, 0): 10, (ITEMS_TOPIC, 0): 5, (USAGE_TOPIC, 1): 0}
    monkeypatch.setattr("streams.agents.topics.end_offsets", lambda _: ends)
    with closing(connect(clickhouse_database)) as client:
        migrate(client)
        for worker, flushed_at in (("machine-1:17", "2026-01-02 03:04:05"), ("machine-2:18", "2026-01-02 03:04:04")):
            row = {"kpart": int(worker[-1] == "8"), "usage_next": 4, "items_next": 5, "worker": worker, "version": 1}
            insert(client, "checkpoints", [row | {"flushed_at": flushed_at}])
    with pytest.raises(SetupError, match=r"6 of 6 wait; the last to write was machine-1:17 at 2026-01-02 03:04"):
        compare_models(Settings(clickhouse=clickhouse_database), "acme", 0.3)


def test_what_workers_have_applied_is_compared_at_once(
    clickhouse_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(connect(clickhouse_database)) as client:
        migrate(client)
        store = RightStore(client)
        store.add(World([usage_event("u", at(0), work_item_id="I-1")], [item_event("w", at(1), "completed")], at(1)))
        store.write(watermark=at(1))
        insert(client, "tenant_settings", [{"tenant": "acme", "name": "privacy_floor", "value": "0", "version": 1}])
    sides = {"usage": USAGE_TOPIC, "items": ITEMS_TOPIC}
    ends = {(sides[side], part): offset for (side, part), offset in store.next.items()}
    monkeypatch.setattr("streams.agents.topics.end_offsets", lambda _: ends)
    models, total = compare_models(Settings(clickhouse=clickhouse_database), "acme", 0.3)
    assert [(row["model"], row["items"]) for row in models] == [("large", 1)]
    assert total is not None
    assert total["items"] == 1


def test_publishing_alone_cannot_compare(tokenworth: Tokenworth, tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text(HEADER + ROWS)
    done = tokenworth("replay", "runs.csv", "--mapping", "agent_runs", "--compare", "--publish-only")
    assert done.returncode == 2
    assert "--publish-only" in done.stderr


def model(team: str, name: str, **changes: Any) -> dict[str, Any]:
    """40 completed items, billed and standard cost of $0.20 each."""
    row = {
        "is_total": 0, "team": team, "tool": "cli", "model": name, "items": 40, "completed": 40, "canceled": 0, "unknown_items": 0,
        "partial_items": 0, "items_without_cost": 0, "requests": 120, "tokens": 4_000_000, "cost_micro_usd": 8_000_000,
        "standard_cost_micro_usd": 8_000_000, "cost_per_completed_micro_usd": 200_000.0, "standard_cost_per_completed_micro_usd": 200_000.0,
        "full_request_share": 1.0, "full_cost_share": 1.0, "known_cost_share": 1.0, "is_unpriced": 0, "request_share": 0.5,
    }  # fmt: skip
    return row | changes


def printed(capsys: pytest.CaptureFixture[str], *models: dict[str, Any], **total: Any) -> list[str]:
    print_comparison(list(models), model("", "", is_total=1, **total), "acme")
    return capsys.readouterr().out.splitlines()


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables have the width that they take."""
    monkeypatch.delenv("COLUMNS", raising=False)


def test_each_team_has_a_table_and_what_is_unknown_is_not_0(capsys: pytest.CaptureFixture[str]) -> None:
    unknown = dict.fromkeys(
        ("tokens", "cost_micro_usd", "standard_cost_micro_usd", "cost_per_completed_micro_usd",
         "standard_cost_per_completed_micro_usd"),
    )  # fmt: skip
    dark = model("ads", "dark", unknown_items=40, items_without_cost=40, **unknown)
    lines = printed(capsys, model("pay", "large"), dark, unknown_items=40, items_without_cost=40)
    assert [line.split(":")[0] for line in lines if "models by" in line] == ["pay", "ads"]
    figures = ["40", "40", "0", "0", "4.0", "$8.00", "$8.00", "$0.200", "$0.200", "100", "%", "100", "%"]
    assert row_of(lines, "large") == ["cli", "large", *figures]
    assert "$" not in "".join(row_of(lines, "dark"))
    assert row_of(lines, "dark").count("-") == 5
    text = "\n".join(lines)
    assert "40 items with 50 % of the requests of tenant acme" in text
    assert "40 items (ads 40) have unknown usage" in text
    assert "40 items (ads 40) have no known billed cost" in text
    assert "partial usage" not in text


def test_costs_that_contradict_each_other_and_missing_prices_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(
        capsys,
        model("pay", "close", cost_per_completed_micro_usd=390_000.0),
        model("pay", "apart", cost_per_completed_micro_usd=90_000.0),
        model("pay", "none", standard_cost_per_completed_micro_usd=None),
        model("pay", "odd", is_unpriced=1, partial_items=3),
        partial_items=3,
    )
    text = "\n".join(lines)
    assert "more than twofold for cli apart (pay): " in text
    assert "The price book lacks odd: " in text
    assert "3 items (pay 3) have partial usage" in text


def test_nothing_to_compare_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    print_comparison([], None, "github")
    assert "no item of tenant github has usage" in capsys.readouterr().out


def row_of(lines: list[str], name: str) -> list[str]:
    """The cells of the table's row of a model."""
    return next(line.split() for line in lines if line.split()[1:2] == [name])
