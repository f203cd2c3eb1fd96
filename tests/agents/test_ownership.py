"""Who is asked what when partitions come and go, with agents that only write down what happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from faust.types import TP

from streams.agents import ownership as module
from streams.agents.batches import Batch
from streams.agents.health import Health
from streams.agents.ownership import Ownership
from streams.agents.transport import Tail
from streams.errors import Fenced

HERE, THERE = TP("here", 0), TP("there", 0)


@dataclass
class Agent:
    """Owns all partitions of its topic. `answers`: what the next take-overs do."""

    tp: TP
    answers: list[Callable[[], None]] = field(default_factory=list)
    taken: int = 0
    released: int = 0
    slow_s: float = 0.0
    topics: tuple[str, ...] = ()

    async def take_over(self, consumer: Any, tps: Iterable[TP], tenure: int, alive: Callable[[], bool]) -> None:
        assert tenure == 3
        assert set(tps) == {HERE, THERE}
        self.taken += 1
        if self.answers:
            self.answers.pop(0)()

    def seats(self, tps: Iterable[TP]) -> dict[TP, Any]:
        return {tp: (self.taken, 0) for tp in tps if tp == self.tp}

    def positions(self) -> dict[TP, int]:
        return {self.tp: 5} if self.taken > self.released else {}

    async def release(self, consumer: Any) -> None:
        await asyncio.sleep(self.slow_s)
        self.released += 1

    async def process(self, batch: Batch) -> None:
        """Not asked for."""

    async def run(self, consumer: Any) -> None:
        """Not asked for."""


@dataclass
class Group:
    """The app and its consumer, as far as the ownership looks at them."""

    rebalancing_count: int = 1
    should_stop: bool = False
    tenure: int = 3
    silent: bool = False

    @property
    def consumer(self) -> Group:
        return self

    def assignment(self) -> set[TP]:
        return {HERE, THERE}

    async def tails(self) -> dict[TP, Tail]:
        if self.silent:
            await asyncio.Event().wait()
        return {HERE: Tail(5, 9, 1), THERE: Tail(5, 5, 1)}


def refused() -> None:
    raise Fenced("another worker was faster")


@pytest.fixture
def agents() -> list[Agent]:
    return [Agent(HERE), Agent(THERE)]


@pytest.fixture
def owner(agents: list[Agent], monkeypatch: pytest.MonkeyPatch) -> Ownership:
    monkeypatch.setattr(module, "REFUSED_PAUSE_S", 0.01)
    monkeypatch.setattr(module, "WATCH_EVERY_S", 0.01)
    monkeypatch.setattr(module, "TAILS_PATIENCE_S", 0.05)
    return Ownership(agents, Health(0.3))


async def test_all_agents_take_over_before_the_worker_is_ready(owner: Ownership, agents: list[Agent]) -> None:
    seen: list[bool] = []
    agents[1].answers = [lambda: seen.append(owner.health.taken_over)]
    await owner.take_over(Group())
    assert seen == [False]
    assert owner.health.taken_over
    assert owner.seats([HERE, THERE]) == {HERE: (1, 0), THERE: (1, 0)}


async def test_a_refused_claim_is_tried_again(owner: Ownership, agents: list[Agent]) -> None:
    agents[1].answers = [refused, refused]
    await owner.take_over(Group())
    assert [agent.taken for agent in agents] == [3, 3]
    assert owner.health.taken_over


async def test_the_next_rebalance_ends_a_take_over(owner: Ownership, agents: list[Agent]) -> None:
    group = Group()

    def rebalanced() -> None:
        group.rebalancing_count += 1
        refused()

    agents[0].answers = [refused, rebalanced]
    await owner.take_over(group)
    assert [agent.taken for agent in agents] == [2, 0]
    assert not owner.health.taken_over


async def test_a_take_over_that_begins_in_the_middle_of_a_rebalance_ends_with_it(
    owner: Ownership, agents: list[Agent]
) -> None:
    """The count of rebalances moves when one begins, and partitions are assigned at its end: what is taken over in between is of yesterday."""
    group = Group()

    def assigned() -> None:
        group.tenure += 1
        refused()

    agents[0].answers = [refused, assigned, refused]
    await asyncio.wait_for(owner.take_over(group), 5)
    assert agents[0].taken == 2
    assert not owner.health.taken_over


async def test_so_does_the_end_of_the_worker(owner: Ownership, agents: list[Agent]) -> None:
    group = Group()

    def told_to_stop() -> None:
        group.should_stop = True
        refused()

    agents[0].answers = [told_to_stop]
    await owner.take_over(group)
    assert not owner.health.taken_over


async def test_an_error_is_nobody_elses_business(owner: Ownership, agents: list[Agent]) -> None:
    def broken() -> None:
        raise RuntimeError("broken")

    agents[1].answers = [broken]
    with pytest.raises(RuntimeError, match="broken"):
        await owner.take_over(Group())
    assert not owner.health.taken_over


async def test_agents_give_up_together_and_the_worker_is_not_ready_meanwhile(
    owner: Ownership, agents: list[Agent]
) -> None:
    await owner.take_over(Group())
    for agent in agents:
        agent.slow_s = 0.3
    began = asyncio.get_running_loop().time()
    giving_up = asyncio.create_task(owner.release(Group()))
    await asyncio.sleep(0.05)
    assert not owner.health.taken_over
    await giving_up
    assert asyncio.get_running_loop().time() - began < 0.55
    assert [agent.released for agent in agents] == [1, 1]


@pytest.mark.parametrize("silent", [False, True])
async def test_the_record_of_health_follows(owner: Ownership, agents: list[Agent], silent: bool) -> None:
    """Of a partition that does not move, and of a consumer that does not answer."""
    group = Group()
    watching = asyncio.create_task(owner.watch(group))
    try:
        await asyncio.sleep(0.05)
        assert owner.health.ready() == "no partitions taken over yet"
        await owner.take_over(group)
        await asyncio.sleep(0.15)
        assert owner.health.ready() == ""
        group.silent = silent
        await asyncio.sleep(0.6)
        assert "here[0] stalls since" in owner.health.ready()
        assert "4 records behind position 5" in owner.health.ready()
        await owner.release(group)
        await asyncio.sleep(0.15)
        assert owner.health.ready() == "no partitions taken over yet"
    finally:
        watching.cancel()
