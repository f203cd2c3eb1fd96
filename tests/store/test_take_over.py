"""The hand-over protocol of DESIGN.md §7, with the product's own join, sink, claims and recovery.

Crashes between any two steps, workers that lost the partition and go on writing, duplicates across the log: whatever the schedule, what
the store holds at the end equals what one undisturbed worker computes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from streams.config import INPUT_TOPICS, ITEMS_TOPIC, USAGE_TOPIC
from streams.errors import Fenced
from streams.windows.measures import DAY_US
from tests.store.conformance import Both
from tests.store.engine import EngineStore
from tests.store.memory import MemoryStore, logical
from tests.store.simulated import Event, Group, Member, Store
from tests.strategies import DAY_0, item_event, usage_event

MANY = 250
ON_THE_ENGINE = 100
PROCESSES = 2


def random_log(rng: random.Random) -> dict[str, list[Event]]:
    """A short log of both topics with repeats, on few items, days and panes."""
    usage: list[Event] = []
    for i in range(rng.randint(3, 14)):
        if usage and rng.random() < 0.2:
            usage.append(rng.choice(usage))
            continue
        usage.append(
            usage_event(
                f"u{i}", (DAY_0 + rng.choice((0, 0, 1, 16))) * DAY_US + rng.choice((0, 1, 400_000_000)),
                work_item_id=rng.choice(("I-1", "I-2", None)), model=rng.choice(("claude-sonnet-4-5", "gpt-5")),
                input_tokens=rng.randint(0, 90_000), team=rng.choice(("pay", "ads")), actor=rng.choice(("a1", "a2")),
                prompt_fingerprint=rng.choice((None, "f")), session_id="s", usage_quality=rng.choice(("full", "full", "unknown")),
            )
        )  # fmt: skip
    items: list[Event] = []
    kinds = ("started", "completed", "completed", "reopened", "canceled", "sized", "reclassified", "linked")
    for i in range(rng.randint(2, 8)):
        if items and rng.random() < 0.2:
            items.append(rng.choice(items))
            continue
        kind = rng.choice(kinds)
        link = {"link_type": "closes", "link_value": "X"} if kind == "linked" else {}
        items.append(
            item_event(
                f"i{i}", (DAY_0 + rng.choice((0, 1, 2))) * DAY_US + rng.choice((0, 7, 400_000_000)), kind,
                work_item_id=rng.choice(("I-1", "I-2")), item_type=rng.choice(("", "story", "bug")), team=rng.choice(("", "pay")), **link,
            )
        )  # fmt: skip
    return {USAGE_TOPIC: usage, ITEMS_TOPIC: items}


def undisturbed(log: dict[str, list[Event]]) -> dict[str, Any]:
    """What one worker without any fault stores."""
    store, rng = MemoryStore(), random.Random(0)
    member = Member(log, Group(), store, rng, horizon_us=10**17)
    for _ in member.take_over():
        pass
    while not member.done():
        for _ in member.flush():
            pass
    return logical(store)


def disturbed(
    log: dict[str, list[Event]],
    store: Store,
    rng: random.Random,
    *,
    horizon_us: int,
    steps: int,
    partition: int = 0,
    most: int = 4,
) -> None:
    """Run random schedules of several members, then one last owner beside the zombies, until the log is read."""
    group = Group()

    def member() -> Member:
        return Member(log, group, store, rng, horizon_us=horizon_us, partition=partition, most=most)

    live = [member()]
    for _ in range(steps):
        if not live or rng.random() < 0.08:
            live.append(member())
        one = rng.choice(live[-4:])
        if rng.random() < 0.03 or not advance(one):
            live.remove(one)
    last = member()
    while not last.done():
        assert advance(last)
        if live and rng.random() < 0.5:
            zombie = rng.choice(live)
            if not advance(zombie):
                live.remove(zombie)
    for zombie in live:
        for _ in range(20):
            if not advance(zombie):
                break


def advance(member: Member) -> bool:
    """One step; False when the member has been refused."""
    try:
        next(member.steps)
    except StopIteration:
        member.steps = member.flush()
    except Fenced:
        return False
    return True


def test_any_schedule_of_crashes_and_zombies_gives_the_undisturbed_results() -> None:
    assert in_processes(wrong_in_memory, MANY) == []


@pytest.mark.timeout(1800)
def test_the_same_on_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    assert in_processes(partial(wrong_on_the_engine, tmp_path), ON_THE_ENGINE) == []


def in_processes(wrong: Callable[[range], list[int]], seeds: int) -> list[int]:
    """Spread seeds over processes; returns those that gave wrong results."""
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        parts = [range(first, seeds, PROCESSES) for first in range(PROCESSES)]
        return sorted(seed for found in pool.map(wrong, parts) for seed in found)


def wrong_in_memory(seeds: range) -> list[int]:
    """Seeds whose results differ."""
    wrong = []
    for seed in seeds:
        rng = random.Random(seed)
        log, store = random_log(rng), MemoryStore()
        disturbed(log, store, rng, horizon_us=rng.choice((DAY_US, 10**17)), steps=60)
        if logical(store) != undisturbed(log):
            wrong.append(seed)
    return wrong


def wrong_on_the_engine(directory: Path, seeds: range) -> list[int]:
    """Likewise, each seed in an input partition of its own. For a process that has not loaded chDB.

    Every answer on the way must also equal that of the store in memory.
    """
    from tests.store.in_process import InProcess  # noqa: PLC0415 - only here is the environment as chDB wants it

    client, wrong = InProcess(directory / str(seeds.start)), []
    for seed in seeds:
        rng = random.Random(seed)
        log, store = random_log(rng), Both(EngineStore(client, seed), MemoryStore())
        disturbed(log, store, rng, horizon_us=rng.choice((DAY_US, 10**17)), steps=25, partition=seed, most=8)
        if logical(store) != undisturbed(log):
            wrong.append(seed)
    client.close()
    return wrong


def test_every_record_is_accounted_for_once() -> None:
    for seed in range(40):
        rng = random.Random(seed)
        log, store = random_log(rng), MemoryStore()
        disturbed(log, store, rng, horizon_us=10**17, steps=80)
        (checkpoint,) = store.rows("checkpoints")
        for side, topic in (("usage", USAGE_TOPIC), ("items", ITEMS_TOPIC)):
            assert checkpoint[f"{side}_applied"] + checkpoint[f"{side}_duplicates"] + checkpoint[f"{side}_dead"] == len(
                log[topic]
            )
    assert set(INPUT_TOPICS) == {USAGE_TOPIC, ITEMS_TOPIC}
