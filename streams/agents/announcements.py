"""What the join agent tells after each commit: touched panes and bookings, watermarks, dead letters."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

import polars as pl

from streams.agents.context import Context
from streams.config import DEAD_TOPIC, PANES_TOPIC
from streams.events.dead_letter import DeadLetter
from streams.join.flush import PartitionFlush
from streams.windows.updates import pack_actors, pack_bookings, pack_panes, pack_watermarks


class Announcements:
    """Messages to pane-updates and dead-letters. Each call returns when the broker has acknowledged them."""

    def __init__(self, context: Context) -> None:
        self.context = context

    async def publish(self, flushes: list[PartitionFlush]) -> None:
        """What flushes changed, then the watermarks as of their cut: batches applied since are not told yet, and must not make windows final."""
        for f in flushes:
            kpart = pl.lit(f.partition, pl.UInt16).alias("kpart")
            panes = f.touched.panes.with_columns(kpart, version=pl.lit(f.version, pl.UInt64))
            await self.context.publish(PANES_TOPIC, pack_panes(panes))
            await self.context.publish(PANES_TOPIC, pack_actors(f.touched.actors.with_columns(kpart)))
            await self.context.publish(PANES_TOPIC, pack_bookings(f.bookings()))
            await self.context.publish(DEAD_TOPIC, [_message(letter) for letter in f.dead])
        await self.watermarks(
            [
                (f.partition, f.usage.position, f.items.position, max(f.usage.watermark, 0), max(f.items.watermark, 0))
                for f in flushes
            ]
        )

    async def publish_again(self, partition: int, version: int, alive: Callable[[], bool]) -> None:
        """What a stored flush changed."""
        for name, pack in (("panes", pack_panes), ("actors", pack_actors), ("bookings", pack_bookings)):
            rows = await self.context.persist(
                alive, self.context.stored.read, f"recovery/flushed_{name}", kpart=partition, version=version
            )
            await self.context.publish(PANES_TOPIC, pack(rows))

    async def watermarks(self, rows: list[tuple[int, int, int, int, int]]) -> None:
        """Partition, positions of usage and items, watermarks of both (us): to every partition of pane-updates."""
        if rows:
            message = pack_watermarks(rows)
            for partition in range(self.context.partitions):
                await self.context.publish(PANES_TOPIC, [(b"", message)], partition)


def _message(letter: DeadLetter) -> tuple[bytes, bytes]:
    return f"{letter.topic}/{letter.partition}".encode(), json.dumps(asdict(letter)).encode()
