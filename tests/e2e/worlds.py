"""Many small adversarial worlds as one log: each in tenants of its own, moved to recent times, spread over the run with late and repeated events."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from hypothesis import HealthCheck, Phase, given, settings

from streams.events.usage import UsageEvent
from streams.events.work_item import WorkItemEvent
from tests.oracle.items import size_of
from tests.strategies import DAY_0, DAY_US, DAYS, Event, World, worlds

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Log(NamedTuple):
    """Events in the order in which they are published."""

    usage: list[Event]
    items: list[Event]


def recent_log(count: int, seed: int) -> Log:
    """`count` worlds whose last day is the one before yesterday; the same for the same seed and day."""
    today = int(time.time()) // 86_400
    shift = (today - 2 - max(DAYS) - DAY_0) * DAY_US
    rng = random.Random(seed)
    usage: list[Event] = []
    items: list[Event] = []
    for number, world in enumerate(_sample(count)):
        for events, out in ((world.usage, usage), (world.items, items)):
            out += [_moved(event, number, shift) for event in events]
    for events in (usage, items):
        events += [dict(event) for event in rng.sample(events, len(events) // 10)]
        rng.shuffle(events)
    return Log(usage, items)


def usage_events(events: Iterable[Event]) -> list[UsageEvent]:
    """As a platform team would publish them."""
    return [UsageEvent(**_typed(event)) for event in events]


def work_item_events(events: Iterable[Event]) -> list[WorkItemEvent]:
    """Likewise; a size that is none is left out."""
    return [
        WorkItemEvent(**_typed(event) | {"size_milli": size_of(event) or None, "labels": tuple(event["labels"])})
        for event in events
    ]


def _sample(count: int) -> list[World]:
    found: list[World] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(worlds(max_usage=12, max_items=12))
    def collect(world: World) -> None:
        found.append(world)

    collect()
    return found


def _moved(event: Event, number: int, shift: int) -> Event:
    moved = event | {"tenant": f"{event['tenant']}-{number}", "occurred_at": event["occurred_at"] + shift}
    if moved["actor"]:
        moved["actor"] = f"person:{moved['actor'].encode().hex():0>16}"
    return {name: None if value == "" and name.endswith(("_id", "_value")) else value for name, value in moved.items()}


def _typed(event: Event) -> Event:
    return event | {"occurred_at": EPOCH + timedelta(microseconds=event["occurred_at"])}
