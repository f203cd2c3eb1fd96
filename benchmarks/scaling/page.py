"""The tables of docs/scaling.md, between marks; the prose around them is written by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Final

from benchmarks.render import between
from benchmarks.scaling.costs import Assumed, Costs
from benchmarks.scaling.plan import RATES, TABLES, Limit, Plan, groups_of, limits, pane_use, plan

SECTIONS: Final = ("costs", "assumed", "needs", "stored", "limits", "decades")
_DAY_RATE: Final = RATES[3]


def write(page: str, costs: Costs, assumed: Assumed) -> str:
    """The page with all tables made anew."""
    for name, lines in tables(costs, assumed).items():
        page = between(
            page,
            f"<!-- {name}, written by `python -m benchmarks.scaling` -->",
            "\n".join(lines),
            f"<!-- end of {name} -->",
        )
    return page


def tables(costs: Costs, assumed: Assumed) -> dict[str, list[str]]:
    """Markdown lines by section."""
    plans, found = [plan(rate, costs, assumed) for rate in RATES], limits(costs, assumed)
    return dict(
        zip(
            SECTIONS,
            (_costs(costs), _assumed(assumed), _needs(plans), _stored(plans), _limits(found), _decades(found)),
            strict=True,
        )
    )


def _costs(costs: Costs) -> list[str]:
    identities, lines = costs.of["identities in memory"], costs.of["ledger lines in memory"]
    rows = [
        ("the whole worker", f"{costs.worker_us:.1f} µs / event", "quick.json: `worker`, end to end"),
        ("overhead of the worker over its stages", f"x {costs.overhead:.2f}", "quick.json over stages.json: event loop, fetching, inserting, packing"),
        ("join", f"{costs.join_us:.1f} µs / event", "stages.json: read, decode, apply, cut, rows, times the overhead"),
        ("windows of one tenant", f"{costs.windows_cores:.2f} cores", "growth.json: `groups`, times the overhead"),
        ("window rows of one tenant", f"{figure(costs.windows_per_s)} / s", "growth.json: `groups`"),
        ("alerts of one tenant", f"{costs.alert_cores:.3f} cores", "growth.json: `groups`, times the overhead"),
        ("identities", f"{identities['rows']:.2f} / event, {costs.identity_bytes:.1f} bytes", "growth.json: `bytes`, `horizon`"),
        ("ledger lines", f"{lines['rows']:.4f} / event, {costs.line_bytes:.0f} bytes", "growth.json: `bytes`, `items`"),
        ("a pane that windows hold", f"{costs.pane_row_bytes:.0f} bytes", "growth.json: `groups`, resident"),
        ("a person in a pane", f"{costs.actor_row_bytes:.0f} bytes", "growth.json: `groups`, resident"),
        ("ClickHouse, a row of usage_events", f"{costs.server_us('usage_events'):.1f} µs", "growth.json: `bytes`, CPU of the server, merged"),
        ("ClickHouse, an insert", f"{costs.insert_us / 1000:.1f} ms", "growth.json: `bytes`, one row an insert"),
        ("take-over", f"{costs.take_over_us:.2f} µs / identity", "growth.json: `recovery`"),
        ("latency of a window, default settings", f"p99 {costs.latency_p99_s:.1f} s", "latency.json"),
    ]  # fmt: skip
    return ["| unit | cost | from |", "|---|--:|---|", *(f"| {' | '.join(row)} |" for row in rows)]


_MEANING: Final = {
    "events_per_s": "events that a tenant makes every second of the day",
    "teams": "teams of a tenant",
    "people": "people of a team",
    "horizon_days": "`horizon_days`, the default",
    "busy": "share of a core, of memory and of a network that is planned with",
    "worker_memory_gb": "memory of a machine with workers, GB",
    "server_cores": "cores of a ClickHouse",
    "server_disk_tb": "disk of a ClickHouse, TB, for 30 days",
    "replicas": "copies of a record in Kafka",
    "flush_interval_s": "`flush_interval_s`, the default",
    "network_gbit": "network of a broker, Gbit/s",
}


def _assumed(assumed: Assumed) -> list[str]:
    used, people = pane_use(assumed)
    rows = [f"| {_MEANING[field.name]} | {getattr(assumed, field.name):,} |" for field in fields(assumed)]
    return [
        "| assumption | |", "|---|--:|", *rows,
        f"| series of a tenant (team, tool, model) | {assumed.series:,} |",
        f"| groups of a tenant | {groups_of(assumed):,} |",
        f"| share of their panes that hold an event, people in one | {used:.0%}, {people:.1f} |",
    ]  # fmt: skip


def _needs(plans: list[Plan]) -> list[str]:
    rows: list[tuple[str, Callable[[Plan], str]]] = [
        ("tenants", lambda p: figure(p.tenants)),
        ("partitions", lambda p: figure(p.partitions)),
        ("join workers (busy cores)", lambda p: f"{p.join_workers:,} ({figure(p.join_cores)})"),
        ("window workers (busy cores)", lambda p: f"{p.windows_workers:,} ({figure(p.windows_cores)})"),
        ("alert workers (busy cores)", lambda p: f"{p.alert_workers:,} ({figure(p.alert_cores)})"),
        ("memory of identities", lambda p: size(p.identities_gb * 1e9)),
        ("memory of the ledger", lambda p: size(p.ledger_gb * 1e9)),
        ("memory of windows", lambda p: size(p.windows_gb * 1e9)),
        ("of one window worker", lambda p: size(p.windows_gb * 1e9 / p.windows_workers)),
        ("items in a partition's horizon", lambda p: figure(p.items_per_partition)),
        ("CPU to take over a join worker", lambda p: f"{figure(p.take_over_s)} s"),
        ("input to Kafka", lambda p: f"{size(p.input_bytes_per_s)}/s"),
        ("Kafka, all topics and copies", lambda p: f"{size(p.kafka_bytes_per_s)}/s"),
        ("inserts into ClickHouse", lambda p: f"{figure(p.inserts_per_s)} / s"),
        ("rows into ClickHouse", lambda p: f"{figure(sum(t.inserted_per_s for t in p.tables.values()))} / s"),
        ("bytes into ClickHouse (Arrow)", lambda p: f"{size(sum(t.inserted_bytes_per_s for t in p.tables.values()))}/s"),
        ("ClickHouse servers (busy cores)", lambda p: f"{p.shards:,} ({figure(p.server_cores)})"),
        ("stored a day", lambda p: size(sum(t.stored_bytes_per_day for t in p.tables.values()))),
    ]  # fmt: skip
    return [
        *_head("events / s", plans),
        *(f"| {title} | {' | '.join(cell(p) for p in plans)} |" for title, cell in rows),
    ]


def _stored(plans: list[Plan]) -> list[str]:
    rows = [
        f"| {name} | {' | '.join(f'{size(p.tables[name].stored_bytes_per_day)}, {figure(p.tables[name].inserted_per_s)} / s' for p in plans)} |"
        for name in TABLES
    ]
    return [*_head("stored a day, rows inserted", plans), *rows]


def _limits(found: list[Limit]) -> list[str]:
    rows = [f"| {limit.what} | {figure(limit.full_at)} | {limit.turn} |" for limit in found]
    return ["| one of | full at events / s | what to turn |", "|---|--:|---|", *rows]


def _decades(found: list[Limit]) -> list[str]:
    lines = ["| up to events / s | first bottleneck | and then |", "|--:|---|---|"]
    for power in (3, 4, 5, 6):
        least = 0.0 if power == 3 else 10 ** (power - 1)
        passed = [limit for limit in found if least < limit.full_at <= 10**power]
        first = f"{passed[0].what}, from {figure(passed[0].full_at)}" if passed else "none"
        then = "; ".join(f"{limit.what}, from {figure(limit.full_at)}" for limit in passed[1:])
        lines.append(f"| {10**power:,} | {first} | {then} |")
    return lines


def _head(title: str, plans: list[Plan]) -> list[str]:
    rates = [f"{p.rate:,}" + (" (10^10 a day)" if p.rate == _DAY_RATE else "") for p in plans]
    return [f"| {title} | {' | '.join(rates)} |", "|---|" + "--:|" * len(plans)]


def figure(value: float) -> str:
    """Three digits that count."""
    if isinstance(value, int):
        return f"{value:,}"
    if value == 0 or math.isinf(value):
        return "never" if value else "0"
    digits = 2 - math.floor(math.log10(abs(value)))
    return f"{round(value, digits):,.{max(digits, 0)}f}"


def size(count: float) -> str:
    """Bytes, in decimal units."""
    for unit, letters in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{figure(count / unit)} {letters}"
    return f"{figure(count)} B"
