"""What the join agent tells after each commit: touched panes and bookings, watermarks, dead letters, and numbers to the metrics."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

import polars as pl

from streams.agents.context import Context
from streams.config import DEAD_TOPIC, ITEMS_TOPIC, PANES_TOPIC, USAGE_TOPIC
from streams.events.dead_letter import DeadLetter
from streams.join.flush import PartitionFlush
from streams.windows.updates import Message, pack_actors, pack_bookings, pack_panes, pack_watermarks


class Announcements:
    """Messages to pane-updates and dead-letters. Each of these calls returns when the broker has acknowledged them."""

    def __init__(self, context: Context) -> None:
        self.context = context

    async def publish(self, flushes: list[PartitionFlush]) -> None:
        """What flushes changed, then the watermarks as of their cut: batches applied since are not told yet, and must not make windows final."""
        await self.context.publish(PANES_TOPIC, await self.context.prepare(_updates, flushes))
        await self.context.publish(DEAD_TOPIC, [_message(letter) for f in flushes for letter in f.dead])
        await self.watermarks(
            [
                (f.partition, f.usage.position, f.items.position, max(f.usage.watermark, 0), max(f.items.watermark, 0))
                for f in flushes
            ]
        )

    def count(self, flushes: list[PartitionFlush], seconds: float) -> None:
        """To the metrics: that they were committed after so long, and the fates of their records."""
        metrics = self.context.metrics
        metrics.add("tokenworth_flushes_total", agent="join", result="committed")
        metrics.observe("tokenworth_flush_seconds", seconds, agent="join")
        for topic in (USAGE_TOPIC, ITEMS_TOPIC):
            applied = sum(len(rows) for f in flushes for rows in (f.packed if topic == USAGE_TOPIC else f.raw_items))
            duplicates = sum(len(d.rows) for f in flushes for d in f.duplicates if d.topic == topic)
            dead = sum(letter.topic == topic for f in flushes for letter in f.dead)
            for fate, count in (("applied", applied), ("duplicate", duplicates), ("dead", dead)):
                metrics.add("tokenworth_records_total", count, topic=topic, fate=fate)

    async def publish_again(self, partition: int, version: int, alive: Callable[[], bool]) -> None:
        """What a stored flush changed."""
        for name, pack in (("panes", pack_panes), ("actors", pack_actors), ("bookings", pack_bookings)):
            rows = await self.context.persist(
                alive, self.context.stored.read, f"recovery/flushed_{name}", kpart=partition, version=version
            )
            await self.context.publish(PANES_TOPIC, pack(rows))

    async def watermarks(self, rows: list[tuple[int, int, int, int, int]]) -> None:
        """Partition, positions of usage and items, watermarks of both (us): to every partition of pane-updates. 0 says nothing new."""
        if rows:
            message = pack_watermarks(rows)
            await self.context.publish(
                PANES_TOPIC, [(partition, message) for partition in range(self.context.partitions)]
            )


def _updates(flushes: list[PartitionFlush]) -> list[Message]:
    """What flushes changed, as messages."""
    messages: list[Message] = []
    for f in flushes:
        kpart = pl.lit(f.partition, pl.UInt16).alias("kpart")
        messages += pack_panes(f.touched.panes.with_columns(kpart, version=pl.lit(f.version, pl.UInt64)))
        messages += pack_actors(f.touched.actors.with_columns(kpart))
        messages += pack_bookings(f.bookings())
    return messages


def _message(letter: DeadLetter) -> Message:
    return f"{letter.topic}/{letter.partition}".encode(), json.dumps(asdict(letter)).encode()
