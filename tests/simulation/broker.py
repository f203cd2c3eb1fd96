"""Topics and the consumer group, as much of Kafka as workers can tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from faust.types import TP

from streams.config import ALERTS_TOPIC, INPUT_TOPICS, PANES_TOPIC, TOPICS, WINDOWS_TOPIC
from streams.events.keys import partition_of

CONSUMED = (*INPUT_TOPICS, PANES_TOPIC, WINDOWS_TOPIC)
REBALANCE_TIMEOUT_S = 40.0


class Record(NamedTuple):
    """One offset of a log. `value` None: a control batch or a compacted record, which consumers never see."""

    key: bytes
    value: bytes | None
    at_us: int


class Broker:
    """The logs. Append time is the broker's own clock, which nobody sets."""

    def __init__(self, partitions: int, now_us: Callable[[], int]) -> None:
        self.partitions, self.now_us = partitions, now_us
        self.logs = {TP(topic, p): list[Record]() for topic in TOPICS for p in range(partitions)}
        self.begins = dict.fromkeys(self.logs, 0)
        """The first offset of each log that can still be read."""
        self.ids = {topic: f"id of {topic}" for topic in TOPICS}
        self.appended_at = 0.0
        """Loop time of the last append to any log."""

    def append(self, topic: str, key: bytes, value: bytes | None, partition: int | None = None) -> TP:
        """One record, placed by its key unless the partition is named."""
        tp = TP(topic, partition_of(key.decode(), self.partitions) if partition is None else partition)
        self.logs[tp].append(Record(key, value, self.now_us()))
        if topic in CONSUMED:
            self.appended_at = asyncio.get_running_loop().time()
        return tp

    def recreate(self, topic: str) -> None:
        """Another topic of the same name: empty, and with another id."""
        self.ids[topic] += "'"
        for tp in self.logs:
            if tp.topic == topic:
                self.logs[tp], self.begins[tp] = [], 0

    def published_alerts(self) -> list[Record]:
        """Everything in topic alerts."""
        return [record for p in range(self.partitions) for record in self.logs[TP(ALERTS_TOPIC, p)]]


class Refused(Exception):
    """The coordinator does not know the member, or not under this generation."""


@dataclass
class Membership:
    """One member as the coordinator knows it."""

    topics: frozenset[str]
    heard_at: float
    joining: asyncio.Future[tuple[int, frozenset[TP]]] | None = None
    assigned: frozenset[TP] = field(default_factory=frozenset)


class Group:
    """The coordinator: members, generations, committed offsets."""

    def __init__(self, partitions: int, session_timeout_s: float) -> None:
        self.partitions, self.session_timeout_s = partitions, session_timeout_s
        self.members: dict[str, Membership] = {}
        self.generation = 0
        self.committed: dict[TP, int] = {}
        self.preparing_since: float | None = None

    def join(self, name: str, topics: Iterable[str]) -> asyncio.Future[tuple[int, frozenset[TP]]]:
        """Resolves to generation and assignment once all members have joined, or the others took too long."""
        loop = asyncio.get_running_loop()
        follows = name in self.members and name != next(iter(self.members)) and self.preparing_since is None
        member = self.members.setdefault(name, Membership(frozenset(topics), loop.time()))
        joining = loop.create_future()
        member.joining, member.heard_at = joining, loop.time()
        if follows:  # as Kafka's: only for the leader is everything assigned anew
            joining.set_result((self.generation, member.assigned))
            member.joining = None
        else:
            self._prepare()
        return joining

    def heartbeat(self, name: str, generation: int) -> bool:
        """False: join again. Raises Refused when the group has gone on without this member."""
        member = self.members.get(name)
        if member is None or (generation != self.generation and self.preparing_since is None):
            raise Refused
        member.heard_at = asyncio.get_running_loop().time()
        return self.preparing_since is None

    def leave(self, name: str) -> None:
        """The others share what it had."""
        if self.members.pop(name, None) is not None:
            self._prepare()

    def commit(self, name: str, generation: int, offsets: Mapping[TP, int]) -> None:
        """Raises Refused under another generation than the present one."""
        if name not in self.members or generation != self.generation:
            raise Refused
        self.committed.update(offsets)

    def forget(self, topics: Iterable[str]) -> None:
        """Positions are gone, as with a topic that is deleted."""
        gone = set(topics)
        self.committed = {tp: offset for tp, offset in self.committed.items() if tp.topic not in gone}

    async def coordinate(self) -> None:
        """Drops silent members and ends rebalances, for as long as the broker lives."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1.0)
            for name, member in list(self.members.items()):
                if member.joining is None and loop.time() - member.heard_at > self.session_timeout_s:
                    self.leave(name)
            if self.preparing_since is not None and loop.time() - self.preparing_since > REBALANCE_TIMEOUT_S:
                self.members = {name: m for name, m in self.members.items() if m.joining is not None}
            self._complete()

    def _prepare(self) -> None:
        if self.preparing_since is None:
            self.preparing_since = asyncio.get_running_loop().time()

    def _complete(self) -> None:
        if self.preparing_since is None or any(m.joining is None for m in self.members.values()):
            return
        self.preparing_since = None
        self.generation += 1
        for member in self.members.values():
            member.assigned = frozenset()
        for topic in CONSUMED:
            readers = sorted(name for name, m in self.members.items() if topic in m.topics)
            for p in range(self.partitions if readers else 0):
                member = self.members[readers[p * len(readers) // self.partitions]]
                member.assigned |= {TP(topic, p)}
        for member in self.members.values():
            assert member.joining is not None
            if not member.joining.done():
                member.joining.set_result((self.generation, member.assigned))
            member.joining, member.heard_at = None, asyncio.get_running_loop().time()
