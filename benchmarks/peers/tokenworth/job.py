"""The peers' job with tokenworth's own parts: fetch, decode, running totals per line and per pane. No dedup, no sink, no join.

    python job.py BOOTSTRAP TOPIC RECORDS SCHEMA

Writes the progress lines of benchmarks/README.md.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
from aiokafka import AIOKafkaConsumer
from faust.types import TP

from streams.agents.batches import Batch, read_fetches_as_chunks
from streams.compiled import compiled
from streams.config import USAGE_TOPIC
from streams.events.decode import decode
from streams.events.texts import Texts, hashes
from streams.join.series import Series
from streams.join.table import KeyTable, Table, place
from streams.join.usage import numbers
from streams.value.prices import PriceBook
from streams.windows.measures import PANE_US, TOKEN_BUCKETS

Array = npt.NDArray[Any]

MEASURES: Final = ["events", "tokens", "output_tokens", "cost_micro_usd"]
_SUMS: Final = {"sums": (np.int64, (len(MEASURES),))}


class Job:
    """Running totals of lines (item, series) and panes (pane number, series); a series is a team, tool and model. Items keep their names."""

    def __init__(self) -> None:
        self.lines, self.panes, self.items = KeyTable(**_SUMS), KeyTable(**_SUMS), KeyTable()
        self.series = Series(PriceBook.shipped())
        self.names: list[pl.DataFrame] = []

    def apply(self, usage: pl.DataFrame) -> None:
        """Add decoded events."""
        series = self.series.of(usage).astype(np.uint64)
        tokens = numbers(usage.select(pl.sum_horizontal(TOKEN_BUCKETS)).to_series())
        amounts = tokens, numbers(usage["output_tokens"]), numbers(usage["cost_micro_usd"].fill_null(0))
        names = Texts.of(usage["work_item_id"])
        items, new = self.items.place(hashes(Texts.of(usage["tenant"]), names))
        if new.any():
            self.names.append(usage.select("tenant", "work_item_id").filter(new).with_columns(pl.all() + ""))
        panes = (numbers(usage["occurred_at"]) // PANE_US).astype(np.uint64)
        _add(self.lines, items.astype(np.uint64), series, names.views[:, 0] > 0, amounts)
        _add(self.panes, panes, series, np.ones(len(usage), np.bool_), amounts)


def _add(totals: KeyTable, high: Array, low: Array, counts: Array, amounts: tuple[Array, ...]) -> None:
    totals.reserve(len(high))
    add(totals.table, totals["sums"], high, low, counts, amounts)


@compiled
def add(table: Table, sums: Array, high: Array, low: Array, counts: Array, amounts: tuple[Array, ...]) -> None:
    """Add the events that count to their rows."""
    for i in range(len(high)):
        if counts[i]:
            row, _ = place(table, high[i], low[i])
            sums[row, 0] += 1
            for k in range(3):
                sums[row, 1 + k] += amounts[k][i]


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
            batch = Batch(TP(*part), 0, 0, tuple(chunks))
            decoded = decode(
                USAGE_TOPIC,
                batch.records,
                batch.offsets,
                batch.appended_at,
                partition=part.partition,
                partitions=partitions,
            )
            job.apply(decoded.frame)
            count += len(batch.records)
            if count < records:
                say(records=count)
    say(records=count)
    lines, panes = (totals["sums"][totals.rows()].sum(axis=0).tolist() for totals in (job.lines, job.panes))
    say(
        records=panes[0], tokens=panes[1], lines=len(job.lines), panes=len(job.panes), line_tokens=lines[1], pane_tokens=panes[1],
    )  # fmt: skip
    await consumer.stop()


def say(**line: int) -> None:
    """Write a progress line."""
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
