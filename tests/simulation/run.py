"""One run: publish a small world while faults strike, let everything come to rest, and judge."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

import structlog
from faust.types import TP

from streams.agents import probes, waiting
from streams.agents import windows as window_agent
from streams.config import INPUT_TOPICS, PANES_TOPIC, WINDOWS_TOPIC, AgentName, Settings
from streams.errors import LogLost
from streams.join.partition import MOST_ITEMS
from streams.windows.measures import DAY_US, PANE_US
from tests.simulation.broker import CONSUMED, Broker, Group
from tests.simulation.events import Publication, publications
from tests.simulation.evictions import room_for
from tests.simulation.faults import ANYWHERE, BESIDE, KINDS, OFTEN, SELDOM, SESSION_S, STEPS
from tests.simulation.inputs import Inputs
from tests.simulation.judge import judged
from tests.simulation.loop import VirtualLoop
from tests.simulation.losses import DELETING, Losses
from tests.simulation.store import Backup, SimulatedStore
from tests.simulation.worker import OWNER, Worker, owned_task

BEGIN_US = 1_767_956_400_000_000
"""2026-01-09 11:00 UTC: when every run begins."""
BACKED_UP = 0.1
"""Share of the inserts before which the store is backed up."""
REST_S = 70.0
"""Nothing was published for this long, longer than any throttle of the window agent: nothing more will be."""
LONGEST_S = 6 * 3600.0
"""A run that has not come to rest by then never will."""

Deployment = tuple[tuple[AgentName, ...], ...]
JOIN_ONLY: Deployment = (("join",),)
TOGETHER: Deployment = (("join", "windows", "alerts"),)
APART: Deployment = (("join",), ("windows", "alerts"))
"""Which agents the workers run, by turns. Without windows a run costs half as much: the join has the most to lose."""

Trace = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did and found."""

    seed: int
    faults: Counter[str]
    steps: int
    differences: list[str] = field(default_factory=list)


