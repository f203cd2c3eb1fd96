"""The public tables through the whole system, with the shipped mappings: what is stored equals sums taken straight from the CSV.

The expectations are plain csv code that shares nothing with streams.publish. One stack per kind of broker holds both tables.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from streams.agents.topics import end_offsets
from streams.cli.comparison import print_comparison
from streams.store.verify import verify
from tests.e2e.system import System, running_system
from tests.publish.data import data_file

pytestmark = pytest.mark.data

HOUR_S = 3600
RUN_EVENTS = 3
REVISED_S = 100
PATIENCE_S = 240
BUCKETS = {
    "input_tokens": "input_tokens",
    "cache_read_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_5m_tokens",
    "output_tokens": "output_tokens",
}
USAGE = ("requests", "unknown_requests", "partial_requests", *BUCKETS.values(), "tokens", "cost_micro_usd")
OUTCOMES = ("items_completed", "items_canceled")

Table = list[dict[str, str]]
Sums = dict[Any, dict[str, int]]


@dataclass(frozen=True)
class Replayed:
    """A system that holds both tables, all windows final; the rows themselves; what `replay --compare --json` printed."""

    system: System
    runs: Table
    pulls: Table
    facts: dict[str, Any]


@pytest.fixture(scope="module", params=["tansu", pytest.param("kafka", marks=pytest.mark.kafka)])
def replayed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replayed]:
    runs, pulls = data_file("agent_runs_timestamped.csv.gz"), data_file("workitems_aidev_prs.csv.gz")
    began = time.monotonic()
    with running_system(tmp_path_factory.mktemp(request.param), request.param, partitions=3) as system:
        with replay(system, pulls, "github_pull_requests", "--json") as publishing:
            published = json.loads(finished(publishing))
        with replay(system, runs, "agent_runs", "--compare", "--json") as comparing:
            # The worker starts last and finds the past in order: few windows are final before their last event, and revised.
            records = published["work_item_events"] + RUN_EVENTS * len(table(runs))
            system.wait(lambda: sum(end_offsets(system.settings).values()) == records, "everything is published")
            worker = system.start_worker("worker")
            facts = json.loads(finished(comparing))
        applied_s = time.monotonic() - began
        final_us = 1_000_000 * max(hour_end(row["finished_at"]) for row in table(runs))
        system.wait_until_windowed(final_us, timeout_s=PATIENCE_S)
        print(f"{request.param}: applied after {applied_s:.1f} s, windows final after {time.monotonic() - began:.1f} s")
        yield Replayed(system, table(runs), table(pulls), facts)
        system.stop_worker(worker)


def test_windows_equal_the_csv_hour_by_hour(replayed: Replayed) -> None:
    """1h windows at full hours do not overlap. A run's usage and outcome lie in the hour in which it ended."""
    expected = sums(replayed.runs, lambda row: hour_end(row["finished_at"]))
    measures = (*USAGE, *OUTCOMES)
    found = full_hours_soon(replayed.system, "benchmarks", measures, expected)
    assert found == expected
    total = {name: sum(hour[name] for hour in found.values()) for name in measures}
    print("value_windows", total)
    assert total == sums(replayed.runs, lambda _: "")[""]
    assert total["items_completed"] == 7634
    assert total["items_canceled"] == 3747


def test_the_ledger_equals_the_csv(replayed: Replayed) -> None:
    """Per team, tool and model: each run is one item with one line."""
    measures = {name: name for name in ("requests", *BUCKETS.values(), "tokens", "cost_micro_usd")}
    measures["unknown_requests"] = "requests - known_requests"
    rows = select(
        replayed.system,
        f"SELECT toString(team), toString(tool), toString(model), {', '.join(f'sum({sql})' for sql in measures.values())} "
        "FROM work_item_usage FINAL WHERE tenant = 'benchmarks' GROUP BY team, tool, model",
    )
    expected = sums(replayed.runs, lambda row: (row["source"], row["agent"], row["model"]))
    assert {tuple(row[:3]): dict(zip(measures, row[3:], strict=True)) for row in rows} == {
        key: {name: held[name] for name in measures} for key, held in expected.items()
    }
    total = {name: sum(row[3 + i] for row in rows) for i, name in enumerate(measures)}
    print("work_item_usage", total)


