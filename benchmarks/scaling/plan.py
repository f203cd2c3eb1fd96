"""What a rate of events comes to, and the rates at which one of something is full."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from benchmarks.growth.grouping import MODELS, TOOLS
from benchmarks.scaling.costs import Assumed, Costs
from streams.agents.join import EARLY, EARLY_ROWS
from streams.config import USAGE_TOPIC
from streams.join.partition import MOST_ITEMS

DAY_S: Final = 86_400
RATES: Final = (1_000, 10_000, 100_000, 10_000_000_000 // DAY_S, 1_000_000)
"""Events per second; the one in between is 10^10 events a day."""
MOST_PARTITIONS: Final = 1_024
"""What the setting `partitions` allows."""
DEFAULT_PARTITIONS: Final = 4
PANES_PER_DAY: Final = 288
DAYS_OF_WINDOWS: Final = 28
LONGER: Final = 1 / 12 + 1 / 72 + 1 / 288
"""Rows in the longer three slides for each row in the shortest, where every pane is used."""
WINDOWS_PER_DAY: Final = 288 + 24 + 4 + 1
TABLES: Final = (
    "usage_events",
    "work_item_events",
    "work_item_usage",
    "work_items",
    "panes",
    "pane_actors",
    "value_windows",
    "duplicates",
)
INSERTS_PER_FLUSH: Final = 7
"""Tables that a flush of a join worker writes, the checkpoint included; dead letters are rare."""
INSERTS_PER_STEP: Final = 2
"""Windows and their checkpoint, of each partition of pane-updates that has a tenant."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that are inserted in a second, rows that stay of a day, bytes of both."""

    inserted_per_s: float
    stored_per_day: float
    inserted_bytes_per_s: float
    stored_bytes_per_day: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What `rate` events a second need. Cores are busy ones, workers are processes that are half busy."""

    rate: int
    tenants: int
    join_cores: float
    windows_cores: float
    alert_cores: float
    join_workers: int
    windows_workers: int
    alert_workers: int
    partitions: int
    input_bytes_per_s: float
    kafka_bytes_per_s: float
    identities_gb: float
    ledger_gb: float
    windows_gb: float
    items_per_partition: float
    take_over_s: float
    """CPU of the largest part of it: the identities of a join worker that ends, read by one other."""
    inserts_per_s: float
    server_cores: float
    shards: int
    tables: dict[str, Table]


def plan(rate: int, costs: Costs, assumed: Assumed) -> Plan:
    """As many tenants of Assumed as make the rate."""
    tenants = max(rate // assumed.events_per_s, 1)
    join_cores, windows_cores, alert_cores = (
        rate * costs.join_us / 1e6, tenants * costs.windows_cores, tenants * costs.alert_cores,
    )  # fmt: skip
    horizon_s = assumed.horizon_days * DAY_S
    identities = rate * horizon_s * costs.of["identities in memory"]["rows"] * costs.identity_bytes
    ledger = rate * horizon_s * costs.of["ledger lines in memory"]["rows"] * costs.line_bytes
    per_worker = 1e9 * assumed.worker_memory_gb * assumed.busy
    join_workers = max(math.ceil(join_cores / assumed.busy), math.ceil((identities + ledger) / per_worker))
    partitions = max(DEFAULT_PARTITIONS, 2 ** math.ceil(math.log2(2 * join_workers)))
    windows = tenants * windows_bytes(partitions, costs, assumed)
    windows_workers = min(max(math.ceil(windows_cores / assumed.busy), math.ceil(windows / per_worker)), tenants)
    flush_s = flush_every_s(rate / join_workers, assumed)
    tables = {name: _table(name, rate, tenants, partitions, flush_s, costs, assumed) for name in TABLES}
    items_per_s = rate * costs.of["work_items"]["stored_rows"]
    inserts = join_workers * INSERTS_PER_FLUSH / flush_s + min(tenants, partitions) * INSERTS_PER_STEP
    server_cores = (
        inserts * costs.insert_us + sum(table.inserted_per_s * costs.server_us(name) for name, table in tables.items())
    ) / 1e6
    input_bytes = rate * costs.of[f"topic {USAGE_TOPIC}"]["bytes"]
    stored = sum(table.stored_bytes_per_day for table in tables.values())
    return Plan(
        rate=rate, tenants=tenants, join_cores=join_cores, windows_cores=windows_cores, alert_cores=alert_cores,
        join_workers=join_workers, windows_workers=max(windows_workers, 1),
        alert_workers=max(math.ceil(alert_cores / assumed.busy), 1), partitions=partitions,
        input_bytes_per_s=input_bytes,
        kafka_bytes_per_s=assumed.replicas * (input_bytes + _own_bytes(rate, tenants, costs)),
        identities_gb=identities / 1e9, ledger_gb=ledger / 1e9, windows_gb=windows / 1e9,
        items_per_partition=items_per_s * horizon_s / partitions,
        take_over_s=identities / costs.identity_bytes / join_workers * costs.take_over_us / 1e6,
        inserts_per_s=inserts, server_cores=server_cores,
        shards=max(math.ceil(server_cores / (assumed.server_cores * assumed.busy)), math.ceil(30 * stored / (1e12 * assumed.server_disk_tb))),
        tables=tables,
    )  # fmt: skip


def _own_bytes(rate: int, tenants: int, costs: Costs) -> float:
    """Bytes per second that the agents tell each other, and work-item events."""
    items = costs.of["topic work-item-events"]
    updates = rate * costs.of["topic pane-updates"]["bytes"]
    return rate * items["rows"] * items["bytes"] + updates + tenants * costs.told_per_s * costs.told_bytes


def groups_of(assumed: Assumed) -> int:
    """Groups of a tenant that have usage: teams by tool, by model and alone, and the same of the tenant."""
    return (assumed.teams + 1) * (TOOLS + MODELS + 1)


def pane_use(assumed: Assumed) -> tuple[float, float]:
    """Share of the panes of a series that hold an event, and people in one, if events fall evenly."""
    events = assumed.events_per_s * 300 / assumed.series
    return 1 - math.exp(-events), assumed.people * (1 - math.exp(-events / assumed.people))


def shares_of(partitions: int, assumed: Assumed) -> float:
    """Input partitions that have a share of a pane: those of the items that its people work on, one each."""
    return partitions * (1 - math.exp(-pane_use(assumed)[1] / partitions))


def window_rows_held(partitions: int, assumed: Assumed) -> tuple[float, float]:
    """Rows of panes and of people that the window agent holds for a tenant: 28 days for the longest window, and the horizon."""
    used, people = pane_use(assumed)
    panes = assumed.series * PANES_PER_DAY * (DAYS_OF_WINDOWS + assumed.horizon_days) * used
    return panes * (shares_of(partitions, assumed) + LONGER), panes * people * (1 + LONGER)


def windows_bytes(partitions: int, costs: Costs, assumed: Assumed) -> float:
    """Memory of these rows."""
    panes, people = window_rows_held(partitions, assumed)
    return panes * costs.pane_row_bytes + people * costs.actor_row_bytes


def flush_every_s(rate: float, assumed: Assumed) -> float:
    """Time between the flushes of a worker at its rate: the interval, or what brings enough rows, a third of it at least."""
    return min(assumed.flush_interval_s, max(EARLY * assumed.flush_interval_s, EARLY_ROWS / rate))


def _table(
    name: str, rate: int, tenants: int, partitions: int, flush_s: float, costs: Costs, assumed: Assumed
) -> Table:
    found, a_day = costs.of[name], rate * DAY_S
    inserted, stored = rate * found["rows"], a_day * found["stored_rows"]
    used, people = pane_use(assumed)
    panes = tenants * assumed.series * PANES_PER_DAY * used
    if name == "work_item_usage":
        inserted = rate * 1.0  # a flush a second: events of one tenant's teams hardly share a line within it
    elif name == "panes":
        shares = assumed.series * used * shares_of(partitions, assumed)
        changed = shares * (1 - math.exp(-assumed.events_per_s * flush_s / shares))
        inserted, stored = tenants * changed / flush_s, panes * shares_of(partitions, assumed)
    elif name == "pane_actors":
        inserted, stored = panes * people / DAY_S, panes * people
    elif name == "value_windows":
        inserted, stored = tenants * costs.windows_per_s, tenants * groups_of(assumed) * WINDOWS_PER_DAY
    return Table(inserted, stored, inserted * found["insert_bytes"], stored * found["bytes"])


# --- what is full first -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Limit:
    """One of something that is full at a rate of events per second, and what to turn then."""

    what: str
    full_at: float
    turn: str


def limits(costs: Costs, assumed: Assumed) -> list[Limit]:
    """The one that is full first comes first."""
    one = plan(RATES[0], costs, assumed)
    memory, machine = assumed.worker_memory_gb * assumed.busy, f"machine of {assumed.worker_memory_gb} GB"
    join_rate = _full_at(assumed.busy, one.join_cores, one)
    stored = sum(table.stored_bytes_per_day for table in one.tables.values())
    items = one.items_per_partition * one.partitions
    all_cores = one.join_cores + one.windows_cores + one.alert_cores
    apart = "a ClickHouse for each part of the tenants"
    found = [
        ("one worker with all agents, half a core", _full_at(assumed.busy, all_cores, one), "`agents`: a process for each agent, then more of them"),
        ("a join worker, half a core", join_rate, "more join workers, as long as there are partitions"),
        (f"{DEFAULT_PARTITIONS} partitions, a worker each", DEFAULT_PARTITIONS * join_rate, "`partitions` at the first `init`; later `rebuild --repartition`"),
        (f"{MOST_PARTITIONS:,} partitions, two a worker", MOST_PARTITIONS / 2 * join_rate, "a second installation for a part of the tenants"),
        (f"identities of {assumed.horizon_days} days in a {machine}", _full_at(memory, one.identities_gb, one), "`horizon_days`, or join workers on more machines"),
        (f"windows in a {machine}", _full_at(memory, one.windows_gb, one), "window workers on more machines; a tenant stays in one"),
        ("a window worker, half a core", _full_at(assumed.busy, one.windows_cores, one), "more window workers; a tenant stays in one"),
        ("an alert worker, half a core", _full_at(assumed.busy, one.alert_cores, one), "more alert workers"),
        (f"a ClickHouse of {assumed.server_cores} cores, half busy", _full_at(assumed.server_cores * assumed.busy, one.server_cores, one), f"`flush_interval_s`, then {apart}"),
        (f"30 days in {assumed.server_disk_tb} TB", _full_at(1e12 * assumed.server_disk_tb / 30, stored, one), f"a TTL on `usage_events`, or {apart}"),
        (f"{MOST_ITEMS:,} items a partition, {DEFAULT_PARTITIONS} partitions", _full_at(DEFAULT_PARTITIONS * MOST_ITEMS, items, one), "`partitions`; beyond it, items come from ClickHouse when a record names them"),
        (f"{assumed.network_gbit} Gbit/s at one broker, half used", _full_at(assumed.network_gbit / 8 * 1e9 * assumed.busy, one.kafka_bytes_per_s, one), "more brokers"),
    ]  # fmt: skip
    return sorted((Limit(*limit) for limit in found), key=lambda limit: limit.full_at)


def _full_at(capacity: float, needed: float, of: Plan) -> float:
    """Events per second at which a capacity is used up, of which a plan needs so much."""
    return of.rate * capacity / needed if needed else math.inf