class Simulation:
    """The world of one seed."""

    def __init__(
        self, seed: int, loop: VirtualLoop, trace: Trace | None, store: SimulatedStore, kinds: Sequence[str]
    ) -> None:
        self.time = loop.time
        self.seed, self.rng, self.trace = seed, random.Random(seed), trace
        rng = self.rng
        self.settings = Settings.model_construct(
            **_DEFAULTS
            | {
                "flush_interval_s": rng.choice((8.0, 25.0)),
                "flush_max_rows": rng.choice((3, 1000)),
                "horizon_days": rng.choice((1, 7)),
                "watermark_idle_s": 60.0,
                "session_timeout_s": SESSION_S,
                "take_over_grace_s": rng.choice((0.5, 5.0)),
            }
        )
        self.most_fetched = rng.choice((2, 8, 50))
        self.deployment = rng.choice((JOIN_ONLY, JOIN_ONLY, JOIN_ONLY, TOGETHER, TOGETHER, APART))
        partitions = rng.choice((1, 1, 2, 2, 3))
        self.broker, self.group, self.store = Broker(partitions, self.now_us), Group(partitions, SESSION_S), store
        self.inputs = Inputs(self.broker, store)
        self.workers: list[Worker] = []
        self.calm = self.quiet = False
        self._behind_at = 0.0
        self._spared = False
        """Faults wait for late events."""
        self.steps, self.faults = 0, Counter[str]()
        self._started = 0
        self._consumed = INPUT_TOPICS if self.deployment is JOIN_ONLY else CONSUMED
        self._wanted = rng.choice((1, 2, 2, 3))
        self._backups: list[Backup] = []
        self._broken: asyncio.Future[None] | None = None
        self._left = rng.choice((0, 3, 6, 12))
        self._every = rng.choice((2, 6, 20))
        self._next = self._drawn_pause()
        self._kinds = [kind for kind in kinds if kind not in BESIDE and rng.random() < 0.6]
        windowed = self.deployment is not JOIN_ONLY
        left_out = ("lost updates",) if not windowed else DELETING if "restore" in self._kinds else ()
        untold = [kind for kind in kinds if windowed and kind == "untold flush"]
        self._losses = Losses(seed, [kind for kind in kinds if kind not in left_out] + 5 * untold)
        self.room = random.Random(f"room of {seed}").choice((1, 3, MOST_ITEMS))
        """For items, and for panes, in the memory of a join partition."""
        self._publishing: list[asyncio.Task[None]] = []

    def now_us(self) -> int:
        return BEGIN_US + round(self.time() * 1e6)

    # --- what faults reach ----------------------------------------------------------------------------------------------------------

    def start_worker(self) -> None:
        """One more."""
        self._started += 1
        agents = self.deployment[self._started % len(self.deployment)]
        worker = Worker(self, f"{'abcdefgh'[self.rng.randrange(8)]}{self._started}", agents)
        self.workers.append(worker)
        self.say(worker.name, "starts")
        worker.start()

    def stop_worker(self, worker: Worker) -> None:
        worker.spawn(worker.leave())

    def restore(self) -> bool:
        if not self._backups:
            return False
        self.crash_all()
        self.store.restore(self.rng.choice(self._backups))
        self.inputs.count_lost()
        return True

    def crash_all(self) -> None:
        for worker in self.workers:
            worker.crash()

    def publish_later(self, records: list[Publication], rng: random.Random) -> None:
        """Beside what is published anyway."""

        async def publish() -> None:
            for one in records:
                if rng.random() < 0.3:
                    await asyncio.sleep(rng.expovariate(0.1))
                self.inputs.publish(one)

        nobodys = copy_context()
        nobodys.run(OWNER.set, None)  # not of the worker at whose step this happens
        self._publishing.append(asyncio.get_running_loop().create_task(publish(), context=nobodys))

    # --- what workers tell ----------------------------------------------------------------------------------------------------------

    def strike(self, worker: Worker, kind: str, what: str) -> str:
        """One step of a worker: perhaps something happens. Returns what happens to the step itself."""
        self.steps += 1
        if self.trace is not None:
            self.say(worker.name, f"{kind} {what}")
        if self.calm or self._spared:
            return ""
        if loss := self._losses.step(self, worker, f"{kind} {what}"):
            self.faults[loss] += 1
            self.say(worker.name, f"*** {loss}")
        if kind == "insert" and "restore" in self._kinds and self.rng.random() < BACKED_UP:
            self._backups.append(self.store.backup())
        self._next -= 1
        if self._next > 0 or (kind in SELDOM and self.rng.random() < 0.8):
            return ""
        own = [name for effect in STEPS.get(kind, ()) if (name := f"{kind}: {effect}") in self._kinds]
        anywhere = [name for name in OFTEN if name in self._kinds]
        found = own if own and (not anywhere or self.rng.random() < 0.5) else anywhere
        if not found:
            return ""
        name = self.rng.choice(found)
        if name in ANYWHERE and not ANYWHERE[name](self, worker):
            return ""
        self._next = self._drawn_pause()
        self._left -= 1
        self.faults[name] += 1
        self.say(worker.name, f"*** {name}")
        return "" if name in ANYWHERE else name.partition(": ")[2]

    def _drawn_pause(self) -> int:
        """Steps until the next fault."""
        return 1 + round(self.rng.expovariate(1 / self._every)) if self._left else 1 << 60

    def failed(self, worker: Worker, error: BaseException) -> None:
        self.say(worker.name, f"failed: {error!r}")
        if isinstance(error, LogLost) and self.inputs.changed:
            if "the log begins at" in error.message:  # as the remedy says
                self.settings = self.settings.model_copy(update={"accept_loss": True})
            worker.crash()
            return
        if self._broken is not None and not self._broken.done():
            self._broken.set_exception(error)

    def say(self, who: str, what: str) -> None:
        if self.trace is not None:
            self.trace(f"{self.time():10.3f} {who:4s} {what}")

    # --- the run --------------------------------------------------------------------------------------------------------------------

    async def run(self) -> list[str]:
        """Everything; returns what differs."""
        self._broken = asyncio.get_running_loop().create_future()
        background = [asyncio.ensure_future(body) for body in (self.group.coordinate(), self._supervise())]
        story = asyncio.ensure_future(self._story())
        try:
            ends: list[asyncio.Future[Any]] = [story, self._broken]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._broken.done() and (error := self._broken.exception()):
                return [f"a worker stopped: {error!r}"]
            return story.result()
        finally:
            for worker in self.workers:
                worker.crash()
            for task in (*background, story, *self._publishing):
                task.cancel()
            self._broken.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def _story(self) -> list[str]:
        rng = self.rng
        found = publications(rng, self.now_us(), self.broker.partitions)
        lull = rng.randrange(2 * len(found) + 1)  # long enough for the idle rule: what comes after it is late
        self._spared = lull < len(found) and rng.random() < 0.6
        for number, one in enumerate(found):
            if number == lull:
                await asyncio.sleep(rng.uniform(80, 250))
                self._spared = False
            if rng.random() < 0.3:
                await asyncio.sleep(rng.expovariate(0.1))
            self.inputs.publish(one)
        await asyncio.sleep(rng.uniform(0, 120))
        self._end_faults()
        for task in self._publishing:
            await task
        deadline = self.time() + LONGEST_S
        windowed = self.deployment is not JOIN_ONLY
        while windowed and not self._all_idle():
            if self.time() > deadline:
                return ["the watermark never came"]
            await asyncio.sleep(30)
        self.quiet = True
        while not self._at_rest():
            if self.time() > deadline:
                return [self._restless()]
            await asyncio.sleep(10)
        return judged(
            self.inputs, self.broker, self.store, self.settings.allowed_lateness_s * 1_000_000,
            windowed=windowed, ahead_us=DAY_US if self.seed % 8 == 0 else PANE_US,
        )  # fmt: skip

    def _end_faults(self) -> None:
        self.calm = True
        self.say("", "no more faults")
        for worker in self.workers:
            worker.frozen_until = worker.cut_off_until = 0.0
            worker.skew_us = 0

    async def _supervise(self) -> None:
        """Workers that are gone are replaced after a while."""
        while True:
            self.workers = [worker for worker in self.workers if not worker.dead]
            staying = [worker for worker in self.workers if not worker.should_stop]
            missing = set(self.deployment) - {worker.settings.agents for worker in staying}
            if missing or len(staying) < self._wanted:
                self.start_worker()
            await asyncio.sleep(self.rng.uniform(0.5, 8))

    def _all_idle(self) -> bool:
        """Every partition's windows are final up to times after the last event."""
        rows = self.store.rows("window_checkpoints")
        return len(rows) == self.broker.partitions and all(row["watermark"] > BEGIN_US for row in rows)

    def _at_rest(self) -> bool:
        if any(not row["finished"] for row in self.store.rows("rebuilds")):
            return False
        owned = {tp for worker in self.workers if not worker.dead for tp in worker.consumer.seated}
        if any(tp not in owned for tp in self.broker.logs if tp.topic in self._consumed):
            return False  # who takes over may have something to tell
        if self.deployment is JOIN_ONLY:
            return not self._behind()
        if self._behind():
            self._behind_at = self.time()
        # Who has just committed tells of it next.
        return self.time() - max(self.broker.appended_at, self._behind_at) > REST_S

    def _behind(self) -> list[tuple[TP, int, int]]:
        """Partitions whose end has not been reached, as the group and the store see it."""
        stored = dict.fromkeys(self.broker.logs, 0) | {tp: self.inputs.stored(tp) for tp in self.inputs.lives}
        for topic, table, place in (
            (PANES_TOPIC, "window_checkpoints", "upart"),
            (WINDOWS_TOPIC, "alert_checkpoints", "wpart"),
        ):
            stored |= {TP(topic, row[place]): row["next_offset"] for row in self.store.rows(table)}
        # Who lost its positions while it ran commits again when something comes.
        committed = stored | self.group.committed
        at = {tp: min(committed[tp], stored[tp]) for tp in stored if tp.topic in self._consumed}
        return [(tp, position, end) for tp, position in at.items() if position < (end := len(self.broker.logs[tp]))]

    def _restless(self) -> str:
        behind = ", ".join(f"{tp.topic}[{tp.partition}] at {at} of {end}" for tp, at, end in self._behind())
        return f"never came to rest: {behind or 'published without end'}"


