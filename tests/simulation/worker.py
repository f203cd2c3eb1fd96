"""One worker process: the product's agents and their ownership, over a simulated machine that can freeze, lose its network, or die."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from contextvars import ContextVar, copy_context
from typing import Any, Protocol

from streams.agents.alerts import AlertAgent
from streams.agents.health import Health
from streams.agents.join import JoinAgent
from streams.agents.ownership import BatchAgent, Ownership
from streams.agents.windows import WindowAgent
from streams.config import AgentName, Settings
from tests.simulation.broker import Broker, Group, Refused
from tests.simulation.consumer import SimulatedConsumer
from tests.simulation.context import SimulatedContext
from tests.simulation.inputs import Inputs
from tests.simulation.store import SimulatedStore

AGENTS: dict[AgentName, Any] = {"join": JoinAgent, "windows": WindowAgent, "alerts": AlertAgent}
HEARTBEAT_S = 4.0


OWNER: ContextVar[Worker | None] = ContextVar("OWNER", default=None)
"""The worker to which a task and all that it starts belong."""


class Crashed(BaseException):
    """This process is no more."""


class World(Protocol):
    """What workers share."""

    rng: random.Random
    broker: Broker
    group: Group
    store: SimulatedStore
    inputs: Inputs
    settings: Settings
    most_fetched: int
    calm: bool
    quiet: bool

    def time(self) -> float: ...
    def now_us(self) -> int: ...
    def strike(self, worker: Worker, kind: str, what: str) -> str: ...
    def failed(self, worker: Worker, error: BaseException) -> None: ...
    def say(self, who: str, what: str) -> None: ...


class Worker:
    """Stands for the Faust app as well: what Ownership reads of it has the same names."""

    def __init__(self, world: World, name: str, agents: tuple[AgentName, ...]) -> None:
        self.world, self.name, self.rng = world, name, world.rng
        self.broker, self.group, self.store, self.inputs = world.broker, world.group, world.store, world.inputs
        self.dead = False
        self.should_stop = False
        self.frozen_until = self.cut_off_until = 0.0
        self.skew_us = 0
        """How far its clock is ahead."""
        self.consumer = SimulatedConsumer(self)
        self.settings = world.settings.model_copy(update={"agents": agents})
        self.context = SimulatedContext(self.settings, world.broker.partitions, name, host=self)
        self.agents: list[BatchAgent] = [AGENTS[agent](self.context) for agent in agents]
        self.ownership = Ownership(self.agents, Health(self.settings.stall_limit_s))
        self.rebalancing_count = 0
        self._rejoin, self._assigned = asyncio.Event(), asyncio.Event()
        self.tasks: set[asyncio.Task[Any]] = set()

    # --- the machine ----------------------------------------------------------------------------------------------------------------

    @property
    def most_fetched(self) -> int:
        return self.world.most_fetched

    @property
    def calm(self) -> bool:
        return self.world.calm

    @property
    def quiet(self) -> bool:
        return self.world.quiet

    def monotonic(self) -> float:
        return self.world.time()

    def wall_us(self) -> int:
        return self.world.now_us() + self.skew_us

    def drawn(self, among: int) -> int:
        return self.rng.randrange(among)

    def failed(self, error: BaseException) -> None:
        self.world.failed(self, error)

    async def step(self, kind: str, what: str) -> str:
        """Take the time of one step, during which anything may happen to this worker; says what happens to the step."""
        await asyncio.sleep(self.rng.expovariate(30) if self.rng.random() < 0.97 else self.rng.uniform(0.2, 4.0))
        await self.awake()
        effect = self.world.strike(self, kind, what)
        if effect == "slow":
            await asyncio.sleep(self.rng.uniform(2.0, 60.0))
        await self.awake()
        return effect

    async def online(self) -> None:
        """Wait until the broker can be reached."""
        while (rest := self.cut_off_until - self.world.time()) > 0:
            await asyncio.sleep(rest)
            await self.awake()

    async def awake(self) -> None:
        """Wait until the machine goes on. Raises Crashed when it never will."""
        while (rest := self.frozen_until - self.world.time()) > 0 and not self.dead:  # noqa: ASYNC110 - it may freeze again
            await asyncio.sleep(rest)
        if self.dead:
            raise Crashed

    def rejoin(self) -> None:
        """Leave everybody's assignment to be made again."""
        self._rejoin.set()

    def crash(self) -> None:
        """kill -9: nothing that it was doing goes on."""
        self.dead = True
        for task in list(self.tasks):
            task.cancel()

    # --- the process ----------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to live."""
        self.spawn(self._coordinate())
        self.spawn(self._heartbeat())
        self.spawn(self._recover())
        self.spawn(self.consumer.fetch())
        for agent in self.agents:
            self.spawn(self._forever(agent))
            for topic in agent.topics:
                self.spawn(self._consume(agent, topic))

    def spawn(self, body: Coroutine[Any, Any, Any]) -> None:
        """Run a task until the worker dies; what it raises ends the run."""
        own = copy_context()
        own.run(OWNER.set, self)
        asyncio.get_running_loop().create_task(body, context=own).add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, Crashed) and not self.dead:
            self.failed(error)

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            await self.awake()
            await self.online()
            if self._rejoin.is_set() or self.consumer.generation < 0:
                continue
            try:
                if not self.group.heartbeat(self.name, self.consumer.generation):
                    self._rejoin.set()
            except Refused:
                self.consumer.generation = -1
                self._rejoin.set()

    async def _coordinate(self) -> None:
        """aiokafka's coordinator: join, wait for the next rebalance, give up what it has, join again."""
        topics = [topic for agent in self.agents for topic in agent.topics]
        while True:
            await self.step("join", "")
            await self.online()
            joined = self.group.join(self.name, topics)
            generation, assigned = await joined
            await self.awake()
            self._rejoin.clear()
            self.consumer.assign(generation, assigned)
            told = " ".join(f"{tp.topic}[{tp.partition}]" for tp in sorted(assigned))
            self.world.say(self.name, f"generation {generation}: {told}")
            self._assigned.set()
            await self._rejoin.wait()
            await self.awake()
            await self._revoke()

    async def _revoke(self) -> None:
        self.consumer.take_seats({})
        self.rebalancing_count += 1
        self._assigned.clear()
        self.world.say(self.name, "releases")
        await self.ownership.release(self)
        self.consumer.assigned = frozenset()

    async def _recover(self) -> None:
        """Faust's recovery: the agents take over, then messages flow."""
        while True:
            await self._assigned.wait()
            self._assigned.clear()
            rebalance = self.rebalancing_count
            self.context.opened.set()
            await self.ownership.take_over(self)
            if self.rebalancing_count == rebalance and not self.should_stop:
                seats = self.ownership.seats(self.consumer.assignment())
                told = " ".join(f"{tp.topic}[{tp.partition}]@{seat.offset}" for tp, seat in sorted(seats.items()))
                self.world.say(self.name, f"takes over {told}")
                self.consumer.take_seats(seats)

    async def leave(self) -> None:
        """SIGTERM: release, leave the group, end."""
        self.should_stop = True
        self.world.say(self.name, "stops")
        await self.ownership.release(self)
        self.group.leave(self.name)
        self.crash()

    async def _forever(self, agent: BatchAgent) -> None:
        await self.context.opened.wait()
        await agent.run(self.consumer)  # type: ignore[arg-type]

    async def _consume(self, agent: BatchAgent, topic: str) -> None:
        queue = self.consumer.queues[topic]
        while True:
            batch = await queue.get()
            try:
                await agent.process(batch)
            finally:
                self.consumer.finished(batch)


def owned_task(loop: asyncio.AbstractEventLoop, body: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
    """A task factory: a task dies with the worker that started it."""
    task = asyncio.Task(body, loop=loop, **options)
    owner = options["context"][OWNER] if options.get("context") else OWNER.get()
    if owner is not None:
        owner.tasks.add(task)
        task.add_done_callback(owner.tasks.discard)
    return task
