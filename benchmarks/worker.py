"""The worker end to end: from records in Kafka to windows in ClickHouse that cover every one of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Final

from benchmarks.figures import Figures, Refused, Sample, figures
from benchmarks.process import Tree
from streams.agents.initialise import initialise
from streams.agents.topics import delete_topics, end_offsets
from streams.config import ALERTS_TOPIC, DEAD_TOPIC, PANES_TOPIC, WINDOWS_TOPIC, Settings
from streams.events.keys import partition_of
from streams.local.stack import Stack
from streams.local.traffic import TENANT
from streams.store.client import connect
from streams.store.reading import ClickHouseStored, read
from streams.store.windows import load_checkpoint

OUTPUTS: Final = (PANES_TOPIC, WINDOWS_TOPIC, ALERTS_TOPIC, DEAD_TOPIC)
_POLL_S: Final = 0.1
_TIMEOUT_S: Final = 1800.0


def run_worker(stack: Stack, settings: Settings, number: int, progress: Callable[[int], None]) -> Figures:
    """One run over the input topics as they are, into a database, a group and output topics of its own, which are gone afterwards.

    Counts from the moment in which the worker owns all partitions until windows cover the last record. Raises Refused when records are missing.
    """
    at = settings.model_copy(update={"clickhouse": f"{settings.clickhouse}_{number}", "group": f"bench-{number}"})
    initialise(at)
    client = connect(at.clickhouse)
    worker = stack.spawn(
        f"worker-{number}",
        [sys.executable, "-m", "streams.cli", "worker"],
        env={"TOKENWORTH_CLICKHOUSE": at.clickhouse, "TOKENWORTH_GROUP": at.group},
    )
    try:
        tree = Tree(worker.pid)
        wanted = sum(end_offsets(at).values())
        _wait(stack, lambda: _owned(client) == at.partitions)
        samples = [Sample(0, time.monotonic(), tree.cpu_s())]

        def all_covered() -> bool:
            covered = _covered(client, at.partitions)
            if covered > samples[-1].records:
                samples.append(Sample(covered, time.monotonic(), tree.cpu_s()))
            progress(covered)
            return covered >= wanted

        _wait(stack, all_covered)
        found = figures(samples, tree.peak_rss_bytes())
        counts = read(client, "results/records").row(0, named=True)
        if counts["dead"] or counts["consumed"] != wanted:
            raise Refused(
                f"of {wanted:,} records {counts['consumed']:,} were consumed, {counts['dead']:,} as dead letters"
            )
        return found
    finally:
        stack.release(worker)
        client.command(f"DROP DATABASE {at.clickhouse.rpartition('/')[2]}")
        client.close()
        delete_topics(at, OUTPUTS)


def _owned(client: Any) -> int:
    """Partitions that the worker has taken over."""
    return int(client.query("SELECT uniqExact(kpart) FROM claims").result_rows[0][0])


def _covered(client: Any, partitions: int) -> int:
    """Records of both topics that the windows cover."""
    checkpoint = load_checkpoint(ClickHouseStored(client), partition_of(TENANT, partitions))
    return 0 if checkpoint is None else sum(usage + items for _, usage, items, *_ in checkpoint.positions)


def _wait(stack: Stack, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while not ready():
        stack.check()
        if time.monotonic() > deadline:
            raise Refused(f"the worker is not done after {_TIMEOUT_S:g} s")
        time.sleep(_POLL_S)