def test_known_cost_is_the_billed_cost_of_runs_with_tokens(replayed: Replayed) -> None:
    """Usage of unknown quality has no measure but its requests (VALUE.md §8), so that a cost without any token column would count 0.

    In this table no such row has a cost: the stored cost is all that the CSV has.
    """
    without_tokens = [row for row in replayed.runs if not any(row[column] for column in BUCKETS)]
    assert len(without_tokens) == 3425
    assert [row for row in without_tokens if row["cost_usd"]] == []
    everything = sum(micro_usd(row["cost_usd"]) for row in replayed.runs if row["cost_usd"])
    stored = select(replayed.system, "SELECT sum(cost_micro_usd), sum(other_cost_micro_usd) FROM work_item_usage FINAL")
    assert stored == [(everything, 0)]


def test_items_equal_the_csv(replayed: Replayed) -> None:
    rows = select(
        replayed.system,
        "SELECT toString(team), toString(state), toString(work_class), count(), uniqExact(work_item_id) "
        "FROM work_items FINAL WHERE tenant = 'benchmarks' GROUP BY team, state, work_class",
    )
    expected = Counter(
        (row["source"], "completed" if row["resolved"] == "1" else "canceled", "core") for row in replayed.runs
    )
    assert {tuple(row[:3]): row[3] for row in rows} == expected
    assert all(row[3] == row[4] for row in rows)
    print("work_items", sorted(rows))


def test_pull_requests_equal_the_csv(replayed: Replayed) -> None:
    """Merged, closed unmerged, still open: as items, and hour by hour as outcomes in windows. Nobody reported usage."""
    expected: Counter[tuple[str, str]] = Counter()
    hours: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for row in replayed.pulls:
        state = "completed" if row["merged_at"] else "canceled" if row["closed_at"] else "open"
        expected[row["repo"], state] += 1
        if state != "open":
            hours[hour_end(row["merged_at"] or row["closed_at"])][f"items_{state}"] += 1
    rows = select(
        replayed.system,
        "SELECT toString(team), toString(state), count() FROM work_items FINAL WHERE tenant = 'github' GROUP BY team, state",
    )
    assert {tuple(row[:2]): row[2] for row in rows} == expected
    measures = (*OUTCOMES, "items_unassisted", "requests")
    outcomes: Sums = {
        end: {**{name: held[name] for name in OUTCOMES}, "items_unassisted": held["items_completed"], "requests": 0}
        for end, held in hours.items()
    }
    found = full_hours_soon(replayed.system, "github", measures, outcomes)
    assert found == outcomes
    totals = Counter(state for _, state in expected.elements())
    print("github", totals, "windows", len(found))
    assert totals == {"completed": 3775, "canceled": 2426, "open": 921}


def test_the_comparison_of_models(replayed: Replayed) -> None:
    """Each row against the CSV; a figure only where at least 30 completed runs have what it needs."""
    models, total = replayed.facts["models"], replayed.facts["total"]
    print_comparison(models, total, "benchmarks")
    groups: defaultdict[tuple[str, ...], Table] = defaultdict(list)
    for row in replayed.runs:
        groups[row["source"], row["agent"], row["model"]].append(row)
    assert {(row["team"], row["tool"], row["model"]) for row in models} == groups.keys()
    for row in models:
        of_csv = groups[row["team"], row["tool"], row["model"]]
        qualities = Counter(map(quality, of_csv))
        known = [micro_usd(run["cost_usd"]) for run in of_csv if run["cost_usd"]]
        paid = [micro_usd(run["cost_usd"]) for run in of_csv if run["cost_usd"] and run["resolved"] == "1"]
        full = [run for run in of_csv if quality(run) == "full"]
        assert row["items"] == len(of_csv)
        assert row["completed"] == sum(run["resolved"] == "1" for run in of_csv)
        assert row["canceled"] == sum(run["resolved"] == "0" for run in of_csv)
        assert (row["unknown_items"], row["partial_items"]) == (qualities["unknown"], qualities["partial"])
        assert row["items_without_cost"] == len(of_csv) - len(known)
        assert row["cost_micro_usd"] == (sum(known) if known else None)
        assert row["known_cost_share"] == pytest.approx(len(known) / len(of_csv))
        assert row["full_request_share"] == pytest.approx(sum(map(requests, full)) / sum(map(requests, of_csv)))
        if len(paid) < 30:
            assert row["cost_per_completed_micro_usd"] is None
        else:
            assert row["cost_per_completed_micro_usd"] == pytest.approx(sum(paid) / len(paid))
        completed_full = sum(run["resolved"] == "1" for run in full)
        assert (row["standard_cost_per_completed_micro_usd"] is None) == (completed_full < 30)
    assert (total["items"], total["request_share"]) == (len(replayed.runs), 1.0)
    [(tokens, standard)] = select(
        replayed.system, "SELECT sum(tokens), sum(standard_cost_micro_usd) FROM panes FINAL WHERE tenant = 'benchmarks'"
    )
    assert (total["tokens"], total["standard_cost_micro_usd"]) == (tokens, standard)


