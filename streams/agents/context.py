"""What the agents of one worker share: settings, the store, a producer, threads for computing and for inserting."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, ParamSpec, TypeVar

import structlog
from aiokafka import AIOKafkaProducer
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.exceptions import Error as ClickHouseError

from streams.config import Settings
from streams.errors import Fenced, RegistryUnavailable, StoreUnavailable, TokenworthError
from streams.metrics import Metrics
from streams.store.client import connect
from streams.store.reading import ClickHouseStored, Stored
from streams.store.sink import ClickHouseInserts, Sink

log = structlog.get_logger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

FIRST_RETRY_S: Final = 0.2
LONGEST_RETRY_S: Final = 5.0
FAILED_GRACE_S: Final = 10.0

OVERLOADED: Final = (
    "Code: 159",
    "Code: 202",
    "Code: 209",
    "Code: 210",
    "Code: 241",
    "Code: 242",
    "Code: 243",
    "Code: 252",
    "Code: 319",
    "Code: 999",
)
"""ClickHouse's codes for time-outs, too many queries or parts, network, memory, disk and Keeper trouble: they pass."""


@dataclass
class Context:
    """Resources of a worker; made before the Faust app, opened and closed with it."""

    settings: Settings
    partitions: int
    worker: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")

    def __post_init__(self) -> None:
        client = connect(self.settings.clickhouse)
        self.sink = Sink(ClickHouseInserts(client), self.worker)
        self.stored: Stored = ClickHouseStored(client)
        self._compute = ThreadPoolExecutor(1, "compute")
        self._insert = ThreadPoolExecutor(4, "insert")
        self._producer: AIOKafkaProducer | None = None
        self.opened = asyncio.Event()
        self.metrics = Metrics()
        self.failure: Exception | None = None

    def fail(self, error: Exception) -> None:
        """Stop the whole process because of an error: a worker is never left half alive. The first error is the one reported."""
        if self.failure is not None:
            return
        self.failure = error
        log.critical(
            "worker stops", error=_first_line(error), exc_info=None if isinstance(error, TokenworthError) else error
        )
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Thread(target=_leave_after, args=(FAILED_GRACE_S,), daemon=True).start()

    def monotonic(self) -> float:
        """Seconds that pass while the worker runs."""
        return time.monotonic()

    def wall_us(self) -> int:
        """The time of day, us."""
        return int(time.time() * 1e6)

    async def open(self) -> None:
        """Start the producer for derived topics, inside the running event loop. A second call does nothing."""
        if self._producer is not None:
            return
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self.settings.kafka,
            acks="all",  # without idempotence: updates are absolute, and one request a partition is in flight, so a repeat does no harm
            compression_type="lz4",
            linger_ms=5,
            max_request_size=16 << 20,
            max_batch_size=1 << 20,
        )
        await self._producer.start()
        self.opened.set()

    async def close(self) -> None:
        if self._producer is not None:
            await self._producer.stop()
        self._compute.shutdown(wait=False, cancel_futures=True)
        self._insert.shutdown(wait=False, cancel_futures=True)

    async def publish(self, topic: str, messages: Iterable[tuple[bytes, bytes]], partition: int | None = None) -> None:
        """Send (key, value) messages and wait until the broker has acknowledged all of them."""
        assert self._producer is not None
        sent = [await self._producer.send(topic, value, key=key, partition=partition) for key, value in messages]
        for future in sent:
            await future

    async def compute(self, step: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
        """Run a step on the one thread that owns the agents' state."""
        return await asyncio.get_running_loop().run_in_executor(self._compute, lambda: step(*args, **options))

    async def persist(self, alive: Callable[[], bool], step: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
        """Run a store step until it succeeds; a failure that passes is retried while `alive`, then Fenced is raised."""
        loop = asyncio.get_running_loop()
        return await self._retry(
            alive, step.__name__, lambda: loop.run_in_executor(self._insert, lambda: step(*args, **options))
        )

    async def persist_state(
        self, alive: Callable[[], bool], step: Callable[P, R], *args: P.args, **options: P.kwargs
    ) -> R:
        """Likewise for a step on the agents' state, which must be repeatable up to where it can fail."""
        return await self._retry(alive, step.__name__, lambda: self.compute(step, *args, **options))

    async def _retry(self, alive: Callable[[], bool], name: str, attempt: Callable[[], Awaitable[R]]) -> R:
        delay, began = FIRST_RETRY_S, time.monotonic()
        while True:
            if not alive():
                raise Fenced("the partition was lost while the store was away")
            try:
                return await attempt()
            except (ClickHouseError, RegistryUnavailable, StoreUnavailable, OSError) as error:
                if not passes(error):
                    raise
                self.metrics.add("tokenworth_insert_retries_total", table=name)
                log.warning(
                    "store is away, trying again",
                    step=name,
                    error=_first_line(error),
                    waited_s=round(time.monotonic() - began, 1),
                )
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_RETRY_S)


def passes(error: Exception) -> bool:
    """Whether a store error may pass by itself: connection trouble and overload do, a refusal of the statement does not."""
    if isinstance(error, DatabaseError):
        text = str(error)
        return "Code: " not in text or any(code in text for code in OVERLOADED)
    return True


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


def _leave_after(seconds: float) -> None:
    """End the process the hard way when an orderly stop hangs: positions are safe at any moment."""
    time.sleep(seconds)
    os._exit(1)
