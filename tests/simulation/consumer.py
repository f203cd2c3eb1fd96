"""A worker's consumer: what streams/agents/transport.py does over aiokafka, over the simulated broker."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

import numpy as np
from faust.types import TP

from streams.agents.batches import Batch, Chunk
from streams.agents.topics import TopicState
from streams.agents.transport import CREDIT, Seat, Tail
from streams.config import TOPICS
from streams.errors import Fenced
from streams.events.records import Records
from tests.simulation.broker import Broker, Group, Refused

FETCH_WAIT_S = 8.0
CALM_FETCH_WAIT_S = 300.0


class Machine(Protocol):
    """Where a consumer runs."""

    name: str
    broker: Broker
    group: Group
    rng: random.Random

    @property
    def most_fetched(self) -> int: ...
    @property
    def calm(self) -> bool: ...
    @property
    def quiet(self) -> bool: ...
    async def step(self, kind: str, what: str) -> str: ...
    def rejoin(self) -> None: ...
    async def awake(self) -> None: ...
    async def online(self) -> None: ...
    def wall_us(self) -> int: ...


class SimulatedConsumer:
    """Positions of one member. What was assigned is set by the worker at each rebalance."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.generation = -1
        self.tenure = 0
        self.assigned: frozenset[TP] = frozenset()
        self.queues: defaultdict[str, asyncio.Queue[Batch]] = defaultdict(asyncio.Queue)
        self._seats: dict[TP, Seat] = {}
        self._positions: dict[TP, int] = {}
        self._tails: dict[TP, Tail] = {}
        self._unfinished: defaultdict[tuple[TP, int], int] = defaultdict(int)

    def assign(self, generation: int, assigned: frozenset[TP]) -> None:
        """The group has assigned partitions: a new tenure, of a member that asked by itself under the same generation as before."""
        self.generation, self.assigned = generation, assigned
        self.tenure += 1

    def assignment(self) -> set[TP]:
        return set(self.assigned)

    def take_seats(self, seats: Mapping[TP, Seat]) -> None:
        """Read on from here."""
        self._seats = dict(sorted(seats.items()))
        self._positions = {tp: seat.offset for tp, seat in self._seats.items()}
        self._tails = {}

    @property
    def seated(self) -> Collection[TP]:
        """The partitions that are read."""
        return self._seats.keys()

    async def committed(self, tps: Iterable[TP]) -> dict[TP, int | None]:
        await self.machine.step("ask", "committed offsets")
        await self.machine.online()
        return {tp: self.machine.group.committed.get(tp) for tp in sorted(tps)}

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        await self.machine.step("ask", "earliest offsets")
        await self.machine.online()
        return {tp: self.machine.broker.begins[tp] for tp in sorted(tps)}

    async def log_ends(self, committed: Mapping[TP, int | None]) -> dict[TP, int]:
        await self.machine.step("ask", "log ends")
        await self.machine.online()
        return {tp: len(log) for tp, log in self.machine.broker.logs.items() if tp in committed}

    async def topics(self) -> dict[str, TopicState]:
        await self.machine.step("ask", "topics")
        await self.machine.online()
        broker = self.machine.broker
        return {topic: TopicState(broker.ids[topic], broker.partitions, 1) for topic in TOPICS}

    async def rejoin(self) -> None:
        self.machine.rejoin()

    async def tails(self) -> dict[TP, Tail]:
        return dict(self._tails)

    async def commit_fenced(self, offsets: Mapping[TP, int], tenure: int) -> None:
        """As the transport: checked here, then by the group, and tried again while the broker is away."""
        while True:
            if self.tenure != tenure or not offsets.keys() <= self.assigned:
                raise Fenced(f"tenure {tenure} is over")
            generation = self.generation
            effect = await self.machine.step("commit", self._told(offsets))
            await self.machine.online()
            if self.tenure != tenure:  # one connection carries both: a commit does not arrive after a later join
                raise Fenced(f"tenure {tenure} is over")
            if effect != "error":
                try:
                    self.machine.group.commit(self.machine.name, generation, offsets)
                except Refused:
                    raise Fenced(f"the group refused generation {generation}") from None
            await self.machine.step("answer", "commit")
            if effect not in {"error", "lost answer"}:
                return
            await asyncio.sleep(0.1)

    def finished(self, batch: Batch) -> None:
        key = (batch.tp, batch.epoch)
        if self._unfinished.get(key):
            self._unfinished[key] -= 1

    async def fetch(self) -> None:
        """Hand out batches for as long as the worker lives."""
        while True:
            found = False
            for tp, seat in list(self._seats.items()):
                if self._unfinished[tp, seat.epoch] < CREDIT:
                    await self.machine.online()
                    batch = self._next(tp, seat) if self._seats.get(tp) == seat else None
                    if batch is not None:
                        found = True
                        self._unfinished[tp, seat.epoch] += 1
                        await self.machine.step("fetch", f"{tp.topic}[{tp.partition}] {batch.begin}..{batch.end}")
                        self.queues[tp.topic].put_nowait(batch)
            if not found:
                await asyncio.sleep(self.machine.rng.uniform(0.1, FETCH_WAIT_S))
                await self.machine.awake()

    def _next(self, tp: TP, seat: Seat) -> Batch | None:
        log, begin = self.machine.broker.logs[tp], self._positions[tp]
        if not self.machine.broker.begins[tp] <= begin <= len(log):
            begin = self.machine.broker.begins[tp]  # out of range: auto.offset.reset is earliest
        end = min(len(log), begin + self.machine.rng.randint(1, self.machine.most_fetched))
        self._positions[tp] = end
        self._answered(tp, end, len(log))
        if begin == end:
            return None
        found = [(offset, record) for offset in range(begin, end) if (record := log[offset]).value is not None]
        chunk = Chunk(
            begin, end,
            Records.of(record.value for _, record in found),
            np.array([offset for offset, _ in found], np.int64),
            np.array([record.at_us for _, record in found], np.int64),
        )  # fmt: skip
        return Batch(tp, seat.epoch, self.generation, (chunk,))

    def _answered(self, tp: TP, position: int, high_watermark: int) -> None:
        """A fetch came back. When everything is calm the broker answers empty fetches rarely, in the end never: the watermark rests."""
        known, now = self._tails.get(tp), self.machine.wall_us()
        same = known is not None and (known.position, known.high_watermark) == (position, high_watermark)
        lately = known is not None and now - known.fetched_at < CALM_FETCH_WAIT_S * 1e6
        if same and (self.machine.quiet or (self.machine.calm and lately)):
            return
        self._tails[tp] = Tail(position, high_watermark, now // 1000 * 1000)

    @staticmethod
    def _told(offsets: Mapping[TP, int]) -> str:
        return " ".join(f"{tp.topic}[{tp.partition}]={offset}" for tp, offset in sorted(offsets.items()))
