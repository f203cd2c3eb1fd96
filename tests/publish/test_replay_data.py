"""The shipped mappings against the real tables, with sums taken straight from the CSV by code that knows no mapping."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import numpy as np
import pytest

from streams.events.decode import decode
from streams.events.records import Records
from streams.events.usage import UsageEvent
from streams.events.work_item import WorkItemEvent
from streams.publish.mapping import load_mapping
from streams.publish.replay import Table, read_table
from tests.publish.data import data_file

pytestmark = pytest.mark.data

BUCKETS = {
    "input_tokens": "input_tokens",
    "cache_read_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_5m_tokens",
    "output_tokens": "output_tokens",
}


def rows_of(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope="module")
def runs() -> tuple[list[dict[str, str]], Table]:
    path = data_file("agent_runs_timestamped.csv.gz")
    return rows_of(path), read_table(path, load_mapping("agent_runs"))


@pytest.fixture(scope="module")
def pulls() -> tuple[list[dict[str, str]], Table]:
    path = data_file("workitems_aidev_prs.csv.gz")
    return rows_of(path), read_table(path, load_mapping("github_pull_requests"))


def usage_of(table: Table) -> list[UsageEvent]:
    return [event for event in table.events if isinstance(event, UsageEvent)]


def items_of(table: Table) -> list[WorkItemEvent]:
    return [event for event in table.events if isinstance(event, WorkItemEvent)]


def test_every_run_makes_three_events(runs: tuple[list[dict[str, str]], Table]) -> None:
    rows, table = runs
    assert len(rows) == table.rows == 11_381
    assert table.skipped == []
    assert len({event.event_id for event in table.events}) == len(table.events) == 3 * len(rows)
    outcomes = Counter("completed" if row["resolved"] == "1" else "canceled" for row in rows)
    assert Counter(event.kind for event in items_of(table)) == outcomes | {"started": len(rows)}
    assert len({event.work_item_id for event in items_of(table)}) == len(rows)


def test_the_sums_of_the_runs(runs: tuple[list[dict[str, str]], Table]) -> None:
    """Tokens by bucket, known cost, requests: per source."""
    rows, table = runs
    expected: Counter[tuple[str, str]] = Counter()
    for row in rows:
        for column, field in BUCKETS.items():
            expected[row["source"], field] += int(row[column] or 0)
        expected[row["source"], "requests"] += int(row["api_calls"] or 3)
        expected[row["source"], "with_cost"] += bool(row["cost_usd"])
        micro = (Decimal(row["cost_usd"] or 0) * 10**6).quantize(Decimal(1), ROUND_HALF_UP)
        expected[row["source"], "cost_micro_usd"] += int(micro)
    found: Counter[tuple[str, str]] = Counter()
    for event in usage_of(table):
        for field in (*BUCKETS.values(), "requests"):
            found[event.team, field] += getattr(event, field)
        found[event.team, "with_cost"] += event.cost_micro_usd is not None
        found[event.team, "cost_micro_usd"] += event.cost_micro_usd or 0
    assert found == expected
    assert {event.cost_basis for event in usage_of(table)} == {"billed"}


def test_missing_usage_of_the_runs_is_unknown_or_partial(runs: tuple[list[dict[str, str]], Table]) -> None:
    rows, table = runs
    by_item = {event.work_item_id: event.usage_quality for event in usage_of(table)}
    for row in rows:
        quality = by_item["/".join(row[k] for k in ("source", "run", "agent", "model", "instance_id", "started_at"))]
        if not any(row[column] for column in BUCKETS):
            assert quality == "unknown"
        elif row["source"] == "agent-benchmarks-runs" or not (row["input_tokens"] and row["output_tokens"]):
            assert quality == "partial"
        else:
            assert quality == "full"
    assert Counter(by_item.values())["unknown"] == 3425


def test_times_teams_and_parents_of_the_runs(runs: tuple[list[dict[str, str]], Table]) -> None:
    rows, table = runs
    events = {event.event_id: event for event in table.events}
    for row in rows:
        item = "/".join(row[k] for k in ("source", "run", "agent", "model", "instance_id", "started_at"))
        outcome = events[f"{item}/{'completed' if row['resolved'] == '1' else 'canceled'}"]
        usage, started = events[f"{item}/usage"], events[f"{item}/started"]
        assert isinstance(usage, UsageEvent)
        assert isinstance(outcome, WorkItemEvent)
        assert isinstance(started, WorkItemEvent)
        assert started.occurred_at == datetime.fromisoformat(row["started_at"])
        assert usage.occurred_at == outcome.occurred_at == datetime.fromisoformat(row["finished_at"])
        assert usage.team == outcome.team == started.team == row["source"]
        assert usage.key == outcome.key == started.key == f"benchmarks/{item}"
        assert (usage.tool, usage.model) == (row["agent"], row["model"])
        assert (outcome.item_type, outcome.parent_id) == ("feature", row["instance_id"])
    times = [event.occurred_at for event in table.events]
    assert times == sorted(times)
    assert load_mapping("agent_runs").privacy_floor == 0


def test_the_worker_accepts_every_event_of_the_runs(runs: tuple[list[dict[str, str]], Table]) -> None:
    _, table = runs
    for topic, events in (("usage-events", usage_of(table)), ("work-item-events", items_of(table))):
        values = [event.to_wire() for event in events]
        offsets, appended = np.arange(len(values)), np.full(len(values), 2**62)
        decoded = decode(topic, Records.of(values), offsets, appended, partition=0, partitions=1)
        assert decoded.dead == []
        assert len(decoded.frame) == len(events)


def test_pull_requests(pulls: tuple[list[dict[str, str]], Table]) -> None:
    """Opened, and merged or closed unmerged, each at its own time; no links."""
    rows, table = pulls
    expected = set()
    for row in rows:
        item = f"{row['repo']}#{row['pr_number']}"
        expected.add((item, "started", row["created_at"], row["type"]))
        if row["merged_at"]:
            expected.add((item, "completed", row["merged_at"], row["type"]))
        elif row["closed_at"]:
            expected.add((item, "canceled", row["closed_at"], row["type"]))
    found = {
        (event.work_item_id, event.kind, event.occurred_at.strftime("%Y-%m-%dT%H:%M:%SZ"), event.item_type)
        for event in items_of(table)
    }
    assert found == expected
    assert len(table.events) == len(expected) == 7122 + 3775 + 2426
    assert table.skipped == []
    assert {event.link_type for event in items_of(table)} == {None}
