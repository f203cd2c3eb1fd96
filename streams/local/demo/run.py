"""Runs the demo: embedded stack, made traffic through Kafka as fast as it goes, then the figures that ClickHouse holds.

1. make the traffic; start broker and ClickHouse in an empty directory; `init`
2. start the worker; once it owns all partitions, publish
3. wait until windows cover the last record, then until the input has been idle and every window is final and judged
4. `verify`; read the figures
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

import psutil  # type: ignore[import-untyped]

from streams.agents.initialise import initialise
from streams.agents.topics import end_offsets
from streams.config import INPUT_TOPICS, Settings
from streams.errors import VerifyFailed
from streams.events.keys import partition_of
from streams.local.demo.figures import Records, Speed, Story, Verified
from streams.local.demo.story import tell
from streams.local.directory import locked_directory
from streams.local.stack import Stack
from streams.local.traffic import TENANT, Traffic, last_monday_us, make_traffic
from streams.local.traffic.records import records
from streams.publish.bulk import publish_records
from streams.store.alerts import load_watermark
from streams.store.client import connect
from streams.store.reading import ClickHouseStored, read
from streams.store.verify import verify
from streams.store.windows import load_checkpoints

PARTITIONS: Final = 4
IDLE_S: Final = 20
"""The demo need not wait the usual 30 s until an input that ended no longer holds the watermark back."""
_POLL_S: Final = 0.25


class Reporter(Protocol):
    """Tells what goes on."""

    def say(self, line: str) -> None: ...

    def counting(self, title: str, total: int) -> AbstractContextManager[Callable[[int], None]]: ...


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What may be chosen. `kafka_port`, `clickhouse_port`: 0 takes a free one."""

    seed: int = 7
    days: int = 28
    teams: int = 12
    events: int = 600_000
    broker: str = "auto"
    kafka_port: int = 0
    clickhouse_port: int = 0


@dataclass(frozen=True, slots=True)
class Shown:
    """A finished demo whose stack still runs."""

    story: Story
    stack: Stack
    seconds: float


@contextmanager
def run_demo(options: DemoOptions, settings: Settings, reporter: Reporter) -> Iterator[Shown]:
    """Inside the block the stack runs on, for queries. Raises SetupError when it cannot start, VerifyFailed when it cannot be verified."""
    began = time.monotonic()
    reporter.say(
        f"making {options.events:,} usage events of {options.teams} teams over {options.days} days, seed {options.seed}"
    )
    traffic = make_traffic(
        seed=options.seed,
        days=options.days,
        teams=options.teams,
        events=options.events,
        end_us=last_monday_us(datetime.now(UTC)),
    )
    directory = settings.data_dir / "demo"
    _empty(directory)
    reporter.say("starting broker and ClickHouse")
    with Stack(
        directory, options.broker, kafka_port=options.kafka_port, clickhouse_port=options.clickhouse_port
    ) as stack:
        at = settings.model_copy(
            update={
                "kafka": stack.kafka,
                "clickhouse": stack.clickhouse,
                "partitions": PARTITIONS,
                "data_dir": directory,
            }
        )
        initialise(at)
        streamed = _stream(at, stack, traffic, reporter)
        reporter.say("recomputing every stored row from the raw events")
        verified = _verify(at)
        client = connect(at.clickhouse)
        story = tell(client, traffic, streamed.records, verified, streamed.speed, at.allowed_lateness_s * 1_000_000)
        client.close()
        yield Shown(story, stack, time.monotonic() - began)


@dataclass(frozen=True, slots=True)
class _Streamed:
    records: Records
    speed: Speed


def _stream(settings: Settings, stack: Stack, traffic: Traffic, reporter: Reporter) -> _Streamed:
    worker = stack.spawn(
        "worker-1",
        [sys.executable, "-m", "streams.cli", "worker"],
        env={"TOKENWORTH_WATERMARK_IDLE_S": str(IDLE_S)},
    )
    client = connect(settings.clickhouse)
    _wait(stack, lambda: _owned(client) == PARTITIONS)
    process = psutil.Process(worker.pid)
    publishing = _Publishing(settings, records(traffic, PARTITIONS))
    estimate = round(1.02 * (len(traffic.usage) + len(traffic.items)))
    began, cpu_before = time.monotonic(), _cpu_seconds(process)
    with reporter.counting("published and applied", estimate) as progress:
        publishing.start()

        def covered() -> bool:
            publishing.check()
            progress(int(read(client, "results/records")["consumed"][0]))
            return publishing.done and _covers(client, end_offsets(settings))

        _wait(stack, covered)
    seconds, cpu_seconds = time.monotonic() - began, _cpu_seconds(process) - cpu_before
    reporter.say("waiting until every window is final and judged")
    final_us = traffic.end_us + settings.allowed_lateness_s * 1_000_000
    _wait(stack, lambda: load_watermark(ClickHouseStored(client), partition_of(TENANT, PARTITIONS)) >= final_us)
    counts = read(client, "results/records").row(0, named=True)
    client.close()
    found = Records(publishing.count, counts["applied"], counts["duplicate"], counts["dead"])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    speed = Speed(seconds, cpu_seconds, found.produced / seconds, found.produced / max(cpu_seconds, 1e-3), cores)
    return _Streamed(found, speed)


class _Publishing(threading.Thread):
    """Publishes in the background. `count` is final once `done`."""

    def __init__(self, settings: Settings, chunks: Iterator[list[Any]]) -> None:
        super().__init__(name="publishing", daemon=True)
        self._settings, self._chunks = settings, chunks
        self._error: BaseException | None = None
        self.count = 0
        self.done = False

    def run(self) -> None:
        try:
            self.count = publish_records(self._settings, self._flat())
            self.done = True
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self._error = error

    def check(self) -> None:
        """Raise what publishing came to."""
        if self._error is not None:
            raise self._error

    def _flat(self) -> Iterable[Any]:
        for chunk in self._chunks:
            yield from chunk


def _cpu_seconds(process: psutil.Process) -> float:
    """CPU time of a process and its threads."""
    times = process.cpu_times()
    return float(times.user + times.system)


def _owned(client: Any) -> int:
    """Partitions that a worker has taken over."""
    return int(client.query("SELECT uniqExact(kpart) FROM claims").result_rows[0][0])


def _wait(stack: Stack, ready: Callable[[], bool]) -> None:
    while not ready():
        stack.check()
        time.sleep(_POLL_S)


def _covers(client: Any, ends: dict[tuple[str, int], int]) -> bool:
    """Whether windows cover every record below the ends."""
    upart = partition_of(TENANT, PARTITIONS)
    checkpoint = load_checkpoints(ClickHouseStored(client), [upart]).get(upart)
    if checkpoint is None:
        return False
    reached = {
        (topic, kpart): offset
        for kpart, *offsets in (position[:3] for position in checkpoint.positions)
        for topic, offset in zip(INPUT_TOPICS, offsets, strict=True)
    }
    return all(reached.get(place, 0) >= end for place, end in ends.items())


def _verify(settings: Settings) -> Verified:
    client = connect(settings.clickhouse)
    report = verify(client, allowed_lateness_s=settings.allowed_lateness_s)
    client.close()
    if report.note:
        raise VerifyFailed(report.note, remedy="see the worker's log")
    return Verified(report.rows, report.different)


def _empty(directory: Path) -> None:
    """Remove what an earlier demo left. Raises SetupError while one runs there."""
    with locked_directory(directory):
        for left in ("clickhouse", "kafka", "logs", "faust"):
            shutil.rmtree(directory / left, ignore_errors=True)