_DEFAULTS: dict[str, Any] = {
    name: info.get_default(call_default_factory=True) for name, info in Settings.model_fields.items()
}
STEP_EVERY_S = 20.0
"""The window agent steps this often here: a run covers minutes, and each step costs milliseconds."""
ENOUGH_RECORDS = 5
"""Of a partition that wait: some batches are applied at once, others with the next flush."""

NO_PROBES_S = 1e9
"""Probes ask the store in SQL, and what they ask of does not happen here: tests/deliver/test_probes.py has them."""


def simulate(
    seed: int, trace: Trace | None = None, store: SimulatedStore | None = None, kinds: Sequence[str] = KINDS
) -> Outcome:
    """One run, with faults of some kinds, on an empty store."""
    loop = VirtualLoop()
    simulation = Simulation(seed, loop, trace, store or SimulatedStore(), kinds)
    loop.set_task_factory(owned_task)  # type: ignore[arg-type]
    loop.set_exception_handler(lambda _loop, _context: None)  # what workers raise is judged where they run
    alarms: list[str] = []
    with _prepared(trace, alarms), room_for(simulation.room, simulation.faults):
        try:
            differences = loop.run_until_complete(simulation.run())
        except Exception as error:  # noqa: BLE001 - whatever it is, the seed tells
            differences = [f"the simulation broke: {error!r}"]
        finally:
            loop.close()
    return Outcome(seed, simulation.faults, simulation.steps, [*alarms, *differences])


@contextmanager
def _prepared(trace: Trace | None, alarms: list[str]) -> Iterator[None]:
    """Within: the product's logs go into the trace, what it must never say to `alarms`; steps and batches are of the size of a run."""
    logged, every_s, enough = structlog.get_config(), window_agent.STEP_EVERY_S, waiting.ENOUGH_RECORDS
    look_s = probes.LOOK_S
    structlog.configure(
        processors=[_Told(trace, alarms)], wrapper_class=structlog.BoundLogger, cache_logger_on_first_use=False
    )
    window_agent.STEP_EVERY_S, waiting.ENOUGH_RECORDS = STEP_EVERY_S, ENOUGH_RECORDS
    probes.LOOK_S = NO_PROBES_S
    try:
        yield
    finally:
        window_agent.STEP_EVERY_S, waiting.ENOUGH_RECORDS, probes.LOOK_S = every_s, enough, look_s
        structlog.configure(**logged)


class _Told:
    """The product's logs: into the trace, or nowhere."""

    def __init__(self, trace: Trace | None, alarms: list[str]) -> None:
        self.trace, self.alarms = trace, alarms

    def __call__(self, _logger: Any, level: str, event: MutableMapping[str, Any]) -> str:
        what = event.pop("event")
        if "unreadable" in what:
            self.alarms.append(f"{what} {event}")
        if self.trace is not None:
            self.trace(f"{'':10s}      {level}: {what} {event}")
        raise structlog.DropEvent
