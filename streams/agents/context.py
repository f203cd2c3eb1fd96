"""What the agents of one worker share: settings, the store, a producer, threads for computing and for inserting."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, ParamSpec, TypeVar

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.exceptions import Error as ClickHouseError

from streams.agents.health import Health
from streams.config import Settings
from streams.errors import Fenced, RegistryUnavailable, StoreUnavailable, TokenworthError, first_line
from streams.metrics import Metrics
from streams.store.client import connect
from streams.store.installation import check_partitions
from streams.store.reading import ClickHouseStored, Stored
from streams.store.sink import ClickHouseInserts, Sink

log = structlog.get_logger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

FIRST_RETRY_S: Final = 0.2
LONGEST_RETRY_S: Final = 5.0
ANSWER_S: Final = 60
"""A network that drops packets must not hold an insert for the client's usual five minutes; what is sent again does no harm."""
STOP_LIMIT_S: Final = 8.5
"""A process that is told to stop, or has failed, ends within this time, in order or not: positions are safe at any moment."""
_LOOK_AGAIN_S: Final = 0.3
"""How soon a step that waits for the store notices that nobody needs it any more."""

OVERLOADED: Final = frozenset({75, 76, 159, 202, 209, 210, 241, 242, 243, 252, 319, 999})
"""ClickHouse's codes for time-outs, too many queries or parts, network, memory, disk and Keeper trouble: they pass."""


