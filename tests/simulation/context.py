"""The product's context of a worker, with its threads, producer, clock and store replaced by those of the simulation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import polars as pl
import pyarrow as pa
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from streams.agents.context import Context
from streams.agents.health import Health
from streams.errors import StoreUnavailable
from streams.metrics import Metrics
from streams.store.sink import Rows, Sink
from tests.simulation.broker import Broker
from tests.simulation.inputs import Inputs
from tests.simulation.loop import Puppet, blocking
from tests.simulation.store import SimulatedStore
from tests.store.blocks import unpacked

METRICS = Metrics()
"""Of all workers together: nobody reads them, and a registry costs more than a run."""

BROKEN: tuple[type[Exception], str] = (ConnectionResetError, "the connection broke")
ERRORS: tuple[tuple[type[Exception], str], ...] = (
    BROKEN,
    (ConnectionRefusedError, "nobody listens"),
    (OperationalError, "Timeout error HTTPDriver url http://clickhouse"),
    (DatabaseError, "Code: 241. DB::Exception: Memory limit exceeded"),
    (DatabaseError, "Code: 252. DB::Exception: Too many parts"),
    (StoreUnavailable, "nobody answers"),
)
"""What a store that is away or busy makes a client raise."""


class Host(Protocol):
    """The machine that a worker runs on."""

    name: str
    broker: Broker
    store: SimulatedStore
    inputs: Inputs

    async def step(self, kind: str, what: str) -> str: ...
    async def online(self) -> None: ...
    def monotonic(self) -> float: ...
    def wall_us(self) -> int: ...
    def failed(self, error: Exception) -> None: ...
    def drawn(self, among: int) -> int: ...
    def crash(self) -> None: ...


def any_error(host: Host) -> Exception:
    """One of ERRORS."""
    kind, text = ERRORS[host.drawn(len(ERRORS))]
    return kind(text)


class Executor:
    """A pool of `size` threads."""

    def __init__(self, host: Host, name: str, size: int) -> None:
        self._host, self._name, self._room = host, name, asyncio.Semaphore(size)

    async def run(self, step: Callable[[], Any], outside: asyncio.Future[Any]) -> None:
        """Run a step; nobody may wait for it any more."""
        async with self._room:
            if outside.cancelled():
                return
            try:
                await self._host.step("compute", self._name)
                result = await blocking(step)
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # noqa: BLE001 - whoever waits decides
                if not outside.done():
                    outside.set_exception(error)
            else:
                if not outside.done():
                    outside.set_result(result)


class RemoteStore:
    """The store as a worker's threads see it: requests take time, fail, or work and are not answered."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def insert(self, table: str, rows: Rows) -> None:
        Puppet.ask(lambda: self._insert(table, unpacked(rows)))

    def read(self, name: str, **parameters: Any) -> pl.DataFrame:
        found: pl.DataFrame = Puppet.ask(lambda: self._read(name, parameters))
        return found

    async def _insert(self, table: str, rows: pa.Table) -> None:
        host = self._host
        effect = await host.step("insert", f"{table} ({rows.num_rows})")
        if effect == "error":
            raise any_error(host)
        if host.inputs.out_of_time(table, rows):
            host.crash()
            await host.step("answer", table)
        if effect == "part":
            rows = rows.slice(0, host.drawn(rows.num_rows + 1))
        host.store.insert(table, rows)
        if effect in {"part", "lost answer"}:
            await host.step("answer", table)
            raise BROKEN[0](BROKEN[1])

    async def _read(self, name: str, parameters: dict[str, Any]) -> pl.DataFrame:
        if await self._host.step("read", name) == "error":
            raise any_error(self._host)
        return self._host.store.read(name, **parameters)


class Producer:
    """A producer without idempotence: it tries again until the broker has acknowledged, so a message may be there twice."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def send(
        self, topic: str, value: bytes, key: bytes | None = None, partition: int | None = None
    ) -> asyncio.Future[None]:
        """Resolves when the message is in the log."""
        effect = await self._host.step("publish", topic)
        await self._host.online()
        self._host.broker.append(topic, key or b"", value, partition)
        if effect == "twice":
            await self._host.step("publish", f"{topic} again")
            await self._host.online()
            self._host.broker.append(topic, key or b"", value, partition)
        acknowledged = asyncio.get_running_loop().create_future()
        acknowledged.set_result(None)
        return acknowledged


@dataclass
class SimulatedContext(Context):
    """The real retries, over the simulated outside."""

    host: Host = field(kw_only=True)

    def __post_init__(self) -> None:
        store = RemoteStore(self.host)
        self.sink, self.stored = Sink(store, self.worker), store
        self._compute = Executor(self.host, "compute", 1)  # type: ignore[assignment]
        self._insert = Executor(self.host, "insert", 4)  # type: ignore[assignment]
        self._producer = Producer(self.host)
        self.opened = asyncio.Event()
        self.metrics = METRICS
        self.health = Health(1e9)
        self.failure: Exception | None = None

    def fail(self, error: Exception) -> None:
        self.failure = self.failure or error
        self.host.failed(error)

    def monotonic(self) -> float:
        return self.host.monotonic()

    def wall_us(self) -> int:
        return self.host.wall_us()
