"""The alert agent: consumes final windows, keeps the state of every alert in ClickHouse and tells it on the alerts topic.

A step: judge the windows; note which notices are to be sent; write the alerts that changed in one insert; publish them; write the
checkpoint; commit. What is noted is sent beside these steps (agents/delivery.py). State and history are loaded
from ClickHouse. What is stored was judged and is not judged again, lest a revision that came meanwhile takes back what somebody was told; what
is stored beyond the checkpoint may not have been told, and is told again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import structlog
from faust.types import TP

from streams.agents.alert_rules import load_policy
from streams.agents.batches import Batch
from streams.agents.context import Context
from streams.agents.delivery import Deliverer
from streams.agents.delivery import Seat as Holding
from streams.agents.probes import Prober
from streams.agents.transport import Consumer, Seat
from streams.config import ALERTS_TOPIC, WINDOWS_TOPIC
from streams.deliver.configuration import load_calendars, load_channels
from streams.detect.alert import Alert, alert_rows, alerts_from_rows
from streams.detect.engine import AlertEngine
from streams.errors import Fenced
from streams.store.alerts import alert_checkpoint_row, load_alerts, load_history, load_watermark
from streams.windows.families import WINDOW_SCHEMA
from streams.windows.updates import WINDOW_COLUMNS, WINDOWS, unpack

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
        self.tenure = -1
        self._consumer: Consumer | None = None
        self._policy = load_policy(self.settings.alert_rules)
        path = Path(self.settings.channels) if self.settings.channels else None
        channels, self._calendars = (load_channels(path), load_calendars(path)) if path else ({}, ())
        self._deliverer = Deliverer(context, channels, self._seat, self._calendars)
        self._prober = Prober(context, self._deliverer, self._seat, self._policy)

    def _seat(self) -> Holding:
        return self.tenure, frozenset(self.parts)

    async def take_over(self, consumer: Consumer, tps: Iterable[TP], tenure: int, alive: Callable[[], bool]) -> None:
        """Load alerts and window history of the assigned partitions."""
        mine = sorted(tp for tp in tps if tp.topic == WINDOWS_TOPIC)
        self.tenure, self.parts, self._consumer = tenure, {}, consumer
        if not mine:
            return
        committed, begin = await consumer.committed(mine), await consumer.earliest_offsets(*mine)
        for tp in mine:
            offset = committed[tp]
            start = begin[tp] if offset is None else max(offset, begin[tp])
            self.parts[tp.partition] = await self._loaded(tp.partition, start, alive)

    async def _loaded(self, wpart: int, offset: int, alive: Callable[[], bool]) -> Judged:
        part, untold = await self.context.persist(alive, self._load, wpart, offset)
        await self._tell(untold)
        if not alive():
            raise Fenced("the partition was lost while its alerts were loaded")
        return part

    def _load(self, wpart: int, offset: int) -> tuple[Judged, list[Alert]]:
        """The state, and what an earlier owner has stored and perhaps not told."""
        stored, partitions = self.context.stored, self.context.partitions
        lateness_us = self.settings.allowed_lateness_s * 1_000_000
        engine = AlertEngine(self._policy, lateness_us, self._calendars)
        watermark, untold = load_watermark(stored, wpart), list[Alert]()
        if watermark:
            alerts = load_alerts(stored, wpart, partitions, watermark)
            untold = [change for alert in alerts_from_rows(alerts) for change in alert.since(watermark - lateness_us)]
            engine.load(alerts, watermark)
            engine.load_history(load_history(stored, wpart, partitions, watermark, lateness_us))
        log.info("alerts taken over", partition=wpart, offset=offset, open_alerts=len(engine.open_alerts))
        return Judged(engine, offset), untold

    def seats(self, tps: Iterable[TP]) -> dict[TP, Seat]:
        """Where each owned partition is read from."""
        return {
            tp: Seat(self.parts[tp.partition].next_offset, self.tenure)
            for tp in tps
            if tp.topic == WINDOWS_TOPIC and tp.partition in self.parts
        }

    def positions(self) -> dict[TP, int]:
        """Next offsets up to which alerts are written and committed."""
        return {TP(WINDOWS_TOPIC, wpart): part.next_offset for wpart, part in self.parts.items()}

    async def release(self, consumer: Consumer) -> None:
        """Give up all partitions: what they last judged is judged again by the next owner."""
        self.parts, self.tenure = {}, -1

    async def process(self, batch: Batch) -> None:
        """Judge the windows of a batch and tell what changed."""
        part, tenure, consumer = self.parts.get(batch.tp.partition), self.tenure, self._consumer
        if part is None or consumer is None or batch.epoch != tenure:
            return

        def alive() -> bool:
            return self.tenure == tenure

        try:
            if batch.begin != part.next_offset:
                log.warning(
                    "windows were lost on their way, reading the stored ones",
                    partition=batch.tp.partition,
                    offset=batch.begin,
                    position=part.next_offset,
                )
                part = self.parts[batch.tp.partition] = await self._loaded(batch.tp.partition, batch.begin, alive)
            changes = await self.context.compute(self._judge, part, batch)
            if changes:
                await self._deliverer.expect(changes, alive)
                await self.context.persist(alive, self.context.sink.rows, "alerts", alert_rows(changes))
                self._deliverer.wake()
            await self._tell(changes)
            row = alert_checkpoint_row(batch.tp.partition, batch.end, part.engine.watermark_us, self.context.wall_us())
            await self.context.persist(alive, self.context.sink.rows, "alert_checkpoints", row)
            await consumer.commit_fenced({batch.tp: batch.end}, tenure)
        except Fenced as reason:
            log.warning("alerts lost", partition=batch.tp.partition, reason=str(reason))
            if self.parts.get(batch.tp.partition) is part:  # else a later take-over has replaced it meanwhile
                del self.parts[batch.tp.partition]
            return
        for change in changes:
            self.context.metrics.add("tokenworth_alert_transitions_total", state=change.state)
        part.next_offset = batch.end

    async def _tell(self, changes: list[Alert]) -> None:
        await self.context.publish(
            ALERTS_TOPIC, [(change.fingerprint.encode(), change.message()) for change in changes]
        )

    @staticmethod
    def _judge(part: Judged, batch: Batch) -> list[Alert]:
        """Take in the windows up to each watermark together, then judge at it."""
        changes: list[Alert] = []
        arrived = [pl.DataFrame(schema=WINDOW_SCHEMA).select(WINDOW_COLUMNS)]
        for value in batch.records:
            if not value:
                continue
            try:
                kind, frame = unpack(value)
            except ValueError as error:
                log.warning("unreadable windows skipped", partition=batch.tp.partition, error=str(error))
                continue
            if kind == WINDOWS:
                arrived.append(frame.select(WINDOW_COLUMNS))
            else:
                latest = frame["usage_watermark"].max()
                assert isinstance(latest, int)
                changes += part.engine.on_windows(pl.concat(arrived, how="vertical_relaxed"), latest)
                arrived = arrived[:1]
        part.engine.load_history(pl.concat(arrived, how="vertical_relaxed"))
        return changes

    async def run(self, consumer: Consumer) -> None:
        """Ask probes and deliver alerts between batches."""
        await asyncio.gather(self._deliverer.run(), self._prober.run())
