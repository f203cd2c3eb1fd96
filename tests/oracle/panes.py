"""Five-minute panes: usage measures from events, outcome measures from bookings, and who contributed (DESIGN.md §6)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tests.oracle.items import Item
from tests.oracle.ledger import amounts
from tests.oracle.value import BUCKETS, Event, PriceLine, standard_cost

PANE_US = 300_000_000
ENABLING = {"review", "operate", "explore"}
MEASURES = (
    "requests",
    "failed_requests",
    "partial_requests",
    "unknown_requests",
    "unpriced_requests",
    "requests_without_cost",
    *BUCKETS,
    "reasoning_tokens",
    "tokens",
    "standard_cost_micro_usd",
    "cost_micro_usd",
    "other_cost_micro_usd",
    "unattributed_requests",
    "unattributed_tokens",
    "unattributed_standard_cost_micro_usd",
    "enabling_requests",
    "enabling_tokens",
    "enabling_standard_cost_micro_usd",
    "repeated_prompts",
    "items_completed",
    "items_assisted",
    "items_assisted_unknown",
    "items_lightly_assisted",
    "items_unassisted",
    "items_closed_without_work",
    "items_reopened",
    "items_canceled",
    "value_credited_milli",
    "value_debited_milli",
    "assisted_value_credited_milli",
    "assisted_value_debited_milli",
    "matched_tokens_credited",
    "matched_tokens_debited",
    "matched_standard_cost_micro_usd_credited",
    "matched_standard_cost_micro_usd_debited",
    "abandoned_tokens_booked",
    "abandoned_tokens_reversed",
    "abandoned_standard_cost_micro_usd_booked",
    "abandoned_standard_cost_micro_usd_reversed",
)

Measures = dict[str, int]
"""Measures that are not 0; the absent ones are."""


class PaneKey(NamedTuple):
    """Identity of a pane. `start` is the microsecond at which it begins; usage has work_class ''."""

    tenant: str
    team: str
    tool: str
    model: str
    work_class: str
    start: int


def canonical_key(event: Event) -> str:
    """The Kafka key of an event (DESIGN.md §4)."""
    if event.get("work_item_id"):
        return f"{event['tenant']}/{event['work_item_id']}"
    if event.get("session_id"):
        return f"{event['tenant']}/session:{event['session_id']}"
    return f"{event['tenant']}/event:{event['event_id']}"


def pane_of(event: Event) -> PaneKey:
    """The pane that a usage event belongs to."""
    start = event["occurred_at"] // PANE_US * PANE_US
    return PaneKey(event["tenant"], event["team"], event["tool"], event["model"], "", start)


def _usage_measures(event: Event, prices: Sequence[PriceLine]) -> Measures:
    """What one usage event adds to its pane, but for repeated prompts."""
    requests = event["requests"]
    found = amounts(event, prices)
    without_item = ""
    if not event["work_item_id"]:
        without_item = "enabling" if event["activity"] in ENABLING else "unattributed"
    counted = {
        "requests": True,
        "failed_requests": event["status"] != "ok",
        "partial_requests": event["usage_quality"] == "partial",
        "unknown_requests": event["usage_quality"] == "unknown",
        "unpriced_requests": standard_cost(event, prices)[1],
        "requests_without_cost": event["cost_micro_usd"] is None,
        "unattributed_requests": without_item == "unattributed",
        "enabling_requests": without_item == "enabling",
    }
    measures = {name: requests for name, holds in counted.items() if holds} | found
    if without_item:
        measures[f"{without_item}_tokens"] = found["tokens"]
        measures[f"{without_item}_standard_cost_micro_usd"] = found["standard_cost_micro_usd"]
    return measures


def panes(usage: Sequence[Event], items: Iterable[Item], prices: Sequence[PriceLine]) -> dict[PaneKey, Measures]:
    """Every pane that has a measure other than 0."""
    sums: dict[PaneKey, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for event in usage:
        for name, amount in _usage_measures(event, prices).items():
            sums[pane_of(event)][name] += amount
    prompts: dict[PaneKey, set[tuple[str, str, str]]] = defaultdict(set)
    for event in usage:
        if event["prompt_fingerprint"]:
            prompts[pane_of(event)].add((canonical_key(event), event["actor"], event["prompt_fingerprint"]))
            sums[pane_of(event)]["repeated_prompts"] += event["requests"]
    for key, distinct in prompts.items():
        sums[key]["repeated_prompts"] -= len(distinct)
    for item in items:
        for booking in item.bookings:
            start = booking.at // PANE_US * PANE_US
            key = PaneKey(item.tenant, booking.team, booking.tool, booking.model, booking.work_class, start)
            for name, amount in booking.measures.items():
                sums[key][name] += amount
    return {key: kept for key, found in sums.items() if (kept := {name: n for name, n in found.items() if n})}


def contributors(usage: Iterable[Event]) -> dict[PaneKey, set[str]]:
    """The actors of each usage pane; an empty actor is nobody."""
    actors: dict[PaneKey, set[str]] = defaultdict(set)
    for event in usage:
        if event["actor"]:
            actors[pane_of(event)].add(event["actor"])
    return dict(actors)
