"""The worker end to end: from records in Kafka to windows in ClickHouse that cover every one of them."""

from __future__ import annotations

import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.figures import Figures, Refused, Sample, figures, with_steps
from benchmarks.process import Tree
from streams.agents.initialise import initialise
from streams.agents.topics import delete_topics, end_offsets
from streams.config import ALERTS_TOPIC, DEAD_TOPIC, PANES_TOPIC, WINDOWS_TOPIC, Settings
from streams.events.keys import partition_of
from streams.local.process import reserve_port
from streams.local.stack import Stack
from streams.local.traffic import TENANT
from streams.store.client import connect
from streams.store.reading import ClickHouseStored, read
from streams.store.windows import load_checkpoints

OUTPUTS: Final = (PANES_TOPIC, WINDOWS_TOPIC, ALERTS_TOPIC, DEAD_TOPIC)
WORKER: Final = [sys.executable, "-m", "streams.cli", "worker", "--agents", "join,windows"]
"""The agents between Kafka and windows; in production as well alerts are judged in a process of their own (docker-compose.yml)."""
_POLL_S: Final = 0.1
_TIMEOUT_S: Final = 1800.0


def run_worker(
    stack: Stack, settings: Settings, number: int, progress: Callable[[int], None], *, processes: int = 1
) -> Figures:
    """One run of some worker processes over the input topics as they are, into a database, a group and output topics of its own, which are gone
    afterwards.

    Counts from the moment in which every worker owns partitions, and together all of them, until windows cover the last record; CPU time and
    memory are those of all workers. No `warm` rate: what is covered at half time is a flush or two behind what was worked on by then.
    Raises Refused when records are missing.
    """
    at = settings.model_copy(update={"clickhouse": f"{settings.clickhouse}_{number}", "group": f"bench-{number}"})
    initialise(at)
    client = connect(at.clickhouse)
    env = {"TOKENWORTH_CLICKHOUSE": at.clickhouse, "TOKENWORTH_GROUP": at.group}
    ports = [reserve_port("metrics_port") for _ in range(processes)]
    workers = [
        stack.spawn(f"worker-{number}-{process}", WORKER, env=env | {"TOKENWORTH_METRICS_PORT": str(port)})
        for process, port in enumerate(ports)
    ]
    try:
        trees = [Tree(worker.pid) for worker in workers]
        wanted = sum(end_offsets(at).values())
        _wait(stack, lambda: _owned(client) == (at.partitions, processes))
        before = _steps(ports)
        samples = [Sample(_covered(client, at.partitions), time.monotonic(), _cpu_s(trees))]

        def all_covered() -> bool:
            covered = _covered(client, at.partitions)
            if covered > samples[-1].records:
                samples.append(Sample(covered, time.monotonic(), _cpu_s(trees)))
            progress(covered)
            return covered >= wanted

        _wait(stack, all_covered)
        took = _steps(ports)
        took.subtract(before)
        found = figures(samples, sum(tree.peak_rss_bytes() for tree in trees))
        found = with_steps(replace(found, warm_events_per_cpu_s=0.0), samples[-1].records - samples[0].records, took)
        counts = read(client, "results/records").row(0, named=True)
        if counts["dead"] or counts["consumed"] != wanted:
            raise Refused(
                f"of {wanted:,} records {counts['consumed']:,} were consumed, {counts['dead']:,} as dead letters"
            )
        return found
    finally:
        for worker in workers:
            stack.release(worker)
        client.command(f"DROP DATABASE {at.clickhouse.rpartition('/')[2]}")
        client.close()
        delete_topics(at, OUTPUTS)


def _cpu_s(trees: list[Tree]) -> float:
    return sum(tree.cpu_s() for tree in trees)


def _steps(ports: Sequence[int]) -> Counter[str]:
    """CPU seconds of the workers' threads by step."""
    out: Counter[str] = Counter()
    for port in ports:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
            for family in text_string_to_metric_families(page.read().decode()):
                for sample in family.samples:
                    if sample.name == "tokenworth_step_cpu_seconds_total":
                        out[sample.labels["step"]] += sample.value  # type: ignore[assignment]  # a Counter of seconds
    return out


def _owned(client: Any) -> tuple[int, int]:
    """Partitions that have been taken over, and workers that own one."""
    owners = "SELECT argMax(worker, epoch) AS worker FROM claims GROUP BY kpart"
    return tuple(client.query(f"SELECT count(), uniqExact(worker) FROM ({owners})").result_rows[0])


def _covered(client: Any, partitions: int) -> int:
    """Records of both topics that the windows cover."""
    upart = partition_of(TENANT, partitions)
    checkpoint = load_checkpoints(ClickHouseStored(client), [upart]).get(upart)
    return 0 if checkpoint is None else sum(usage + items for _, usage, items, *_ in checkpoint.positions)


def _wait(stack: Stack, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while not ready():
        stack.check()
        if time.monotonic() > deadline:
            raise Refused(f"the worker is not done after {_TIMEOUT_S:g} s")
        time.sleep(_POLL_S)
