"""The ledger: usage of each work item by (usage day, team, tool, model) (DESIGN.md §2, §4). Token counts; micro-USD."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.oracle.value import BUCKETS, Event, PriceLine, standard_cost

DAY_US = 86_400_000_000
LINE_MEASURES = (
    "requests",
    "known_requests",
    "incomplete_events",
    *BUCKETS,
    "reasoning_tokens",
    "tokens",
    "standard_cost_micro_usd",
    "cost_micro_usd",
    "other_cost_micro_usd",
)


class LineKey(NamedTuple):
    """Identity of a line. `day` counts days since 1970-01-01 UTC."""

    tenant: str
    work_item_id: str
    day: int
    team: str
    tool: str
    model: str


@dataclass
class Line:
    """Sums over the usage events of one line; `last_at` is the time of the latest."""

    last_at: int = 0
    measures: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LINE_MEASURES, 0))


def first_of_each_id(events: Iterable[Event]) -> list[Event]:
    """The events without repeats: of one (tenant, event_id) the first in offset order stays."""
    seen: set[tuple[str, str]] = set()
    kept = []
    for event in events:
        identity = (event["tenant"], event["event_id"])
        if identity not in seen:
            seen.add(identity)
            kept.append(event)
    return kept


def amounts(event: Event, prices: Sequence[PriceLine]) -> dict[str, int]:
    """Tokens and money of one usage event, all 0 when its usage is unknown."""
    known = event["usage_quality"] != "unknown"
    cost = (event["cost_micro_usd"] or 0) if known else 0
    billed = event["cost_basis"] == "billed"
    found = {bucket: event[bucket] if known else 0 for bucket in BUCKETS}
    found["tokens"] = sum(found.values())
    found["reasoning_tokens"] = event["reasoning_tokens"] if known else 0
    found["standard_cost_micro_usd"] = standard_cost(event, prices)[0]
    found["cost_micro_usd"] = cost if billed else 0
    found["other_cost_micro_usd"] = 0 if billed else cost
    return found


def ledger(usage: Iterable[Event], prices: Sequence[PriceLine]) -> dict[LineKey, Line]:
    """Every line of the usage that names a work item."""
    lines: dict[LineKey, Line] = {}
    for event in usage:
        if not event["work_item_id"]:
            continue
        day = event["occurred_at"] // DAY_US
        key = LineKey(event["tenant"], event["work_item_id"], day, event["team"], event["tool"], event["model"])
        line = lines.setdefault(key, Line())
        line.last_at = max(line.last_at, event["occurred_at"])
        line.measures["requests"] += event["requests"]
        line.measures["known_requests"] += event["requests"] if event["usage_quality"] != "unknown" else 0
        line.measures["incomplete_events"] += event["usage_quality"] != "full"
        for name, amount in amounts(event, prices).items():
            line.measures[name] += amount
    return lines
