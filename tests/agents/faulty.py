"""A worker with a fault in it: `python -m tests.agents.faulty NAME` is `tokenworth worker` in which one thing breaks."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from typing import Any

from streams.agents import health
from streams.agents.alerts import AlertAgent
from streams.agents.join import JoinAgent
from streams.agents.ownership import Ownership
from streams.agents.transport import ConsumerThread
from streams.agents.windows import WindowAgent

BROKEN = "broken on purpose"


class PanicException(BaseException):
    """As a Rust library raises it."""


def clickhouse_hangs_at_take_over() -> None:
    """ClickHouse, whose process id is in the environment, stops answering before the agents take over."""
    original = Ownership.take_over

    async def take_over(self: Ownership, app: Any) -> None:
        os.kill(int(os.environ["CLICKHOUSE_PID"]), signal.SIGSTOP)
        await original(self, app)

    Ownership.take_over = take_over  # type: ignore[method-assign]


def take_over_begins_late() -> None:
    """The first take-over begins when the next rebalance has begun, too: whoever joins is busy, and others come and go."""
    original = Ownership.take_over

    async def take_over(self: Ownership, app: Any) -> None:
        while app.rebalancing_count < 2:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.001)
        await original(self, app)

    Ownership.take_over = take_over  # type: ignore[method-assign]


def take_over_raises() -> None:
    """The last agent cannot take over."""

    async def take_over(*_: Any) -> None:
        raise RuntimeError(BROKEN)

    AlertAgent.take_over = take_over  # type: ignore[assignment]


def process_raises() -> None:
    """An agent fails at a batch."""

    async def process(*_: Any) -> None:
        raise RuntimeError(BROKEN)

    WindowAgent.process = process  # type: ignore[assignment,method-assign]


def run_raises() -> None:
    """What an agent does between batches fails."""

    async def run(*_: Any) -> None:
        await asyncio.sleep(1)
        raise RuntimeError(BROKEN)

    AlertAgent.run = run  # type: ignore[assignment,method-assign]


def release_raises() -> None:
    """An agent fails while it gives up its partitions."""

    async def release(self: AlertAgent, _: Any) -> None:
        if self.parts:
            raise RuntimeError(BROKEN)

    AlertAgent.release = release  # type: ignore[assignment,method-assign]


def compute_panics() -> None:
    """A Rust library panics in the compute thread."""

    def cut(_: JoinAgent) -> Any:
        raise PanicException(BROKEN)

    JoinAgent._cut = cut  # type: ignore[assignment,method-assign]


def fetch_raises() -> None:
    """A call into the consumer's thread fails."""

    async def fetch(*_: Any, **__: Any) -> Any:
        raise RuntimeError(BROKEN)

    ConsumerThread._fetch_records = fetch  # type: ignore[method-assign]


def consumer_thread_dies() -> None:
    """The consumer's thread ends by itself."""

    async def wait_until_stopped(_: Any) -> None:
        await asyncio.sleep(3)
        raise RuntimeError(BROKEN)

    ConsumerThread.wait_until_stopped = wait_until_stopped


def event_loop_hangs() -> None:
    """The event loop blocks for ever."""
    health.HANG_LIMIT_S = 2.0  # type: ignore[misc]

    async def run(*_: Any) -> None:
        time.sleep(3600)  # noqa: ASYNC251 - the fault

    AlertAgent.run = run  # type: ignore[assignment,method-assign]


def compute_thread_hangs() -> None:
    """A computation never ends."""
    health.HANG_LIMIT_S = 2.0  # type: ignore[misc]

    def cut(_: JoinAgent) -> Any:
        time.sleep(3600)

    JoinAgent._cut = cut  # type: ignore[assignment,method-assign]


if __name__ == "__main__":
    globals()[sys.argv.pop()]()
    from streams.cli import main

    sys.argv = ["tokenworth", "worker"]
    main()
