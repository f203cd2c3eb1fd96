"""The faults. Each says what it needs for itself, begins, tells whether it has struck, and heals.

A fault lasts for the time that its schedule gives it, and on until it has struck: one that nobody noticed proves nothing.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from random import Random
from typing import Final

from streams.local.broker import answers
from tests.faults.cluster import Cluster, Slot
from tests.faults.links import REFUSALS, ClickHouseLink, NetworkLink

MID_INSERT_S: Final = 5.0
BROKER, ENGINE = "broker", "clickhouse"


@dataclass
class Fault:
    """One fault that is about to happen, or happens."""

    kind: str
    needs: frozenset[str]
    """What no other fault may use at the same time."""
    begin: Callable[[], None]
    heal: Callable[[], None]
    may_begin: Callable[[], bool] = lambda: True
    struck: Callable[[], bool] = lambda: True
    healed: Callable[[], bool] = lambda: True
    """Whether everything that it stopped is back, after `heal`."""
    victim: Slot | None = None
    """The worker whose partitions others must take over."""


Make = Callable[[Cluster, Random], Fault]


def worker_killed(cluster: Cluster, random: Random) -> Fault:
    """kill -9 of a worker that has partitions, and now and then of one that may be starting."""
    slot, any_time = _member(cluster, random), random.random() < 0.3
    return Fault(
        "worker kill -9",
        _whole(slot),
        lambda: cluster.kill(slot),
        lambda: cluster.start(slot),
        may_begin=lambda: slot.ready or (any_time and _runs(slot)),
        victim=slot,
    )


def worker_paused(cluster: Cluster, random: Random) -> Fault:
    """SIGSTOP past the session time-out, then SIGCONT: a zombie that does not know that it lost its partitions."""
    slot = _member(cluster, random)
    lost: set[int] = set()

    def begin() -> None:
        lost.update(cluster.owned(slot))
        slot.signal(signal.SIGSTOP)

    def struck() -> bool:
        rows = cluster.checkpoints()
        return rows is not None and not cluster.owned(slot) & lost

    return Fault(
        "worker SIGSTOP past the session, SIGCONT",
        _whole(slot),
        begin,
        lambda: slot.signal(signal.SIGCONT),
        may_begin=lambda: (
            slot.ready and sum(other.ready for other in cluster.slots) > 1 and cluster.checkpoints() is not None
        ),
        struck=struck,
        victim=slot,
    )


def worker_joins(cluster: Cluster, _: Random) -> Fault:
    """One more worker for a while."""
    slot = cluster.slots[-1]
    return Fault(
        "worker joins",
        _whole(slot),
        lambda: cluster.start(slot),
        lambda: cluster.stop(slot),
        struck=lambda: slot.ready and cluster.checkpoints() is not None and bool(cluster.owned(slot)),
        healed=lambda: slot.child is None,
    )


def worker_leaves(cluster: Cluster, random: Random) -> Fault:
    """SIGTERM, and the worker is back some time later."""
    slot = _member(cluster, random)
    return Fault(
        "worker leaves by SIGTERM",
        _whole(slot),
        lambda: cluster.stop(slot),
        lambda: cluster.start(slot),
        may_begin=lambda: slot.ready,
        struck=lambda: slot.child is None,
        victim=slot,
    )


def broker_killed(cluster: Cluster, _: Random) -> Fault:
    """kill -9 of Kafka; it comes back with its data."""
    broker = cluster.broker
    return Fault(
        "Kafka kill -9", frozenset({BROKER}), broker.kill, broker.restart, healed=lambda: answers(cluster.stack.kafka)
    )


def engine_killed(cluster: Cluster, _: Random) -> Fault:
    """kill -9 of ClickHouse in the middle of an insert; it comes back with its data."""

    def begin() -> None:
        deadline = time.monotonic() + MID_INSERT_S
        while not any(slot.clickhouse.inserting for slot in cluster.slots) and time.monotonic() < deadline:
            time.sleep(0.001)
        cluster.engine.kill()

    return Fault(
        "ClickHouse kill -9 in mid-insert",
        frozenset({ENGINE}),
        begin,
        cluster.engine.restart,
        healed=lambda: cluster.checkpoints() is not None,
    )


def engine_slow(cluster: Cluster, random: Random) -> Fault:
    """Every insert waits for seconds."""
    delay_s = random.uniform(1.0, 4.0)

    def begin(link: ClickHouseLink) -> None:
        link.delay_s, link.state = delay_s, "slow"

    return _store(cluster, random, "ClickHouse slow, seconds per insert", begin)


def engine_refuses(cluster: Cluster, random: Random) -> Fault:
    """Inserts are answered with errors that pass."""
    refusal = random.choice([name for name in REFUSALS if name != "disk full"])
    return _refusing(cluster, random, "ClickHouse answers errors", refusal)


def disk_full(cluster: Cluster, random: Random) -> Fault:
    """Inserts are answered as by a server whose disk is full."""
    return _refusing(cluster, random, "ClickHouse disk full", "disk full")


def answers_lost(cluster: Cluster, random: Random) -> Fault:
    """Every second insert succeeds without the worker hearing of it."""

    def begin(link: ClickHouseLink) -> None:
        link.state = "lost"

    return _store(cluster, random, "ClickHouse answers lost after the insert", begin)


def engine_silent(cluster: Cluster, random: Random) -> Fault:
    """No call gets an answer: the network between worker and ClickHouse is cut."""

    def begin(link: ClickHouseLink) -> None:
        link.state = "none"

    return _store(cluster, random, "network cut to ClickHouse", begin)


def network_held(cluster: Cluster, random: Random) -> Fault:
    """No packet passes between a worker and Kafka, and neither side hears of it; what was sent arrives late."""

    def begin(link: NetworkLink) -> None:
        link.state = "held"

    return _network(cluster, random, "network cut to Kafka, packets lost", begin)


def network_cut(cluster: Cluster, random: Random) -> Fault:
    """Connections between a worker and Kafka break and cannot be made."""

    def begin(link: NetworkLink) -> None:
        link.state = "cut"

    return _network(cluster, random, "network cut to Kafka, connections refused", begin)


def network_delayed(cluster: Cluster, random: Random) -> Fault:
    """Each piece of what a worker and Kafka say to each other takes longer."""
    delay_s = random.uniform(0.05, 0.4)

    def begin(link: NetworkLink) -> None:
        link.delay_s, link.state = delay_s, "delayed"

    return _network(cluster, random, "network delay to Kafka", begin)


def clock_jumps(cluster: Cluster, random: Random) -> Fault:
    """The time of day of a worker is wrong by minutes up to a day, forwards or backwards, and jumps back."""
    slot = _member(cluster, random)
    shift_s = random.choice((-1, 1)) * 10 ** random.uniform(1.5, 4.9)

    def struck() -> bool:
        """Whether the worker has stamped something with the wrong time."""
        now = time.time()
        return any(
            cluster.wrote(slot, row) and abs(row["flushed_at"].replace(tzinfo=UTC).timestamp() - now) > abs(shift_s) / 2
            for row in cluster.checkpoints() or ()
        )

    return Fault(
        "clock jump of a worker",
        frozenset({f"clock of {slot.name}"}),
        lambda: slot.shift_clock(shift_s),
        lambda: slot.shift_clock(0.0),
        may_begin=lambda: slot.ready,
        struck=struck,
    )


KINDS: Final[dict[str, tuple[Make, float, float]]] = {
    "worker-killed": (worker_killed, 0.0, 5.0),
    "worker-paused": (worker_paused, 8.0, 14.0),
    "worker-joins": (worker_joins, 4.0, 15.0),
    "worker-leaves": (worker_leaves, 1.0, 8.0),
    "broker-killed": (broker_killed, 0.2, 6.0),
    "engine-killed": (engine_killed, 0.2, 6.0),
    "engine-slow": (engine_slow, 5.0, 15.0),
    "engine-refuses": (engine_refuses, 2.0, 10.0),
    "disk-full": (disk_full, 3.0, 15.0),
    "answers-lost": (answers_lost, 3.0, 10.0),
    "engine-silent": (engine_silent, 2.0, 12.0),
    "network-held": (network_held, 2.0, 12.0),
    "network-cut": (network_cut, 1.0, 10.0),
    "network-delayed": (network_delayed, 5.0, 15.0),
    "clock-jumps": (clock_jumps, 3.0, 15.0),
}
"""How to make each kind, and between which seconds it lasts."""


def _member(cluster: Cluster, random: Random) -> Slot:
    """One of the workers that are there all the time."""
    return random.choice(cluster.slots[:-1])


def _whole(slot: Slot) -> frozenset[str]:
    return frozenset({slot.name})


def _runs(slot: Slot) -> bool:
    return slot.child is not None and slot.child.exit_code is None


def _store(cluster: Cluster, random: Random, kind: str, begin: Callable[[ClickHouseLink], None]) -> Fault:
    """A fault of the way to ClickHouse, for one worker or for all."""
    slots = cluster.slots if random.random() < 0.5 else [_member(cluster, random)]
    before: list[int] = []

    def begin_all() -> None:
        before.extend(slot.clickhouse.struck for slot in slots)
        for slot in slots:
            begin(slot.clickhouse)

    def heal() -> None:
        for slot in slots:
            slot.clickhouse.state = "as they are"

    return Fault(
        kind,
        frozenset(f"ClickHouse of {slot.name}" for slot in slots),
        begin_all,
        heal,
        struck=lambda: any(slot.clickhouse.struck > count for slot, count in zip(slots, before, strict=True)),
    )


def _refusing(cluster: Cluster, random: Random, kind: str, refusal: str) -> Fault:
    def begin(link: ClickHouseLink) -> None:
        link.refusal, link.state = refusal, "refused"

    return _store(cluster, random, kind, begin)


def _network(cluster: Cluster, random: Random, kind: str, begin: Callable[[NetworkLink], None]) -> Fault:
    slot = _member(cluster, random)
    before: list[int] = []

    def begin_one() -> None:
        before.append(slot.kafka.struck)
        begin(slot.kafka)

    def heal() -> None:
        slot.kafka.state = "open"

    return Fault(
        kind, frozenset({f"Kafka of {slot.name}"}), begin_one, heal, struck=lambda: slot.kafka.struck > before[0]
    )
