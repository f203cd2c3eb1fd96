"""What this worker owns: hands each rebalance to the agents, before messages flow, and gives their positions to the transport."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import structlog
from faust.types import TP

from streams.agents.batches import Batch
from streams.agents.health import Health
from streams.agents.transport import Consumer, Seat
from streams.errors import Fenced, first_line

log = structlog.get_logger(__name__)

REFUSED_PAUSE_S = 0.5
"""A refused claim means that another rebalance is on its way: look again after this long."""

WATCH_EVERY_S = 1.0
TAILS_PATIENCE_S = 5.0


class BatchAgent(Protocol):
    """An agent that owns positions of its topics."""

    topics: tuple[str, ...]

    async def take_over(self, consumer: Consumer, tps: Iterable[TP], tenure: int, alive: Callable[[], bool]) -> None:
        """Load the state of the assigned partitions. Raises Fenced when the group moved on; retries while the store is away."""

    def seats(self, tps: Iterable[TP]) -> dict[TP, Seat]:
        """Where each owned partition is read from. Called in the event loop after take_over."""

    def positions(self) -> Mapping[TP, int]:
        """Of each partition that is held: the next offset, up to which everything is done that must survive this worker."""

    async def release(self, consumer: Consumer) -> None:
        """Give up all partitions, within the grace."""

    async def process(self, batch: Batch) -> None:
        """Apply one batch. Called for one batch of a topic at a time, in offset order of each partition."""

    async def run(self, consumer: Consumer) -> None:
        """Write results, for as long as the worker lives."""


class Ownership:
    """The agents of a worker as one owner of partitions."""

    def __init__(self, agents: Sequence[BatchAgent], health: Health) -> None:
        self.agents, self.health = agents, health

    def seats(self, assigned: Iterable[TP]) -> dict[TP, Seat]:
        """Where each owned partition is read from."""
        tps = list(assigned)
        return {tp: seat for agent in self.agents for tp, seat in agent.seats(tps).items()}

    async def take_over(self, app: Any) -> None:
        """After a rebalance: every agent takes over its partitions. Gives up quietly when the next rebalance has begun, or has ended: this may be
        called in the middle of one, whose assignment is then taken over by the call that follows it."""
        rebalance, tenure = app.rebalancing_count, app.consumer.tenure

        def alive() -> bool:
            same = app.rebalancing_count == rebalance and app.consumer.tenure == tenure
            return bool(same and not app.should_stop)

        while alive():
            try:
                for agent in self.agents:
                    await agent.take_over(app.consumer, app.consumer.assignment(), tenure, alive)
            except Fenced as reason:
                log.info("take-over refused", tenure=tenure, reason=str(reason))
                await asyncio.sleep(REFUSED_PAUSE_S)
            else:
                self.health.taken_over = True
                return

    async def release(self, app: Any) -> None:
        """Before a rebalance, and when the worker stops."""
        self.health.taken_over = False
        await asyncio.gather(*(agent.release(app.consumer) for agent in self.agents))

    async def watch(self, app: Any) -> None:
        """Write the record of health, once a second, for as long as the event loop runs."""
        while True:
            if self.health.taken_over:
                held = {tp: offset for agent in self.agents for tp, offset in agent.positions().items()}
                try:
                    tails = await asyncio.wait_for(app.consumer.tails(), TAILS_PATIENCE_S)
                    assigned = app.consumer.assignment()
                except Exception as error:  # noqa: BLE001 - a consumer that does not answer is what this is about
                    log.debug("the consumer does not answer", error=first_line(error))
                    tails, assigned = {}, held.keys()
                self.health.observe({tp: held.get(tp) for tp in assigned}, tails)
            else:
                self.health.observe({}, {})
            self.health.ran()
            await asyncio.sleep(WATCH_EVERY_S)
