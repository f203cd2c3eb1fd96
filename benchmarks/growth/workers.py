"""End to end with one and two worker processes: Kafka to windows in ClickHouse, all on the same machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.growth.curve import Point, Scale
from benchmarks.run import PARTITIONS
from benchmarks.traffic import make, publish
from benchmarks.worker import run_worker
from streams.agents.initialise import initialise
from streams.config import Settings
from streams.local.stack import Stack

EVENTS: Final = {"full": 1_000_000, "quick": 400_000}


def workers(scale: Scale) -> Iterator[Point]:
    """x worker processes over the same input."""
    with tempfile.TemporaryDirectory(prefix="tokenworth-growth-") as directory, Stack(Path(directory)) as stack:
        settings = Settings(
            kafka=stack.kafka, clickhouse=stack.clickhouse, partitions=PARTITIONS, data_dir=Path(directory)
        )
        initialise(settings)
        publish(settings, make(EVENTS.get(scale.name, 20_000)), (), lambda _: None)
        for x in (1, 2):
            found = run_worker(stack, settings, x, lambda _: None, processes=x)
            yield {
                "x": x,
                "us": 1e6 / found.events_per_cpu_s,
                "events_per_s": found.events_per_s,
                "resident_mib": found.rss_mb * 1e6 / 2**20,
            }
