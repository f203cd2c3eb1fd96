"""One benchmark: the stack, the input, then one system after another, in as many rounds as there are runs."""

from __future__ import annotations

import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from benchmarks.catalog import LIMITS, PEER_SYSTEMS, System
from benchmarks.figures import Figures, Refused, check, summary
from benchmarks.install import ROOT, SCHEMA, command, is_installed, version_of
from benchmarks.machine import machine_facts
from benchmarks.process import run as run_process
from benchmarks.traffic import Published, make, publish
from benchmarks.worker import run_worker
from streams.agents.initialise import initialise
from streams.config import Settings
from streams.errors import SetupError
from streams.local.broker import KAFKA_VERSION, missing_for_kafka
from streams.local.stack import Stack
from streams.store.client import connect

PARTITIONS: Final = 4
WORKER: Final = "worker"
QUICK_S: Final = 210.0
"""With --quick no system runs again that would not be done by then; making and publishing the input comes before."""
NAMES: Final = (WORKER, *(system.name for system in (*LIMITS, *PEER_SYSTEMS)))
_WORKER_CONFIGURATION: Final = "one `tokenworth worker --agents join,windows`, default settings"
_SCRATCH: Final = "benchmark_rows"


class Reporter(Protocol):
    """Tells what goes on."""

    def say(self, line: str) -> None: ...

    def counting(self, title: str, total: int) -> AbstractContextManager[Callable[[int], None]]: ...


@dataclass(frozen=True, slots=True)
class Options:
    """What may be chosen. `runs`: of what is fast; the slow peers, which get fewer events, run once with `quick`. `only`: empty for all."""

    events: int
    runs: int
    quick: bool = False
    only: frozenset[str] = frozenset()

    def wants(self, name: str) -> bool:
        return not self.only or name in self.only

    def share(self, system: System) -> int:
        """How many of the first usage events a system gets; 0: all."""
        return system.share(self.events, quick=self.quick)


def benchmark(options: Options, reporter: Reporter) -> dict[str, Any]:
    """Measure and return the results (benchmarks/README.md). Raises SetupError when the stack cannot start."""
    began = time.monotonic()
    absent: dict[str, str] = {}
    commands: dict[str, list[str]] = {}
    systems = [system for system in (*LIMITS, *PEER_SYSTEMS) if options.wants(system.name)]
    for system in systems:
        try:
            if not is_installed(system):
                reporter.say(f"installing {system.folder}, once")
            commands[system.name] = command(system)
        except SetupError as error:
            absent[system.name] = error.message
    systems = [system for system in systems if system.name in commands]
    installed = time.monotonic()
    reporter.say(f"making {options.events:,} usage events; starting broker and ClickHouse")
    facts, traffic = machine_facts(), make(options.events)
    with tempfile.TemporaryDirectory(prefix="tokenworth-bench-") as directory, Stack(Path(directory)) as stack:
        if missing := missing_for_kafka():
            reporter.say(f"broker: Tansu instead of Apache Kafka: {missing}")
        settings = Settings(
            kafka=stack.kafka, clickhouse=stack.clickhouse, partitions=PARTITIONS, data_dir=Path(directory)
        )
        initialise(settings)
        shares = sorted({options.share(system) for system in systems} - {0})
        with reporter.counting("publishing", round(1.02 * len(traffic.usage)) + len(traffic.items)) as progress:
            published = publish(settings, traffic, shares, progress)
        del traffic
        bench = _Bench(options, reporter, stack, settings, published, commands)
        runs = bench.rounds(systems)
        absent |= bench.refused
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": {"installing": round(installed - began), "measuring": round(time.monotonic() - installed)},
        "machine": {**facts, "broker": "tansu" if missing else f"Apache Kafka {KAFKA_VERSION}"},
        "traffic": {**published.facts, "partitions": PARTITIONS, **published.expected[max(published.expected)]},
        **results_of(runs, {system.name: system for system in systems}, published, options),
        "absent": absent,
    }


