"""What is published in a run: a small adversarial world as wire bytes, late, repeated, with records that cannot be read."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from streams.config import ITEMS_TOPIC, USAGE_TOPIC
from streams.events.encode import encode
from streams.events.keys import partition_of, usage_key, work_item_key
from streams.events.schemas import EventName, shipped_id
from streams.windows.measures import DAY_US, HOUR_US, PANE_US
from tests.store.random_worlds import random_world
from tests.strategies import Event, usage_event

EVENT_NAMES: dict[str, EventName] = {USAGE_TOPIC: "usage_event", ITEMS_TOPIC: "work_item_event"}


@dataclass(frozen=True, slots=True)
class Publication:
    """One record to publish. `event` None: it cannot be applied. `value` None: an offset without a record."""

    topic: str
    key: bytes
    value: bytes | None
    event: Event | None
    partition: int | None = None


def publications(rng: random.Random, now_us: int, partitions: int) -> list[Publication]:
    """In the order in which they are published; occurred about `now_us`, most within hours, some days ago."""
    many = rng.choice((2, 4, 10))
    world = random_world(rng, many, many)
    moments = _moments(rng, now_us)
    out: list[Publication] = []
    for topic, events in ((USAGE_TOPIC, world.usage), (ITEMS_TOPIC, world.items)):
        times = {event["event_id"]: rng.choice(moments) for event in events}
        out += [_good(topic, _typed(event) | {"occurred_at": times[event["event_id"]]}) for event in events]
    rng.shuffle(out)
    if rng.random() < 0.4:
        out.sort(key=lambda one: one.event["occurred_at"] if one.event else 0)
    for _ in range(rng.choice((0, 0, 1, 3)) if out else 0):
        out.insert(rng.randrange(len(out) + 1), _bad(rng, rng.choice(out), now_us, partitions))
    if rng.random() < 0.15:
        out = _runaway(rng, now_us) + out
    for _ in range(rng.choice((0, 1, 3)) if out else 0):  # repeats, some of them long after the first
        again = rng.choice(out)
        out.insert(rng.randrange(out.index(again) + 1, len(out) + 1), again)
    return out


def _moments(rng: random.Random, now_us: int) -> list[int]:
    """A few times, so that events share panes; now and then some beyond the horizon of a day, or beyond the panes that window agents keep."""
    hours = now_us // HOUR_US
    near = [(hours - rng.choice((0, 1, 1, 2))) * HOUR_US + rng.choice((0, 1, PANE_US - 1, PANE_US)) for _ in range(3)]
    far = [(hours - 24 * rng.choice((2, 3, 45)) - 5) * HOUR_US + rng.choice((0, 7))] if rng.random() < 0.3 else []
    return [min(moment, now_us) for moment in (near[:1] + far if far else near)]


def _good(topic: str, event: Event) -> Publication:
    if topic == USAGE_TOPIC:
        key = usage_key(event["tenant"], event["event_id"], event["work_item_id"], event["session_id"])
    else:
        key = work_item_key(event["tenant"], event["work_item_id"])
    return Publication(topic, key.encode(), _value(topic, event), event)


def renamed(one: Publication, suffix: str) -> Publication:
    """The same event under another id; a record that cannot be applied stays as it is."""
    if one.event is None:
        return one
    return _good(one.topic, one.event | {"event_id": f"{one.event['event_id']}{suffix}"})


def _value(topic: str, event: Event) -> bytes:
    return encode(EVENT_NAMES[topic], event, shipped_id(EVENT_NAMES[topic]))


def _bad(rng: random.Random, like: Publication, now_us: int, partitions: int) -> Publication:
    kind = rng.choice(("hole", "damaged", "too early", "wrong partition"))
    if kind == "hole" or like.event is None:
        return Publication(like.topic, like.key, None, None)
    if kind == "too early":
        return Publication(
            like.topic, like.key, _value(like.topic, like.event | {"occurred_at": now_us + DAY_US}), None
        )
    if kind == "wrong partition" and partitions > 1:
        foreign = (partition_of(like.key.decode(), partitions) + 1) % partitions
        return Publication(like.topic, like.key, like.value, None, foreign)
    assert like.value is not None
    return Publication(like.topic, like.key, like.value[: rng.randrange(len(like.value))], None)


def _runaway(rng: random.Random, now_us: int) -> list[Publication]:
    """A team with a past, and an hour that costs far more than any before: the alert engine has something to tell."""
    hours = now_us // HOUR_US
    tenant = rng.choice(("acme", "zeta", "burn"))
    usual = {"tenant": tenant, "team": "pay", "model": "large", "actor": "person:1"}
    past = usage_event("past", (hours - 16 * 24) * HOUR_US, **usual)
    spent = [
        usage_event(f"spent{i}", (hours - 3) * HOUR_US + i * PANE_US, output_tokens=100_000_000, **usual)
        for i in range(rng.choice((1, 3)))
    ]
    return [_good(USAGE_TOPIC, event) for event in (past, *spent)]


def _typed(event: Event) -> Event:
    """As a publisher would send it: pseudonyms for actors, nothing for empty optional texts."""
    changed: dict[str, Any] = {
        name: None for name, value in event.items() if value == "" and name.endswith(("_id", "_value"))
    }
    if event["actor"]:
        changed["actor"] = f"person:{event['actor'].encode().hex():0>16}"
    return event | changed