def test_everything_verifies(replayed: Replayed) -> None:
    system = replayed.system
    totals = system.assert_records_add_up()
    events = 3 * len(replayed.runs) + sum(1 + bool(row["merged_at"] or row["closed_at"]) for row in replayed.pulls)
    assert totals == {"consumed": events, "applied": events, "duplicates": 0, "dead": 0, "missing": 0}
    report = verify(system.client, allowed_lateness_s=system.settings.allowed_lateness_s)
    print({table.table: table.rows for table in report.tables}, f"{report.seconds:.1f} s")
    assert [(table.table, table.keys) for table in report.tables if table.different] == []
    assert report.ok, report.note
    # Nobody is named in these tables, so that there are no actors; every other result has rows.
    assert {table.table for table in report.tables if not table.rows} == {"pane_actors"}


def replay(system: System, file: Path, *arguments: str) -> subprocess.Popen[str]:
    """`tokenworth replay FILE --mapping ...` against the stack."""
    mapping, *options = arguments
    return subprocess.Popen(
        [sys.executable, "-m", "streams.cli", "replay", str(file), "--mapping", mapping, *options],
        env={**os.environ, **system.stack.env, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    """Its output, once it has ended well."""
    out, err = process.communicate(timeout=PATIENCE_S)
    print(err)
    assert process.returncode == 0, err
    return out


def table(path: Path) -> Table:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def sums(rows: Table, key: Any) -> Sums:
    """What the rows of each key add up to."""
    found: defaultdict[Any, Counter[str]] = defaultdict(Counter)
    for row in rows:
        held = found[key(row)]
        held["requests"] += requests(row)
        if (how := quality(row)) != "full":
            held[f"{how}_requests"] += requests(row)
        for column, bucket in BUCKETS.items():
            held[bucket] += int(row[column] or 0)
            held["tokens"] += int(row[column] or 0)
        if how != "unknown" and row["cost_usd"]:
            held["cost_micro_usd"] += micro_usd(row["cost_usd"])
        held["items_completed" if row["resolved"] == "1" else "items_canceled"] += 1
    return {place: {name: held[name] for name in (*USAGE, *OUTCOMES)} for place, held in found.items()}


def quality(row: dict[str, str]) -> str:
    """Known in full, in part, or not at all. The costs of agent-benchmarks-runs show that its token columns are not all there is."""
    if not any(row[column] for column in BUCKETS):
        return "unknown"
    in_part = row["source"] == "agent-benchmarks-runs" or not (row["input_tokens"] and row["output_tokens"])
    return "partial" if in_part else "full"


def requests(row: dict[str, str]) -> int:
    return int(row["api_calls"] or 3)


def micro_usd(usd: str) -> int:
    return int((Decimal(usd) * 1_000_000).quantize(Decimal(1), ROUND_HALF_UP))


def hour_end(instant: str) -> int:
    """End of the hour of an instant, seconds since 1970."""
    return int(datetime.fromisoformat(instant).timestamp()) // HOUR_S * HOUR_S + HOUR_S


def full_hours_soon(system: System, tenant: str, measures: tuple[str, ...], expected: Sums) -> Sums:
    """Final windows of the tenant as a whole by their end, one for each full hour that has any; waits for revisions, which come once a minute."""
    deadline = time.monotonic() + REVISED_S
    while (found := full_hours(system, tenant, measures)) != expected and time.monotonic() < deadline:
        system.stack.check()
        time.sleep(1)
    return found


def full_hours(system: System, tenant: str, measures: tuple[str, ...]) -> Sums:
    rows = system.client.query(
        f"SELECT toInt64(toUnixTimestamp(window_end)) AS end, {', '.join(measures)} FROM value_windows FINAL "
        "WHERE tenant = {tenant:String} AND grouping = 'tenant' AND size = '1h' AND status = 'final' AND end % 3600 = 0",
        {"tenant": tenant},
    ).result_rows
    return {row[0]: dict(zip(measures, row[1:], strict=True)) for row in rows}


def select(system: System, sql: str) -> list[tuple[Any, ...]]:
    return list(system.client.query(sql).result_rows)
