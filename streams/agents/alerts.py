"""The alert agent: consumes final windows, keeps the state of every alert in ClickHouse and tells it on the alerts topic.

A step: judge the windows; publish what changed; write the changed alerts in one insert; write the checkpoint; commit. State and history are loaded from ClickHouse, an
alert's row is written once per window end that changed it, and judging again gives the same rows: a restart loses none and tells at most the last one twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import polars as pl
import structlog
from faust.types import TP

from streams.agents.batches import Batch
from streams.agents.context import Context
from streams.agents.transport import Consumer, Seat
from streams.config import ALERTS_TOPIC, WINDOWS_TOPIC
from streams.detect.alert import Alert, alert_rows
from streams.detect.engine import AlertEngine
from streams.detect.policy import AlertPolicy
from streams.errors import Fenced
from streams.store.alerts import alert_checkpoint_row, load_alerts, load_history, load_watermark
from streams.windows.families import WINDOW_SCHEMA
from streams.windows.updates import WINDOWS, unpack

log = structlog.get_logger(__name__)


@dataclass
class Judged:
    """State of one partition of value-windows."""

    engine: AlertEngine
    next_offset: int


class AlertAgent:
    """Owns the alerts of this worker's partitions of value-windows."""

    topics = (WINDOWS_TOPIC,)

    def __init__(self, context: Context) -> None:
        self.context, self.settings = context, context.settings
        self.parts: dict[int, Judged] = {}
        self.generation = -1
        self._consumer: Consumer | None = None

    async def take_over(
        self, consumer: Consumer, tps: Iterable[TP], generation: int, alive: Callable[[], bool]
    ) -> None:
        """Load alerts and window history of the assigned partitions."""
        mine = sorted(tp for tp in tps if tp.topic == WINDOWS_TOPIC)
        self.generation, self.parts, self._consumer = generation, {}, consumer
        if not mine:
            return
        committed, begin = await consumer.committed(mine), await consumer.earliest_offsets(*mine)
        for tp in mine:
            offset = committed[tp]
            start = begin[tp] if offset is None else max(offset, begin[tp])
            self.parts[tp.partition] = await self.context.persist(alive, self._load, tp.partition, start)
        if not alive():
            raise Fenced("another rebalance began during the take-over")

    def _load(self, wpart: int, offset: int) -> Judged:
        stored, partitions = self.context.stored, self.context.partitions
        lateness_us = self.settings.allowed_lateness_s * 1_000_000
        engine = AlertEngine(AlertPolicy(), lateness_us)
        watermark = load_watermark(stored, wpart)
        if watermark:
            engine.load(load_alerts(stored, wpart, partitions, watermark), watermark)
            engine.load_history(load_history(stored, wpart, partitions, watermark, lateness_us))
        log.info("alerts taken over", partition=wpart, offset=offset, open_alerts=len(engine.open_alerts))
        return Judged(engine, offset)

    def seats(self, tps: Iterable[TP]) -> dict[TP, Seat]:
        """Where each owned partition is read from."""
        return {
            tp: Seat(self.parts[tp.partition].next_offset, self.generation)
            for tp in tps
            if tp.topic == WINDOWS_TOPIC and tp.partition in self.parts
        }

    def positions(self) -> dict[TP, int]:
        """Next offsets up to which alerts are written and committed."""
        return {TP(WINDOWS_TOPIC, wpart): part.next_offset for wpart, part in self.parts.items()}

    async def release(self, consumer: Consumer) -> None:
        """Give up all partitions: what they last judged is judged again by the next owner."""
        self.parts, self.generation = {}, -1

    async def process(self, batch: Batch) -> None:
        """Judge the windows of a batch and tell what changed."""
        part, generation, consumer = self.parts.get(batch.tp.partition), self.generation, self._consumer
        if part is None or consumer is None or batch.epoch != generation or batch.end <= part.next_offset:
            return

        def alive() -> bool:
            return self.generation == generation

        changes = await self.context.compute(self._judge, part, batch)
        try:
            await self.context.publish(
                ALERTS_TOPIC, [(change.fingerprint.encode(), change.message()) for change in changes]
            )
            if changes:
                await self.context.persist(alive, self.context.sink.rows, "alerts", alert_rows(changes))
            row = alert_checkpoint_row(batch.tp.partition, batch.end, part.engine.watermark_us, self.context.wall_us())
            await self.context.persist(alive, self.context.sink.rows, "alert_checkpoints", row)
            await consumer.commit_fenced({batch.tp: batch.end}, generation)
        except Fenced as reason:
            log.warning("alerts lost", partition=batch.tp.partition, reason=str(reason))
            if self.parts.get(batch.tp.partition) is part:  # else a later take-over has replaced it meanwhile
                del self.parts[batch.tp.partition]
            return
        for change in changes:
            self.context.metrics.add("tokenworth_alert_transitions_total", state=change.state)
        part.next_offset = batch.end

    @staticmethod
    def _judge(part: Judged, batch: Batch) -> list[Alert]:
        changes: list[Alert] = []
        for value in batch.records:
            if not value:
                continue
            try:
                kind, frame = unpack(value)
            except ValueError as error:
                log.warning("unreadable windows skipped", partition=batch.tp.partition, error=str(error))
                continue
            if kind == WINDOWS:
                changes += part.engine.on_windows(frame.filter(pl.col("status") == "final"), part.engine.watermark_us)
            else:
                latest = frame["usage_watermark"].max()
                assert isinstance(latest, int)
                changes += part.engine.on_windows(pl.DataFrame(schema=WINDOW_SCHEMA), latest)
        return changes

    async def run(self, consumer: Consumer) -> None:
        """Nothing to do between batches."""
