"""What may happen to the inputs and to the results themselves: topics created anew, records deleted, positions lost, results damaged, rebuilds.

Drawn from a generator of its own, so that what a seed meant before any of these existed stays as it was wherever none of them strikes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from streams.config import INPUT_TOPICS, PANES_TOPIC, WINDOWS_TOPIC
from streams.store.rebuilds import ALWAYS_US, Rebuild, write_rebuilds
from streams.store.sink import Sink
from streams.windows.measures import DAY_US
from tests.simulation.broker import Broker, Group
from tests.simulation.events import Publication, renamed
from tests.simulation.inputs import Inputs
from tests.simulation.store import SimulatedStore


class Ground(Protocol):
    """What losses can reach."""

    broker: Broker
    group: Group
    store: SimulatedStore
    inputs: Inputs

    def now_us(self) -> int: ...
    def crash_all(self) -> None: ...
    def publish_later(self, records: list[Publication], rng: random.Random) -> None: ...


class Victim(Protocol):
    """The worker at whose step it happens."""

    def crash(self) -> None: ...


Loss = Callable[[Ground, Victim, random.Random], bool]
"""Does it, at a step of a worker; False when it cannot happen now."""


def recreated_topic(ground: Ground, _worker: Victim, rng: random.Random) -> bool:
    """One or both input topics are deleted and created anew; Kafka forgets their positions. Publishers send some events again, and new ones."""
    topics = rng.choice((*((topic,) for topic in INPUT_TOPICS), INPUT_TOPICS))
    share, new = rng.choice((0.2, 0.7, 1.0)), rng.choice((0, 0.2))
    again: list[Publication] = []
    for topic in topics:
        sent = ground.inputs.sent(topic)
        again += [one for one in sent if rng.random() < share]
        again += [renamed(one, f"-{len(ground.broker.ids[topic])}") for one in sent if rng.random() < new]
        ground.inputs.recreate(topic)
    ground.group.forget(topics)
    if rng.random() < 0.5:
        rng.shuffle(again)
    ground.publish_later(again, rng)
    return True


def deleted_records(ground: Ground, _worker: Victim, rng: random.Random) -> bool:
    """Retention ran past the position of a partition, perhaps because nobody ran for long; or it deletes what was read."""
    found = [
        tp
        for tp, log in ground.broker.logs.items()
        if tp in ground.inputs.lives and len(log) > ground.broker.begins[tp]
    ]
    if not found:
        return False
    tp = rng.choice(found)
    first, end = ground.broker.begins[tp] + 1, len(ground.broker.logs[tp])
    position = min(ground.group.committed.get(tp, 0), max(ground.inputs.stored(tp), 0))
    unread = range(max(first, position + 1), end + 1)
    if rng.random() < 0.5:
        ground.crash_all()
    ground.inputs.delete_before(tp, rng.choice(unread) if unread and rng.random() < 0.8 else rng.randint(first, end))
    return True


def lost_updates(ground: Ground, _worker: Victim, rng: random.Random) -> bool:
    """Pane updates or windows are deleted, read or not."""
    begins, logs = ground.broker.begins, ground.broker.logs
    found = [tp for tp, log in logs.items() if tp.topic in {PANES_TOPIC, WINDOWS_TOPIC} and len(log) > begins[tp]]
    if not found:
        return False
    tp = rng.choice(found)
    begins[tp] = rng.choice((len(logs[tp]), rng.randint(begins[tp] + 1, len(logs[tp]))))
    return True


def lost_positions(ground: Ground, _worker: Victim, rng: random.Random) -> bool:
    """The group has no positions any more: somebody deleted it while nobody ran, or the broker lost them beside running workers."""
    if not ground.group.committed:
        return False
    if rng.random() < 0.5:
        ground.crash_all()
    ground.group.committed.clear()
    return True


def rebuild(ground: Ground, _worker: Victim, rng: random.Random) -> bool:
    """`tokenworth rebuild`, of everything or of some days."""
    now = ground.now_us()
    since = now - rng.choice((1, 3)) * DAY_US
    _request(ground, *rng.choice((ALWAYS_US, (since, now), (0, since))))
    return True


def damaged_results(ground: Ground, _worker: Victim, rng: random.Random) -> bool:
    """Result rows get lost or changed; somebody notices and requests a rebuild."""
    if not ground.store.damage(rng):
        return False
    _request(ground, *ALWAYS_US)
    return True


def untold_flush(_ground: Ground, worker: Victim, _rng: random.Random) -> bool:
    """kill -9 between a commit and what is told of it."""
    worker.crash()
    return True


def _request(ground: Ground, from_us: int, to_us: int) -> None:
    requests = [Rebuild(p, ground.now_us(), from_us, to_us) for p in range(ground.broker.partitions)]
    write_rebuilds(Sink(ground.store, "rebuild"), requests)


LOSSES: Final[dict[str, Loss]] = {
    "recreated topic": recreated_topic,
    "deleted records": deleted_records,
    "lost updates": lost_updates,
    "lost positions": lost_positions,
    "rebuild": rebuild,
    "damaged results": damaged_results,
    "untold flush": untold_flush,
}

DELETING: Final = ("recreated topic", "deleted records", "lost updates")
"""Leave nothing in Kafka from which a restored store could be filled again."""

STEPS: Final = ("", "", "insert", "ask", "commit")
"""Kinds of steps before which losses happen; empty: any."""
TELLS: Final = f"publish {PANES_TOPIC}"


class Losses:
    """The losses of one run: which, and at which steps of workers."""

    def __init__(self, seed: int, kinds: Sequence[str]) -> None:
        self.rng = random.Random(f"losses of {seed}")
        self._kinds = [kind for kind in kinds if kind in LOSSES]
        self._left = self.rng.choice((0, 0, 1, 1, 2, 3)) if self._kinds else 0
        self._wait()

    def step(self, ground: Ground, worker: Victim, step: str) -> str:
        """A step of some worker, its kind first: the name of what happens before it, if anything."""
        self._pause -= 1
        if self._pause > 0 or not self._left or not step.startswith(self._before):
            return ""
        name = self._name
        if not LOSSES[name](ground, worker, self.rng):
            return ""
        self._left -= 1
        self._wait()
        return name

    def _wait(self) -> None:
        self._name = self.rng.choice(self._kinds) if self._kinds else ""
        self._pause = 1 + round(self.rng.expovariate(1 / self.rng.choice((10, 60, 150))))
        self._before = TELLS if self._name == "untold flush" else self.rng.choice(STEPS)