class _Bench:
    """The rounds over a running stack. `refused`: the systems without figures, and why."""

    def __init__(
        self,
        options: Options,
        reporter: Reporter,
        stack: Stack,
        settings: Settings,
        published: Published,
        commands: dict[str, list[str]],
    ) -> None:
        self._options, self._reporter, self._stack, self._settings = options, reporter, stack, settings
        self._published, self._commands = published, commands
        self.refused: dict[str, str] = {}
        self._ends = time.monotonic() + QUICK_S if options.quick else math.inf
        self._took_s: dict[str, float] = {}

    def rounds(self, systems: list[System]) -> dict[str, list[Figures]]:
        """Every system once a round, so that what else the machine does falls on all of them."""
        runs: defaultdict[str, list[Figures]] = defaultdict(list)
        for number in range(self._options.runs):
            if self._options.wants(WORKER):
                self._try(WORKER, runs, partial(self._worker, number))
            for system in systems:
                if number == 0 or not (self._options.quick and system.most_quick):
                    self._try(system.name, runs, partial(self._system, system))
        return {name: found for name, found in runs.items() if name not in self.refused}

    def _try(self, name: str, runs: dict[str, list[Figures]], measure: Callable[[], Figures]) -> None:
        began = time.monotonic()
        if name in self.refused or (runs[name] and began + self._took_s[name] > self._ends):
            return
        try:
            found = measure()
        except Refused as error:
            self.refused[name] = error.message
            self._reporter.say(f"{name}: not shown: {error.message}")
            return
        runs[name].append(found)
        self._took_s[name] = time.monotonic() - began
        self._reporter.say(
            f"{name}, run {len(runs[name])}: {found.events_per_s:,.0f} events/s, {found.events_per_cpu_s:,.0f} per CPU second, "
            f"{found.rss_mb:,.0f} MB, took {self._took_s[name]:.0f} s"
        )

    def _worker(self, number: int) -> Figures:
        with self._reporter.counting(f"{WORKER}, run {number + 1}", self._published.records) as progress:
            return run_worker(self._stack, self._settings, number, progress)

    def _system(self, system: System) -> Figures:
        published = self._published
        records = self._options.share(system) or max(published.topics)
        argv = [
            *self._commands[system.name],
            self._settings.kafka,
            published.topics[records],
            str(records),
            str(SCHEMA),
            *system.extra,
        ]
        inserts = "insert" in system.extra
        client = connect(self._settings.clickhouse)
        try:
            if inserts:
                client.command(f"DROP TABLE IF EXISTS {_SCRATCH}")
                client.command(f"CREATE TABLE {_SCRATCH} AS usage_events")
                argv += [self._settings.clickhouse, _SCRATCH]
            log = self._stack.logs / f"{system.name}.log"
            with tempfile.TemporaryDirectory() as scratch, self._reporter.counting(system.name, records) as progress:
                directory = ROOT if system.kind == "own" else Path(scratch)
                found, said = run_process(argv, records, log, progress, directory=directory)
            check(system.name, said, published.expected[records], least=system.says)
            if inserts:
                self._check_rows(client)
            return found
        finally:
            client.command(f"DROP TABLE IF EXISTS {_SCRATCH}")
            client.close()

    def _check_rows(self, client: Any) -> None:
        """Repeated events make one row, as in usage_events."""
        rows = client.query(f"SELECT count() FROM {_SCRATCH} FINAL").result_rows[0][0]
        if rows != self._options.events:
            raise Refused(f"{rows:,} different rows instead of {self._options.events:,} were inserted")


def results_of(
    runs: dict[str, list[Figures]], systems: dict[str, System], published: Published, options: Options
) -> dict[str, Any]:
    """`worker`, `limit` (the insert), `limits` and `peers` as far as they were measured."""

    def of(name: str) -> dict[str, object]:
        if name == WORKER:
            return summary(runs[name], events=published.records, configuration=_WORKER_CONFIGURATION)
        system = systems[name]
        events = options.share(system) or max(published.topics)
        return summary(runs[name], events=events, version=version_of(system), configuration=system.configuration)

    limits = {system.name: of(system.name) for system in LIMITS if system.name in runs}
    results: dict[str, Any] = {WORKER: of(WORKER)} if WORKER in runs else {}
    if "insert" in limits:
        results["limit"] = limits["insert"]
    return {
        **results,
        "limits": limits,
        "peers": {system.name: of(system.name) for system in PEER_SYSTEMS if system.name in runs},
    }
