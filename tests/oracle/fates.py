"""Where the tokens of each day ended, by the present state of their work items (VALUE.md §1, §8)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tests.oracle.items import AFTER_CLOSE_DAYS, Item
from tests.oracle.ledger import DAY_US, Line, LineKey, amounts
from tests.oracle.panes import ENABLING
from tests.oracle.value import Event, PriceLine

STALLED_DAYS = 28


class FateKey(NamedTuple):
    """A share of a team's day. `day` counts days since 1970-01-01 UTC."""

    tenant: str
    team: str
    day: int
    fate: str


def fate_of(line: LineKey, item: Item | None, watermark: int) -> str:
    """The fate of a ledger line: the first that holds."""
    if item is None:
        return "unknown_item"
    if item.state == "canceled":
        late = line.day > item.canceled_at // DAY_US + AFTER_CLOSE_DAYS
        return "after_close" if late else "canceled"
    if item.state == "completed" and line.day > item.completed_at // DAY_US + AFTER_CLOSE_DAYS:
        return "after_close"
    if item.verdict.kind in {"container", "evidence", "closed_without_work"}:
        return "excluded"
    if item.state == "completed":
        return item.verdict.work_class
    last_at = max(item.last_event_at, item.last_usage_at)
    return "stalled" if last_at < watermark - STALLED_DAYS * DAY_US else "in_flight"


def fates(
    usage: Iterable[Event],
    lines: Mapping[LineKey, Line],
    items: Mapping[tuple[str, str], Item],
    prices: Sequence[PriceLine],
    watermark: int,
) -> dict[FateKey, dict[str, int]]:
    """Requests, tokens and standard cost of each fate; together they are the day's usage."""
    sums: dict[FateKey, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for key, line in lines.items():
        fate = fate_of(key, items.get((key.tenant, key.work_item_id)), watermark)
        for name in ("requests", "tokens", "standard_cost_micro_usd"):
            sums[FateKey(key.tenant, key.team, key.day, fate)][name] += line.measures[name]
    for event in usage:
        if not event["work_item_id"]:
            fate = "enabling" if event["activity"] in ENABLING else "unattributed"
            found = sums[FateKey(event["tenant"], event["team"], event["occurred_at"] // DAY_US, fate)]
            found["requests"] += event["requests"]
            for name in ("tokens", "standard_cost_micro_usd"):
                found[name] += amounts(event, prices)[name]
    return {key: dict(found) for key, found in sums.items()}
