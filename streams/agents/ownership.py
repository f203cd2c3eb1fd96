"""What this worker owns: hands each rebalance to the agents, before messages flow, and gives their positions to the transport."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import structlog
from faust.types import TP

from streams.agents.batches import Batch
from streams.agents.transport import Consumer, Seat
from streams.errors import Fenced

log = structlog.get_logger(__name__)

REFUSED_PAUSE_S = 0.5
"""A refused claim means that another rebalance is on its way: look again after this long."""


class BatchAgent(Protocol):
    """An agent that owns positions of its topics."""

    topics: tuple[str, ...]

    async def take_over(
        self, consumer: Consumer, tps: Iterable[TP], generation: int, alive: Callable[[], bool]
    ) -> None:
        """Load the state of the assigned partitions. Raises Fenced when the group moved on; retries while the store is away."""

    def seats(self, tps: Iterable[TP]) -> dict[TP, Seat]:
        """Where each owned partition is read from. Called in the event loop after take_over."""

    async def release(self, consumer: Consumer) -> None:
        """Give up all partitions, within the grace."""

    async def process(self, batch: Batch) -> None:
        """Apply one batch. Called for one batch of a topic at a time, in offset order of each partition."""

    async def run(self, consumer: Consumer) -> None:
        """Write results, for as long as the worker lives."""


class Ownership:
    """The agents of a worker as one owner of partitions."""

    def __init__(self, agents: Sequence[BatchAgent]) -> None:
        self.agents = agents
        self.ready = False

    def seats(self, assigned: Iterable[TP]) -> dict[TP, Seat]:
        """Where each owned partition is read from."""
        tps = list(assigned)
        return {tp: seat for agent in self.agents for tp, seat in agent.seats(tps).items()}

    async def take_over(self, app: Any) -> None:
        """After a rebalance: every agent takes over its partitions. Gives up quietly when the next rebalance has begun."""
        rebalance, generation = app.rebalancing_count, app.consumer_generation_id

        def alive() -> bool:
            return bool(app.rebalancing_count == rebalance and not app.should_stop)

        while alive():
            try:
                for agent in self.agents:
                    await agent.take_over(app.consumer, app.consumer.assignment(), generation, alive)
            except Fenced as reason:
                log.info("take-over refused", generation=generation, reason=str(reason))
                await asyncio.sleep(REFUSED_PAUSE_S)
            else:
                self.ready = True
                return

    async def release(self, app: Any) -> None:
        """Before a rebalance, and when the worker stops."""
        self.ready = False
        for agent in self.agents:
            await agent.release(app.consumer)