@dataclass
class Context:
    """Resources of a worker; opened and closed with its Faust app. Raises SetupError when `init` never ran here, or for other topics."""

    settings: Settings
    partitions: int
    worker: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")

    def __post_init__(self) -> None:
        client = connect(self.settings.clickhouse, send_receive_timeout=ANSWER_S)
        check_partitions(client, self.partitions)
        self.sink = Sink(ClickHouseInserts(client), self.worker)
        self.stored: Stored = ClickHouseStored(client)
        self._compute = ThreadPoolExecutor(1, "compute")
        self._insert = ThreadPoolExecutor(4, "insert")
        self._producer: AIOKafkaProducer | None = None
        self.opened = asyncio.Event()
        self.metrics = Metrics()
        self.health = Health(self.settings.stall_limit_s)
        self.failure: Exception | None = None

    def fail(self, error: Exception) -> None:
        """Stop the whole process because of an error: a worker is never left half alive. The first error is the one reported.

        Of a worker that was told to stop, an error is only logged: what it left undone, the next owner does.
        """
        if self.failure is not None:
            return
        if self.health.stopping:
            log.warning("given up while stopping", error=first_line(error))
            return
        self.failure, self.health.failure = error, first_line(error)
        log.critical(
            "worker stops", error=first_line(error), exc_info=None if isinstance(error, TokenworthError) else error
        )
        os.kill(os.getpid(), signal.SIGTERM)

    def stopping(self) -> None:
        """The process has been told to stop, or has failed: from now on its end is bounded by STOP_LIMIT_S."""
        self.health.stopping = True
        threading.Thread(target=self._leave_after, args=(STOP_LIMIT_S,), name="leave", daemon=True).start()

    def _leave_after(self, seconds: float) -> None:
        time.sleep(seconds)
        log.warning("leaving without waiting any longer", seconds=seconds)
        self.leave(0 if self.failure is None else 1)

    @staticmethod
    def leave(code: int) -> None:
        """End the process at once: no thread is waited for, nothing is closed."""
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

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
        self._producer = AIOKafkaProducer(  # without compression: updates and windows are compressed already
            bootstrap_servers=self.settings.kafka,
            acks="all",  # without idempotence: updates are absolute, and one request a partition is in flight, so a repeat does no harm
            linger_ms=5,
            max_request_size=16 << 20,
            max_batch_size=1 << 20,
        )
        await self._producer.start()
        self.opened.set()

    async def close(self) -> None:
        """Stop the producer; what threads still do is waited for by nobody."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()
        self._compute.shutdown(wait=False, cancel_futures=True)
        self._insert.shutdown(wait=False, cancel_futures=True)

    async def publish(self, topic: str, messages: Iterable[tuple[bytes | int, bytes]]) -> None:
        """Send (key, value) messages and wait until the broker has acknowledged all of them, however long it is away.

        A number instead of a key is the partition that a message goes to.

        Messages may arrive more than once; of those with one key none is overtaken for good by an earlier one.
        """
        waiting, delay = list(messages), FIRST_RETRY_S
        with self.health.waiting(topic, "Kafka") as wait:
            while waiting:
                acknowledged, error = await self._send(topic, waiting)
                waiting = waiting[acknowledged:]
                if error is not None:
                    wait.error = first_line(error)
                    log.warning("Kafka is away, trying again", topic=topic, error=wait.error)
                    await asyncio.sleep(delay)
                    delay = min(delay * 2, LONGEST_RETRY_S)

    async def _send(self, topic: str, messages: Sequence[tuple[bytes | int, bytes]]) -> tuple[int, KafkaError | None]:
        """How many of the messages were acknowledged before the first that was not, and the error of that one, if it may pass."""
        producer = self._producer
        if producer is None:
            raise Fenced("the worker has been closed")
        sent: list[Awaitable[Any]] = []
        try:
            for to, value in messages:
                key, partition = (b"", to) if isinstance(to, int) else (to, None)
                sent.append(await producer.send(topic, value, key=key, partition=partition))
            first_error: KafkaError | None = None
        except KafkaError as error:
            first_error = error
        acknowledged = len(sent)
        for i, answer in enumerate(await asyncio.gather(*sent, return_exceptions=True)):
            if isinstance(answer, BaseException):
                if not isinstance(answer, KafkaError):
                    raise answer
                acknowledged, first_error = i, answer
                break
        if first_error is not None and not first_error.retriable:
            raise first_error
        return acknowledged, first_error

    async def compute(self, step: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
        """Run a step on the one thread that owns the agents' state."""

        def run() -> R:
            with self.health.computing(step.__name__):
                return self._timed(step, *args, **options)

        return await asyncio.get_running_loop().run_in_executor(self._compute, run)

    async def prepare(self, step: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
        """Run a step that reads nothing but its arguments, beside the event loop and the agents' state."""
        return await asyncio.get_running_loop().run_in_executor(
            self._insert, lambda: self._timed(step, *args, **options)
        )

    async def persist(self, alive: Callable[[], bool], step: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
        """Run a store step until it succeeds; a failure that passes is retried while `alive`, then Fenced is raised.

        A step that has not come back by then is left to itself: its rows lie beyond the position, where nobody trusts them.
        """
        return await self._retry(alive, step.__name__, self._insert, lambda: self._timed(step, *args, **options))

    async def persist_state(
        self, alive: Callable[[], bool], step: Callable[P, R], *args: P.args, **options: P.kwargs
    ) -> R:
        """Likewise for a step on the agents' state, which must be repeatable up to where it can fail."""
        return await self._retry(alive, step.__name__, self._compute, lambda: self._timed(step, *args, **options))

    async def _retry(
        self, alive: Callable[[], bool], name: str, threads: ThreadPoolExecutor, step: Callable[[], R]
    ) -> R:
        delay, loop = FIRST_RETRY_S, asyncio.get_running_loop()
        with self.health.waiting(name, "ClickHouse") as wait:
            while alive():
                attempt = loop.run_in_executor(threads, step)
                try:
                    while not attempt.done() and alive():
                        await asyncio.wait({attempt}, timeout=_LOOK_AGAIN_S)
                    if attempt.done():
                        return attempt.result()
                except (ClickHouseError, RegistryUnavailable, StoreUnavailable, OSError) as error:
                    if not passes(error):
                        raise
                    wait.error = first_line(error)
                    if isinstance(error, RegistryUnavailable):
                        wait.system = "the schema registry"
                    self.metrics.add("tokenworth_insert_retries_total", table=name)
                    waited_s = round(time.monotonic() - wait.since, 1)
                    log.warning("store is away, trying again", step=name, error=wait.error, waited_s=waited_s)
                    await asyncio.sleep(delay)
                    delay = min(delay * 2, LONGEST_RETRY_S)
                finally:
                    attempt.cancel()
        raise Fenced("the partition was lost while the store was away")

    def _timed(self, step: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
        began = time.thread_time()
        try:
            return _caught(step, *args, **options)
        finally:
            name = step.__qualname__.replace(".<locals>", "")
            self.metrics.add("tokenworth_step_cpu_seconds_total", time.thread_time() - began, step=name)


def passes(error: Exception) -> bool:
    """Whether a store error may pass by itself: connection trouble and overload do, a refusal of the statement does not."""
    if isinstance(error, DatabaseError):
        code = re.search(r"Code: (\d+)", str(error))
        return code is None or int(code[1]) in OVERLOADED
    return True


def _caught(step: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
    """Run a step. A panic of a Rust library derives from BaseException, which nobody below an event loop expects: it becomes an error."""
    try:
        return step(*args, **options)
    except Exception:
        raise
    except BaseException as panic:
        raise RuntimeError(f"{step.__name__}: {type(panic).__name__}: {first_line(panic)}") from panic
