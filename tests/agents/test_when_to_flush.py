"""When a flush comes: after its interval, or after a third of it when enough rows are worth one."""

from __future__ import annotations

import asyncio

from streams.agents.join import EARLY, EARLY_ROWS, JoinAgent

INTERVAL_S = 1.5


class _Agent(JoinAgent):
    """Waiting alone, with so many rows."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.settings = type("Settings", (), {"flush_interval_s": INTERVAL_S, "flush_max_rows": 250_000})()
        self.context = type("Context", (), {"monotonic": lambda _: asyncio.get_running_loop().time()})()
        self._flush_soon = asyncio.Event()
        self.began = self.context.monotonic()
        self._soonest = self.began + EARLY * INTERVAL_S

    def _rows(self) -> int:
        return self.rows

    async def rested(self) -> float:
        """Shares of an interval that it waited."""
        await self._rest(self.began)
        return (self.context.monotonic() - self.began) / INTERVAL_S


async def test_few_rows_wait_for_the_interval() -> None:
    assert 1 <= await _Agent(EARLY_ROWS - 1).rested() < 1.3


async def test_enough_rows_wait_for_a_third_of_it() -> None:
    assert EARLY <= await _Agent(EARLY_ROWS).rested() < 0.6


async def test_rows_that_become_enough_wait_no_longer() -> None:
    agent = _Agent(0)
    waiting = asyncio.create_task(agent.rested())
    await asyncio.sleep(INTERVAL_S / 2)
    agent._look_at_rows()
    assert not agent._flush_soon.is_set()
    agent.rows = EARLY_ROWS
    agent._look_at_rows()
    assert 0.5 <= await waiting < 0.8


async def test_more_than_may_wait_is_flushed_at_once() -> None:
    agent = _Agent(250_000)
    agent._look_at_rows()
    assert await agent.rested() < 0.2


async def test_after_a_flush_that_took_longer_than_the_interval_the_next_one_is_due() -> None:
    agent = _Agent(1)
    await asyncio.sleep(1.2 * INTERVAL_S)
    assert await agent.rested() < 1.4
