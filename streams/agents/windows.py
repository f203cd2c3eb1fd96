"""The window agent: consumes pane updates, keeps every touched rolling window up to date in ClickHouse and on the value-windows topic.

A step does, in this order: write the windows that updates changed (version = incarnation << 40 | consumed offset) and publish them, frame
by frame, so that a long step takes little memory; publish its watermarks; write its checkpoints; commit. Updates are absolute, so a replayed
step converges. What is committed never passes an update whose revisions still wait for their throttle: after a crash it is read again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import polars as pl
import structlog
from faust.types import TP

from streams.agents.batches import Batch
from streams.agents.context import Context
from streams.agents.transport import Consumer, Seat
from streams.config import PANES_TOPIC, WINDOWS_TOPIC
from streams.errors import Fenced, StoreRestored
from streams.events.keys import partition_of
from streams.store.windows import (
    Position,
    WindowCheckpoint,
    load_checkpoints,
    load_state,
    previous_windows,
    shown_windows,
    stored_sums,
    stored_versions,
    tenants,
    window_checkpoint_rows,
    window_rows,
    window_version,
)
from streams.windows.engine import WindowEngine, kept_from
from streams.windows.measures import DAY_US
from streams.windows.stale import Inherited
from streams.windows.updates import (
    ACTORS,
    BOOKINGS,
    COLUMNS,
    PANES,
    WATERMARKS,
    pack_watermarks,
    pack_windows,
    told,
    unpack,
)
from streams.windows.watermark import InputWatermarks

log = structlog.get_logger(__name__)

MOST_WAITING = 50_000
"""Rows of updates that wait for the end of their flush: a call on a column has a cost of its own, however short the column is."""

STEP_EVERY_S = 2.0
"""Without a reason to step before. What a flush told is written once its throttle is open, which is looked at twenty times in this time."""


@dataclass
class Updates:
    """State of one partition of pane-updates: the tenants whose keys hash to it."""

    upart: int
    checkpoint: WindowCheckpoint | None
    """The last one that is stored."""
    watermarks: InputWatermarks
    incarnation: int
    next_offset: int
    settled_offset: int
    updates_lost: bool
    watermark: int = 0
    engine: WindowEngine | None = None
    """None until the first update or step needs it: reading it takes seconds, and the join should not wait for that."""
    inherited: Inherited | None = None
    stepped_offset: int = -1
    settled_positions: list[Position] = field(default_factory=list)
    updated: bool = False
    waiting: defaultdict[bytes, list[pl.DataFrame]] = field(default_factory=lambda: defaultdict(list))
    """Updates that are read and not in the engine yet, by kind."""
    busy: bool = False
    """An update is being applied or a step is under way: if it is abandoned, the engine cannot be used any more."""


class WindowAgent:
    """Owns the windows of this worker's partitions of pane-updates."""

    topics = (PANES_TOPIC,)

    def __init__(self, context: Context) -> None:
        self.context, self.settings = context, context.settings
        self.parts: dict[int, Updates] = {}
        self._parked: dict[int, Updates] = {}
        self.tenure = -1
        self._closing = False
        self._stepping, self._told = asyncio.Lock(), asyncio.Event()

    async def take_over(self, consumer: Consumer, tps: Iterable[TP], tenure: int, alive: Callable[[], bool]) -> None:
        """Find out where the assigned partitions go on. Their state is loaded later; what nobody else has moved meanwhile is kept."""
        mine = sorted(tp for tp in tps if tp.topic == PANES_TOPIC)
        self.tenure, self._closing, self.parts = tenure, False, {}
        if mine:
            committed, begin = await consumer.committed(mine), await consumer.earliest_offsets(*mine)
            uparts = [tp.partition for tp in mine]
            checkpoints = await self.context.persist(alive, load_checkpoints, self.context.stored, uparts)
            self.parts = {
                tp.partition: self._place(tp.partition, checkpoints.get(tp.partition), committed[tp], begin[tp])
                for tp in mine
            }
        if not alive():
            raise Fenced("another rebalance began during the take-over")
        self._parked = {}

    def _place(self, upart: int, checkpoint: WindowCheckpoint | None, committed: int | None, begin: int) -> Updates:
        """Where a partition goes on."""
        kept = self._parked.get(upart)
        if (
            kept is not None
            and not kept.busy
            and kept.checkpoint == checkpoint
            and kept.settled_offset == committed
            and begin <= kept.next_offset
        ):
            return kept
        watermarks = InputWatermarks(self.context.partitions)
        if checkpoint is not None:
            watermarks.merge_rows(checkpoint.positions)
        if committed is not None and checkpoint is not None and checkpoint.next_offset < committed:
            log.warning(
                "ClickHouse is behind the group, reading updates again",
                partition=upart,
                position=committed,
                stored=checkpoint.next_offset,
            )
            committed = checkpoint.next_offset
        offset = begin if committed is None else max(committed, begin)
        # Updates were deleted unread, or the topic was created anew: what they would have said is in the store, so all of it counts as said.
        life, positions = checkpoint.incarnation if checkpoint else 0, watermarks.positions()
        found = Updates(upart, checkpoint, watermarks, life, offset, offset, False, settled_positions=positions)
        return self._without_updates(found, offset, committed) if checkpoint and offset != committed else found

    @staticmethod
    def _without_updates(part: Updates, offset: int, position: int | None) -> Updates:
        """A partition that goes on at another offset than its position (None: that is lost)."""
        log.warning(
            "pane updates were lost, every window is looked at again",
            partition=part.upart,
            offset=offset,
            position=position,
        )
        positions = part.watermarks.positions()
        return Updates(
            part.upart, part.checkpoint, part.watermarks, part.incarnation + 1, offset, offset, True, settled_positions=positions
        )  # fmt: skip

    def _load(self, part: Updates) -> WindowEngine:
        """Load the state from ClickHouse; it may be ahead of the position, which does no harm."""
        stored, reached = self.context.stored, part.checkpoint.watermark if part.checkpoint else None
        versions = stored_versions(stored)
        owned = [name for name in tenants(stored) if partition_of(name, self.context.partitions) == part.upart]
        lateness_us, horizon_us = (
            self.settings.allowed_lateness_s * 1_000_000,
            self.settings.horizon_days * DAY_US,
        )
        engine = WindowEngine(lateness_us, horizon_us, partial(previous_windows, stored), partial(stored_sums, stored))
        kept = load_state(stored, owned, kept_from(reached, lateness_us, horizon_us))
        engine.load(*kept, versions, watermark_us=reached)
        if part.updates_lost:
            panes, bookings, actors = load_state(stored, owned, 0)
            engine.apply_panes(panes)
            engine.apply_bookings(bookings)
            engine.apply_actors(actors)
        shown = shown_windows(stored, owned)
        part.inherited = Inherited(shown, lateness_us)
        part.watermark = max([reached or 0, *shown["watermark"]])  # the last step may have ended before its checkpoint
        log.info(
            "windows taken over",
            partition=part.upart,
            offset=part.next_offset,
            rows=engine.rows_kept,
        )
        return engine

    async def _loaded(self, part: Updates) -> WindowEngine:
        """The state of a partition. Raises Fenced when the partition is lost before that is loaded."""
        if part.engine is None:

            def alive() -> bool:
                return self.parts.get(part.upart) is part and not self._closing

            part.engine = await self.context.persist(alive, self._load, part)
            if not alive():
                raise Fenced("the partition was lost while its windows were loaded")
        return part.engine

    def seats(self, tps: Iterable[TP]) -> dict[TP, Seat]:
        """Where each owned partition is read from."""
        return {
            tp: Seat(self.parts[tp.partition].next_offset, self.tenure)
            for tp in tps
            if tp.topic == PANES_TOPIC and tp.partition in self.parts
        }

    def positions(self) -> dict[TP, int]:
        """Next offsets up to which updates are applied: what is committed may stay behind them, by the throttle of revisions."""
        return {TP(PANES_TOPIC, upart): part.next_offset for upart, part in self.parts.items()}

    async def release(self, consumer: Consumer) -> None:
        """Give up all partitions: their windows are written again by the next owner. Waits for the step in flight, within the grace."""
        self._closing = True
        try:
            async with asyncio.timeout(self.settings.take_over_grace_s), self._stepping:
                pass
        except TimeoutError:
            log.info("step in flight abandoned", reason="grace is over")
        self._parked = {upart: part for upart, part in self.parts.items() if part.engine is not None and not part.busy}
        self.parts, self.tenure = {}, -1

    async def process(self, batch: Batch) -> None:
        """Apply the updates of a batch; the next step writes the windows that they change."""
        async with self._stepping:
            part = self.parts.get(batch.tp.partition)
            if part is None or self._closing or batch.epoch != self.tenure:
                return
            if batch.begin != part.next_offset:
                part = self.parts[part.upart] = self._without_updates(part, batch.begin, part.next_offset)
            try:
                engine = await self._loaded(part)
            except Fenced:
                return
            part.busy = True
            if await self.context.compute(self._apply, part, engine, batch):
                self._told.set()
            part.busy = False

    @staticmethod
    def _apply(part: Updates, engine: WindowEngine, batch: Batch) -> bool:
        """Take the updates of a batch, and apply what waits when it is all of a flush or enough. Says whether watermarks came, which end a flush."""
        ended = False
        for value in batch.records:
            if not value:
                continue
            try:
                kind, frame = unpack(value)
            except ValueError as error:
                log.warning("unreadable pane update skipped", partition=batch.tp.partition, error=str(error))
                continue
            if kind == WATERMARKS:
                part.watermarks.merge(frame)
                ended = True
            else:
                part.waiting[kind].append(frame)
                part.updated = True
        part.next_offset = batch.end
        if ended or sum(len(frame) for frames in part.waiting.values() for frame in frames) >= MOST_WAITING:
            WindowAgent._apply_waiting(part, engine)
        return ended

    @staticmethod
    def _apply_waiting(part: Updates, engine: WindowEngine) -> None:
        """Bring the updates that wait into the engine, those of panes and of actors together."""
        for kind, apply in ((PANES, engine.apply_panes), (ACTORS, engine.apply_actors)):
            if frames := part.waiting[kind]:
                apply(pl.concat([frame.select(COLUMNS[kind]) for frame in frames], how="vertical_relaxed"))
        for frame in part.waiting[BOOKINGS]:
            engine.apply_bookings(frame)
        part.waiting.clear()

    async def run(self, consumer: Consumer) -> None:
        """Write what changed as soon as a flush has told all of it and its throttle is open; now and then what else there is."""
        stepped_at = self.context.monotonic()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), STEP_EVERY_S / 2)
            rested = self.context.monotonic() - stepped_at >= STEP_EVERY_S
            if not rested and not (self._told.is_set() and self._due()):
                await asyncio.sleep(STEP_EVERY_S / 20)
                continue
            stepped_at = self.context.monotonic()
            self._told.clear()
            async with self._stepping:
                parts = list(self.parts.values())
                try:
                    if not self._closing:
                        await self._step(consumer, parts)
                except Fenced as reason:
                    log.warning("windows lost", partitions=[p.upart for p in parts if p.busy], reason=str(reason))
                    # The others are whole, and a later take-over may have kept them.
                    self.parts = {upart: part for upart, part in self.parts.items() if not part.busy}

    def _due(self) -> bool:
        now = self.context.wall_us()
        return any(part.engine is not None and part.engine.due(now) for part in self.parts.values())

    async def _step(self, consumer: Consumer, parts: Sequence[Updates]) -> None:
        """One step of those partitions that have something to write, or to say."""
        tenure, now = self.tenure, self.context.wall_us()

        def alive() -> bool:
            return self.tenure == tenure and not self._closing

        stepped = []
        for part in parts:
            watermark = part.watermarks.value()
            if watermark is None:
                continue
            engine = await self._loaded(part)
            if not alive():  # a later take-over may have kept it
                raise Fenced("the partition was lost before its step")
            if part.next_offset != part.stepped_offset or engine.waiting:
                part.busy = True
                part.watermark = max(watermark, part.watermark)
                if part.waiting:
                    await self.context.compute(self._apply_waiting, part, engine)
                await self._write(part, engine, now, alive)
                stepped.append(part)
        if not stepped:
            return
        await self.context.publish(
            WINDOWS_TOPIC,
            [
                (p.upart, pack_watermarks([(p.upart, p.next_offset, p.next_offset, p.watermark, p.watermark)]))
                for p in stepped
            ],
        )
        for part in stepped:
            part.stepped_offset = part.next_offset
            assert part.engine is not None
            if not part.engine.revisions_wait:
                part.settled_offset, part.settled_positions = part.next_offset, part.watermarks.positions()
        reached = {
            p.upart: WindowCheckpoint(p.incarnation, p.settled_offset, p.watermark, p.settled_positions)
            for p in stepped
        }
        await self.context.persist(alive, self._check_in, stepped, reached, now)
        for part in stepped:
            part.checkpoint = reached[part.upart]
        await consumer.commit_fenced({TP(PANES_TOPIC, p.upart): p.settled_offset for p in stepped}, tenure)
        for part in stepped:
            part.busy = False
        age_s = (now - min(part.watermark for part in stepped)) / 1e6
        self.context.metrics.set("tokenworth_watermark_age_seconds", age_s, agent="windows")

    async def _write(self, part: Updates, engine: WindowEngine, now: int, alive: Callable[[], bool]) -> None:
        """Write and publish the windows of a partition that updates, the watermark or an open throttle ask for."""
        quiet, part.updated = not part.updated, False
        flush = quiet and engine.revisions_wait
        frames: Iterator[pl.DataFrame] | None = None

        def next_windows() -> pl.DataFrame | None:
            nonlocal frames
            frames = frames or engine.advance(part.watermark, now, flush=flush)
            try:
                return self._next(part, frames)
            except BaseException:
                frames = None
                raise

        while (frame := await self.context.persist_state(alive, next_windows)) is not None:
            rows = window_rows(frame, window_version(part.incarnation, part.next_offset), now)
            await self.context.persist(alive, self.context.sink.rows, "value_windows", rows)
            await self.context.publish(WINDOWS_TOPIC, await self.context.prepare(_packed, frame))
            self._count(frame)

    def _check_in(self, parts: Sequence[Updates], reached: Mapping[int, WindowCheckpoint], now_us: int) -> None:
        """Write checkpoints, unless the store has lost one before them, and with it windows that nobody would write again."""
        held = load_checkpoints(self.context.stored, list(reached))
        for part in parts:
            stored, known = held.get(part.upart), part.checkpoint
            if known is not None and (stored is None or stored.place < known.place):
                raise StoreRestored(
                    f"the windows of partition {part.upart} of {PANES_TOPIC} up to offset {known.next_offset}"
                )
        self.context.sink.rows("window_checkpoints", window_checkpoint_rows(reached, now_us))

    @staticmethod
    def _next(part: Updates, frames: Iterator[pl.DataFrame]) -> pl.DataFrame | None:
        """The next windows to write; after the last ones those that an earlier owner showed and that hold nothing any more."""
        assert part.inherited is not None
        if (frame := next(frames, None)) is not None:
            part.inherited.written(frame)
            return frame
        gone = part.inherited.due(part.watermark)
        return None if gone.is_empty() else gone

    def _count(self, frame: pl.DataFrame) -> None:
        written = pl.when(pl.col("revision") > 0).then(pl.lit("revision")).otherwise(pl.col("status")).alias("written")
        for status, count in frame.group_by(written).len().iter_rows():
            self.context.metrics.add("tokenworth_windows_written_total", count, status=status)


def _packed(frame: pl.DataFrame) -> list[tuple[bytes, bytes]]:
    """The messages that tell windows."""
    return list(pack_windows(told(frame)))
