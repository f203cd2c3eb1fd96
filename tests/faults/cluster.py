"""A whole system whose parts can be hurt one by one: each worker reaches Kafka and ClickHouse over links of its own, and has a clock of its own."""

from __future__ import annotations

import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil  # type: ignore[import-untyped]
from clickhouse_connect.driver.exceptions import ClickHouseError

from streams.agents.initialise import initialise
from streams.config import Settings
from streams.local.process import Child, reserve_port
from streams.local.stack import DATABASE, Stack
from streams.store.client import connect
from tests.e2e.system import System
from tests.faults.links import ClickHouseLink, Loop, NetworkLink

SESSION_S = 6.0
"""The shortest session that Apache Kafka allows by default: a paused worker is missed soon."""
CLOCK = Path(__file__).with_name("clock")
STOP_S = 10.0


@dataclass
class Slot:
    """A place for a worker process: the links and the clock that it has."""

    number: int
    kafka: NetworkLink
    clickhouse: ClickHouseLink
    clock: Path
    metrics_port: int
    env: dict[str, str]
    child: Child | None = None
    wanted: bool = False
    peaks: list[tuple[float, int]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"worker-{self.number}"

    @property
    def ready(self) -> bool:
        """Whether its worker runs and has taken its partitions over."""
        if self.child is None or self.child.exit_code is not None:
            return False
        try:
            with urlopen(f"http://127.0.0.1:{self.metrics_port}/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def shift_clock(self, seconds: float) -> None:
        """Make the worker's time of day be `seconds` from the right one."""
        with self.clock.open("r+b") as file:
            file.write(struct.pack("d", seconds))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the worker."""
        assert self.child is not None
        os.killpg(self.child.pid, number)

    def rss(self) -> int:
        """Resident bytes of its worker; 0 without one."""
        with suppress(psutil.NoSuchProcess):
            if self.child is not None and self.child.exit_code is None:
                return int(psutil.Process(self.child.pid).memory_info().rss)
        return 0


@dataclass
class Stop:
    """A SIGTERM: what it took, and the exit code; None: it had to be killed."""

    worker: str
    seconds: float
    code: int | None

    def take(self, child: Child, since: float) -> None:
        """Wait for its end, and end it the hard way when that does not come."""
        self.code = child.join(6 * STOP_S)
        self.seconds = time.monotonic() - since
        child.kill()


@dataclass
class Cluster:
    """Broker, ClickHouse and up to three workers. Only the thread that made it may start processes: they end with it."""

    system: System
    slots: list[Slot]
    stops: list[Stop] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    leaving: dict[int, threading.Thread] = field(default_factory=dict)

    @property
    def stack(self) -> Stack:
        return self.system.stack

    @property
    def engine(self) -> Child:
        """ClickHouse's process."""
        return self.stack.child("clickhouse")

    @property
    def broker(self) -> Child:
        """Kafka's process."""
        return self.stack.child("kafka")

    def start(self, slot: Slot) -> None:
        """Start the worker of a slot; from now on it is started again when it ends by itself."""
        slot.child, slot.wanted = (
            self.stack.spawn(slot.name, [sys.executable, "-m", "streams.cli", "worker"], env=slot.env),
            True,
        )

    def kill(self, slot: Slot) -> None:
        """kill -9."""
        assert slot.child is not None
        slot.wanted = False
        slot.child.kill()
        self.stack.release(slot.child)

    def stop(self, slot: Slot) -> None:
        """Send SIGTERM; `tend` notes when it has ended. The time is taken by a thread: whoever tends may be waiting for ClickHouse."""
        child = slot.child
        assert child is not None
        slot.wanted = False
        leaving = Stop(slot.name, 0.0, None)
        self.leaving[slot.number] = threading.Thread(target=leaving.take, args=(child, time.monotonic()), daemon=True)
        self.stops.append(leaving)
        child.terminate()
        self.leaving[slot.number].start()

    def tend(self) -> None:
        """Note workers that have left, and start again those that ended by themselves, as a supervisor does."""
        for slot in self.slots:
            child = slot.child
            if child is None:
                continue
            if slot.number in self.leaving:
                if not self.leaving[slot.number].is_alive():
                    del self.leaving[slot.number]
                    slot.child = None
                    self.stack.release(child)
            elif child.exit_code is not None and slot.wanted:
                self.ended.append(f"{slot.name} ended with {child.exit_code}: {_last_words(child)}")
                self.stack.release(child)
                self.start(slot)

    def owned(self, slot: Slot) -> set[int]:
        """Partitions whose last flush was this slot's worker's. Raises what the client raises while ClickHouse is away."""
        return {row["kpart"] for row in self.system.checkpoints() if self.wrote(slot, row)}

    def wrote(self, slot: Slot, row: dict[str, Any]) -> bool:
        """Whether a checkpoint is of the worker that is in a slot now."""
        return slot.child is not None and writer(row) == slot.child.pid

    def checkpoints(self) -> list[dict[str, Any]] | None:
        """Positions, counts and last writer of each partition; None while ClickHouse is away."""
        try:
            return self.system.checkpoints()
        except (ClickHouseError, OSError):
            return None

    def wait(self, ready: Callable[[], bool], what: str, patience_s: float) -> None:
        """Block until `ready()`, tending the workers. Fails when nothing new is applied for `patience_s`."""
        since, before = time.monotonic(), -1
        while not ready():
            self.tend()
            rows = self.checkpoints()
            consumed = sum(row["usage_next"] + row["items_next"] for row in rows) if rows else before
            if consumed != before:
                since, before = time.monotonic(), consumed
            assert time.monotonic() - since < patience_s, (
                f"nothing new for {patience_s:g} s, waiting until {what}\n{rows}\n{self.ended}"
            )
            time.sleep(0.2)


def writer(row: dict[str, Any]) -> int:
    """Process id of the worker that wrote a checkpoint."""
    return int(row["worker"].rpartition(":")[2])


def _last_words(child: Child) -> str:
    lines = [line for line in child.log_tail().splitlines() if line.strip()]
    return " / ".join(lines[-3:])[:500]


@contextmanager
def running_cluster(
    data_dir: Path, *, workers: int = 3, partitions: int = 4, clickhouse_memory_mb: int = 2048, **settings: Any
) -> Iterator[Cluster]:
    """Broker and ClickHouse after `init`, with `workers` slots that are still empty."""
    ports = [reserve_port(f"listener {number}") for number in range(workers)]
    engine_port = reserve_port("clickhouse")
    with Loop() as loop:
        kafka = [NetworkLink(port) for port in ports]
        clickhouse = [ClickHouseLink(engine_port) for _ in ports]
        links: list[NetworkLink | ClickHouseLink] = [*kafka, *clickhouse]
        for link in links:
            loop.serve(link)
        proxies = {port: link.port for port, link in zip(ports, kafka, strict=True)}
        with Stack(
            data_dir,
            "kafka",
            clickhouse_port=engine_port,
            clickhouse_memory_mb=clickhouse_memory_mb,
            kafka_proxies=proxies,
        ) as stack:
            found = Settings(
                kafka=stack.kafka, clickhouse=stack.clickhouse, data_dir=data_dir, partitions=partitions, **settings
            )
            initialise(found)
            client = connect(found.clickhouse)
            try:
                slots = [_slot(data_dir, number, kafka[number], clickhouse[number], found) for number in range(workers)]
                yield Cluster(System(stack, found, client), slots)
            finally:
                client.close()


def _slot(data_dir: Path, number: int, kafka: NetworkLink, clickhouse: ClickHouseLink, settings: Settings) -> Slot:
    clock = data_dir / f"clock-{number}"
    clock.write_bytes(struct.pack("d", 0.0))
    metrics_port = reserve_port("metrics")
    path = os.pathsep.join(filter(None, (str(CLOCK), os.environ.get("PYTHONPATH"))))
    env = {
        "TOKENWORTH_KAFKA": f"127.0.0.1:{kafka.port}",
        "TOKENWORTH_CLICKHOUSE": f"http://127.0.0.1:{clickhouse.port}/{DATABASE}",
        "TOKENWORTH_SESSION_TIMEOUT_S": str(SESSION_S),
        "TOKENWORTH_WATERMARK_IDLE_S": str(settings.watermark_idle_s),
        "TOKENWORTH_METRICS_PORT": str(metrics_port),
        "TEST_CLOCK": str(clock),
        "PYTHONPATH": path,
    }
    if number == 1:  # one with a name in the group, which keeps its partitions over a restart
        env["TOKENWORTH_INSTANCE"] = "named"
    return Slot(number, kafka, clickhouse, clock, metrics_port, env)
