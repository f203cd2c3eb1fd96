"""The peers' job with tokenworth's own parts: fetch, decode, running totals per line and per pane. No dedup, no sink, no join.

    python job.py BOOTSTRAP TOPIC RECORDS SCHEMA

Writes the progress lines of benchmarks/README.md.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, Final

import polars as pl
from aiokafka import AIOKafkaConsumer
from faust.types import TP
from streams.join.totals import Totals

from streams.agents.batches import joined, read_fetches_as_chunks
from streams.config import USAGE_TOPIC
from streams.events.decode import decode
from streams.windows.measures import PANE_US, TOKEN_BUCKETS

LINE: Final = ["work_item_id", "team", "tool", "model"]
PANE: Final = ["team", "tool", "model", "pane_start"]
MEASURES: Final = ["events", "tokens", "output_tokens", "cost_micro_usd"]


class Job:
    """Running totals of both kinds."""

    def __init__(self) -> None:
        self.lines, self.panes = Totals(len(MEASURES)), Totals(len(MEASURES))

    def apply(self, usage: pl.DataFrame) -> None:
        """Add decoded events."""
        usage = usage.with_columns(
            pane_start=pl.col("occurred_at") // PANE_US * PANE_US,
            events=pl.lit(1, pl.Int64),
            tokens=pl.sum_horizontal(TOKEN_BUCKETS),
        )
        _add(self.lines, usage.filter(pl.col("work_item_id") != ""), LINE)
        _add(self.panes, usage, PANE)


def _add(totals: Totals, usage: pl.DataFrame, key: list[str]) -> None:
    summed = usage.group_by(key).agg(pl.col(*MEASURES).sum())
    rows, _ = totals.rows(summed.select(key).iter_rows())
    totals.add(rows, summed.select(MEASURES).to_numpy())


async def main() -> None:
    """Run."""
    bootstrap, topic, wanted, _schema = sys.argv[1:]
    records, job, count = int(wanted), Job(), 0
    read_fetches_as_chunks()
    consumer: Any = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, max_partition_fetch_bytes=4 << 20, auto_offset_reset="earliest"
    )
    await consumer.start()
    partitions = len(consumer.partitions_for_topic(topic))
    while count < records:
        for part, chunks in (await consumer.getmany(timeout_ms=1000)).items():
            if not count:
                say(records=1)
            batch = joined(TP(*part), 0, 0, chunks)
            decoded = decode(
                USAGE_TOPIC,
                batch.values,
                batch.offsets,
                batch.appended_at,
                partition=part.partition,
                partitions=partitions,
            )
            job.apply(decoded.frame)
            count += len(batch.values)
            if count < records:
                say(records=count)
    say(records=count)
    lines, panes = (totals.sums(range(len(totals))).sum(axis=0).tolist() for totals in (job.lines, job.panes))
    say(
        records=panes[0], tokens=panes[1], lines=len(job.lines), panes=len(job.panes), line_tokens=lines[1], pane_tokens=panes[1],
    )  # fmt: skip
    await consumer.stop()


def say(**line: int) -> None:
    """Write a progress line."""
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
