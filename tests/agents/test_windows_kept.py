"""A partition of pane-updates that a later take-over has kept stays owned, whatever becomes of the step before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams.agents import windows
from streams.agents.windows import Updates, WindowAgent
from streams.config import PANES_TOPIC
from streams.errors import Fenced
from streams.windows.watermark import InputWatermarks

GRACE_S = 0.05
TPS = [TP(PANES_TOPIC, upart) for upart in range(2)]


class _Engine:
    """With windows to write, or none."""

    def __init__(self, waiting: bool) -> None:
        self.waiting = self.revisions_wait = waiting

    def due(self, _: int) -> bool:
        return self.waiting


class _Context:
    """A store that holds nothing, and one input partition whose watermark is known."""

    partitions = 1
    settings = SimpleNamespace(take_over_grace_s=GRACE_S)
    stored = metrics = SimpleNamespace(set=lambda *_, **__: None)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def wall_us(self) -> int:
        return 0

    async def persist(self, alive: Callable[[], bool], step: Callable[..., Any], *_: Any) -> dict[int, Any]:
        if not alive():
            raise Fenced(step.__name__)
        return {}

    async def publish(self, *_: Any) -> None:
        """Nobody reads it."""


class _Consumer:
    """Nothing moves; a commit waits for `answered`, and comes too late when another tenure has begun."""

    def __init__(self, agent: WindowAgent) -> None:
        self.agent, self.answered = agent, asyncio.Event()

    async def committed(self, tps: list[TP]) -> dict[TP, int]:
        return dict.fromkeys(tps, 0)

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, 0)

    async def commit_fenced(self, _: dict[TP, int], tenure: int) -> None:
        await self.answered.wait()
        if tenure != self.agent.tenure:
            raise Fenced(f"tenure {tenure} is over")


class _Agent(WindowAgent):
    """Steps whose windows are written when `written` is set; some of its partitions have none to write."""

    def __init__(self, *waiting: bool) -> None:
        super().__init__(_Context())  # type: ignore[arg-type]
        self.written, self.writing = asyncio.Event(), asyncio.Event()
        self.tenure = 1
        for upart, waits in enumerate(waiting):
            watermarks = InputWatermarks(1)
            watermarks.merge_rows([(0, 0, 0, 1, 1)])
            part = Updates(upart, None, watermarks, 0, 0, 0, False, stepped_offset=-1 if waits else 0)
            part.engine = _Engine(waits)  # type: ignore[assignment]
            self.parts[upart] = part

    async def _write(self, *_: Any) -> None:
        self.writing.set()
        await self.written.wait()


async def _held_after(agent: _Agent, consumer: _Consumer, go_on: asyncio.Event) -> dict[int, Updates]:
    """What the agent holds when its step was under way at a rebalance, went on after the next take-over, and failed."""
    before = dict(agent.parts)
    running = asyncio.create_task(agent.run(consumer))  # type: ignore[arg-type]
    agent._told.set()
    await agent.writing.wait()
    for event in {agent.written, consumer.answered} - {go_on}:
        event.set()
    await agent.release(consumer)  # type: ignore[arg-type]
    await agent.take_over(consumer, TPS, 2, lambda: True)  # type: ignore[arg-type]
    kept = {upart for upart, part in agent.parts.items() if part is before[upart]}
    go_on.set()
    async with agent._stepping:
        running.cancel()
    assert kept == {1}
    return agent.parts


async def test_when_a_commit_comes_too_late() -> None:
    agent = _Agent(True, False)
    consumer = _Consumer(agent)
    assert (await _held_after(agent, consumer, consumer.answered)).keys() == {0, 1}


async def test_when_the_turn_of_one_comes_too_late() -> None:
    agent = _Agent(True, True)
    held = await _held_after(agent, _Consumer(agent), agent.written)
    assert held.keys() == {0, 1}
    assert not any(part.busy for part in held.values())


@pytest.fixture(autouse=True)
def _step_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "STEP_EVERY_S", 0.02)
