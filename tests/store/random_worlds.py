"""Small adversarial worlds from a seed: the same choices as tests.strategies.worlds, drawn without hypothesis, which is too slow for thousands."""

from __future__ import annotations

import random
from typing import Any

from tests.strategies import (
    AMOUNTS,
    COSTS,
    DAY_0,
    DAY_US,
    DAYS,
    KINDS,
    LABEL_LISTS,
    LINK_TYPES,
    MOMENTS,
    PLACES,
    SIZES,
    TOOL_MODELS,
    TYPES,
    Event,
    World,
    item_event,
    usage_event,
)

TENANTS = ("acme", "acme", "acme", "zeta")


def random_world(rng: random.Random, max_usage: int = 8, max_items: int = 10) -> World:
    """One world; half of them are about one item of one tenant."""
    one_item = rng.random() < 0.5
    usage = [_usage(rng, one_item) for _ in range(rng.randint(0, max_usage))]
    items = [_item(rng, one_item) for _ in range(rng.randint(0, max_items))]
    for prefix, events in (("u", usage), ("w", items)):
        ids = rng.sample(range(100), len(events))
        events[:] = [event | {"event_id": f"{prefix}{number:02d}"} for event, number in zip(events, ids, strict=True)]
        if events:
            events += [dict(rng.choice(events)) for _ in range(rng.randint(0, 2))]
    return World(usage, items, max((event["occurred_at"] for event in (*usage, *items)), default=DAY_0 * DAY_US))


def _when(rng: random.Random) -> int:
    return (DAY_0 + rng.choice(DAYS)) * DAY_US + rng.choice(MOMENTS)


def _usage(rng: random.Random, one_item: bool) -> Event:
    tool, model = rng.choice(TOOL_MODELS)
    place: Event = rng.choice(PLACES)
    if one_item and place.get("work_item_id"):
        place = {"work_item_id": "I-1"}
    changes: dict[str, Any] = {
        "tenant": "acme" if one_item else rng.choice(TENANTS),
        "team": rng.choice(("pay", "pay", "ads", "")),
        "actor": rng.choice(("a1", "a2", "")),
        "usage_quality": rng.choice(("full", "full", "full", "partial", "unknown")),
        "tool": tool,
        "model": model,
    }
    return usage_event("", _when(rng), **(rng.choice(AMOUNTS) | rng.choice(COSTS) | place | changes))


def _item(rng: random.Random, one_item: bool) -> Event:
    linked = rng.random() < 0.25
    changes: dict[str, Any] = {
        "tenant": "acme" if one_item else rng.choice(TENANTS),
        "work_item_id": "I-1" if one_item else rng.choice(("I-1", "I-1", "I-1", "I-2")),
        "team": rng.choice(("", "", "pay", "ads", "big")),
        "item_type": rng.choice(TYPES),
        "labels": list(rng.choice(LABEL_LISTS)),
        "size_milli": rng.choice(SIZES),
        "parent_id": rng.choice((None, None, "E-1", "E-2")),
    }
    if linked:
        changes |= {"link_type": rng.choice(LINK_TYPES), "link_value": rng.choice(("I-9", "I-9", "I-1", "I-2", None))}
    return item_event("", _when(rng), "linked" if linked else rng.choice(KINDS), **changes)
