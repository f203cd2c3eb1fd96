"""The join agent: takes over partitions, applies batches, flushes all partitions together, and says what has changed.

A flush moves positions forward in this order (DESIGN.md §7); one flush is in flight while the next batches are applied:

1. cut the rows touched since the last flush
2. write raw rows, dead letters and duplicates, then result rows, then the checkpoint mirror
3. commit the next offsets of both topics to the Kafka group in one fenced request: the commit point
4. publish the touched panes until acknowledged: before the next flush writes anything
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import polars as pl
import structlog
import xxhash
from faust.types import TP

from streams.agents.batches import Batch
from streams.agents.context import Context
from streams.agents.transport import Consumer, Seat
from streams.config import DEAD_TOPIC, INPUT_TOPICS, ITEMS_TOPIC, PANES_TOPIC, USAGE_TOPIC
from streams.errors import Fenced, SetupError, TokenworthError
from streams.events.dead_letter import DeadLetter
from streams.events.decode import decode
from streams.events.schemas import WriterSchemas
from streams.join.flush import Duplicates, FlushBuffer, PartitionFlush
from streams.join.partition import Input, JoinPartition
from streams.store.positions import Mirror, claim, mirrors
from streams.store.recovery import hydrate_items, hydrate_usage, load
from streams.store.values import load_prices, load_rules
from streams.windows.measures import DAY_US
from streams.windows.updates import pack_actors, pack_bookings, pack_panes, pack_watermarks
from streams.windows.watermark import SIDES, Watermarks

log = structlog.get_logger(__name__)

SIDE = dict(zip(INPUT_TOPICS, SIDES, strict=True))

RULES_EVERY_S = 600.0
"""Rules and prices are read again this often; they take effect at least an hour after they were written."""


class JoinAgent:
    """Owns the join of this worker's input partitions."""

    topics = INPUT_TOPICS

    def __init__(self, context: Context) -> None:
        self.context, self.settings = context, context.settings
        self.stored = context.stored
        self.schemas = WriterSchemas(self.settings.schema_registry)
        self.parts: dict[int, FlushBuffer] = {}
        self.generation = -1
        self.watermarks = Watermarks(idle_us=int(self.settings.watermark_idle_s * 1e6))
        self._parked: dict[int, FlushBuffer] = {}
        self._closing = False
        self._flush_soon, self._flushed = asyncio.Event(), asyncio.Event()
        self._flushing = asyncio.Lock()
        self._rules_read_at = 0.0

    # --- ownership ------------------------------------------------------------------------------------------------------------------

    async def take_over(
        self, consumer: Consumer, tps: Iterable[TP], generation: int, alive: Callable[[], bool]
    ) -> None:
        """Take over the assigned partitions, or raise Fenced when the group has moved on meanwhile."""
        mine = {tp for tp in tps if tp.topic in INPUT_TOPICS}
        partitions = sorted({tp.partition for tp in mine})
        if len(mine) != 2 * len(partitions):
            raise SetupError(
                "the group assigned the two input topics differently",
                remedy="run only tokenworth workers in this group",
            )
        self.generation, self._closing = generation, False
        if not partitions:
            return
        await self._read_rules(alive)
        now = self.context.wall_us()
        epochs = await self.context.persist(alive, claim, self.stored, self.context.sink, partitions, now)
        seen = await self.context.persist(alive, mirrors, self.stored, partitions)
        positions = await self._positions(consumer, mine, seen)
        await consumer.commit_fenced(positions, generation)
        parts: dict[int, FlushBuffer] = {}
        for p in partitions:
            at = {topic: positions[TP(topic, p)] for topic in INPUT_TOPICS}
            kept = self._kept(p, epochs[p], at)
            parts[p] = (
                kept
                if kept is not None
                else await self.context.persist(alive, self._load, p, epochs[p], at, seen.get(p))
            )
            await self._publish_again(p, at, seen.get(p), alive)
        if not alive():
            raise Fenced("another rebalance began during the take-over")
        self._parked.clear()
        self.parts = parts
        self.context.metrics.add("tokenworth_take_overs_total", len(parts), agent="join")
        for p, part in parts.items():
            self.watermarks.restore(p, part.state.usage.watermark, part.state.items.watermark, now)

    async def _positions(self, consumer: Consumer, tps: Iterable[TP], seen: Mapping[int, Mirror]) -> dict[TP, int]:
        """The committed position of each partition, or of the mirror when the store fell behind it; the log's begin for a new one."""
        tps = list(tps)
        committed, begin = await consumer.committed(tps), await consumer.earliest_offsets(*tps)
        out = {}
        for tp in tps:
            mirror, position = seen.get(tp.partition), committed[tp]
            mirrored = None if mirror is None else (mirror.usage_next if tp.topic == USAGE_TOPIC else mirror.items_next)
            if position is None and mirrored:
                raise TokenworthError(
                    f"{tp.topic}[{tp.partition}]: ClickHouse holds results up to offset {mirrored}, but the group has no position",
                    remedy="the topic or the group was recreated: start with an empty database (another name in TOKENWORTH_CLICKHOUSE)",
                )
            if position is None:
                out[tp] = begin[tp]
                continue
            if mirrored is not None and mirrored < position:
                log.warning(
                    "ClickHouse is behind the group, reading again",
                    topic=tp.topic,
                    partition=tp.partition,
                    position=position,
                    stored=mirrored,
                )
            out[tp] = position if mirrored is None else min(position, mirrored)
            if begin[tp] > out[tp]:
                raise TokenworthError(
                    f"{tp.topic}[{tp.partition}]: the log begins at {begin[tp]}, {begin[tp] - out[tp]} records after the position {out[tp]}",
                    remedy="Kafka's retention deleted records before they were read: raise retention.ms of the topic",
                )
        return out

    def _kept(self, p: int, epoch: int, at: Mapping[str, int]) -> FlushBuffer | None:
        """The memory of a partition that comes back at its own position, if nobody owned it meanwhile."""
        part = self._parked.get(p)
        if part is None or part.epoch != epoch - 1 or part.rows:
            return None
        if (part.state.usage.next_offset, part.state.items.next_offset) != (at[USAGE_TOPIC], at[ITEMS_TOPIC]):
            return None
        part.epoch, part.number = epoch, 0
        return part

    def _load(self, p: int, epoch: int, at: Mapping[str, int], mirror: Mirror | None) -> FlushBuffer:
        began = self.context.monotonic()
        state = JoinPartition(p, self.settings.dedup_horizon_days * DAY_US, self.rules, self.prices)
        state.usage = Input(begin=mirror.usage_begin if mirror else at[USAGE_TOPIC], next_offset=at[USAGE_TOPIC])
        state.items = Input(begin=mirror.items_begin if mirror else at[ITEMS_TOPIC], next_offset=at[ITEMS_TOPIC])
        if mirror is not None:
            load(self.stored, state)
            for side, missing in ((state.usage, mirror.usage_missing), (state.items, mirror.items_missing)):
                side.missing = missing
        log.info(
            "partition taken over",
            partition=p,
            epoch=epoch,
            usage_next=at[USAGE_TOPIC],
            items_next=at[ITEMS_TOPIC],
            seconds=round(self.context.monotonic() - began, 2),
        )
        return FlushBuffer(state, epoch)

    async def _publish_again(
        self, p: int, at: Mapping[str, int], mirror: Mirror | None, alive: Callable[[], bool]
    ) -> None:
        """Publish the panes of the last committed flush once more: the crash may have come between its commit and its publishing."""
        if mirror is None or (mirror.usage_next, mirror.items_next) != (at[USAGE_TOPIC], at[ITEMS_TOPIC]):
            return
        version = mirror.version
        for name, pack in (("panes", pack_panes), ("actors", pack_actors), ("bookings", pack_bookings)):
            frame = await self.context.persist(
                alive, self.stored.read, f"recovery/flushed_{name}", kpart=p, version=version
            )
            await self.context.publish(PANES_TOPIC, pack(frame))

    async def _read_rules(self, alive: Callable[[], bool]) -> None:
        if self.context.monotonic() - self._rules_read_at > RULES_EVERY_S or not self._rules_read_at:
            self.rules = await self.context.persist(alive, load_rules, self.stored)
            self.prices = await self.context.persist(alive, load_prices, self.stored)
            self._rules_read_at = self.context.monotonic()
            for part in self.parts.values():
                part.state.rules, part.state.prices = self.rules, self.prices

    def seats(self, tps: Iterable[TP]) -> dict[TP, Seat]:
        """Where each owned partition is read from."""
        out = {}
        for tp in tps:
            if tp.topic in INPUT_TOPICS and (part := self.parts.get(tp.partition)):
                out[tp] = Seat(self._input(part, tp.topic).next_offset, part.epoch)
        return out

    async def release(self, consumer: Consumer) -> None:
        """Give up all partitions: bring what is applied to the store if that is quick, then forget it."""
        self._closing = True
        try:
            await asyncio.wait_for(self.flush(consumer), self.settings.take_over_grace_s)
        except (TimeoutError, Fenced) as reason:
            log.info("flush in flight abandoned", reason=str(reason) or "grace is over")
            self.parts = {}
        self._parked, self.parts = self.parts, {}
        self.generation = -1

    # --- batches --------------------------------------------------------------------------------------------------------------------

    async def process(self, batch: Batch) -> None:
        """Apply a batch of one of the input topics."""
        while self._full() and not self._closing:
            self._flushed.clear()
            self._flush_soon.set()
            await self._flushed.wait()
        part = self.parts.get(batch.tp.partition)
        if part is None or part.epoch != batch.epoch or self._closing:
            return  # of an earlier tenure: will be read again

        def alive() -> bool:
            return part.epoch == batch.epoch and not self._closing

        try:
            await self.context.persist_state(alive, self._apply, part, batch)
        except Fenced:
            return
        if self._rows() >= self.settings.flush_max_rows:
            self._flush_soon.set()

    def _rows(self) -> int:
        return sum(part.rows for part in self.parts.values())

    def _full(self) -> bool:
        return self._rows() >= self.settings.flush_max_rows and self._flushing.locked()

    @staticmethod
    def _input(part: FlushBuffer, topic: str) -> Input:
        return part.state.usage if topic == USAGE_TOPIC else part.state.items

    def _apply(self, part: FlushBuffer, batch: Batch) -> None:
        """Decode and apply. What may fail and pass (registry, look-ups) comes before the state changes, so that it can be repeated."""
        topic, state = batch.tp.topic, part.state
        read_side = self._input(part, topic)
        if batch.end <= read_side.next_offset:
            return
        if batch.begin != read_side.next_offset:
            raise TokenworthError(
                f"{topic}[{batch.tp.partition}]: expected offset {read_side.next_offset}, was given {batch.begin}"
            )
        decoded = decode(
            topic,
            batch.values,
            batch.offsets,
            batch.appended_at,
            partition=batch.tp.partition,
            partitions=self.context.partitions,
            schemas=self.schemas,
        )
        if topic == USAGE_TOPIC:
            hydrate_usage(self.stored, state, decoded.frame)
            new = state.apply_usage(decoded.frame)
        else:
            hydrate_items(self.stored, state, decoded.frame)
            new = state.apply_items(decoded.frame)
        applied = decoded.frame if new.all() else decoded.frame.filter(new)
        repeated = None if new.all() else _duplicates(batch, decoded.frame.filter(~new))
        read_side.next_offset = batch.end
        read_side.missing += batch.missing
        read_side.dead += len(decoded.dead)
        part.add(topic == USAGE_TOPIC, applied, repeated, decoded.dead, batch.end - batch.begin)
        self.watermarks.observe(batch.tp.partition, SIDE[topic], read_side.watermark, self.context.wall_us())

    # --- flush ----------------------------------------------------------------------------------------------------------------------

    async def run(self, consumer: Consumer) -> None:
        """Flush once an interval, earlier when much is waiting, for as long as the worker lives."""
        while True:
            began = self.context.monotonic()
            if not self._closing:
                try:
                    await self.flush(consumer)
                    await self._idle(consumer)
                    await self._read_rules(lambda: not self._closing)
                except Fenced as reason:
                    log.warning("partitions lost", reason=str(reason))
                    self.context.metrics.add("tokenworth_flushes_total", agent="join", result="refused")
                    self.parts = {}
            self._flush_soon.clear()
            if self._rows() < self.settings.flush_max_rows:
                rest = self.settings.flush_interval_s - (self.context.monotonic() - began)
                try:
                    await asyncio.wait_for(self._flush_soon.wait(), max(rest, 0.01))
                except TimeoutError:
                    continue

    async def flush(self, consumer: Consumer) -> None:
        """One flush of all partitions; raises Fenced when the group has moved on."""
        async with self._flushing:
            generation = self.generation
            flushes = await self.context.compute(self._cut)
            if flushes:
                began = self.context.monotonic()
                await self.context.persist(lambda: self.generation == generation, self.context.sink.write, flushes)
                await consumer.commit_fenced(dict(_next_offsets(flushes)), generation)
                self._measure(flushes, self.context.monotonic() - began)
                await self._announce(flushes)
                for flush in flushes:
                    if part := self.parts.get(flush.partition):
                        part.state.forget(flush.usage.watermark, flush.items.watermark)
        self._flushed.set()

    def _cut(self) -> list[PartitionFlush]:
        return [flush for part in self.parts.values() if (flush := part.cut())]

    def _measure(self, flushes: list[PartitionFlush], seconds: float) -> None:
        metrics = self.context.metrics
        metrics.add("tokenworth_flushes_total", agent="join", result="committed")
        metrics.observe("tokenworth_flush_seconds", seconds, agent="join")
        for topic, raw in ((USAGE_TOPIC, "raw_usage"), (ITEMS_TOPIC, "raw_items")):
            applied = sum(len(frame) for f in flushes for frame in getattr(f, raw))
            duplicates = sum(len(d.rows) for f in flushes for d in f.duplicates if d.topic == topic)
            dead = sum(letter.topic == topic for f in flushes for letter in f.dead)
            for fate, count in (("applied", applied), ("duplicate", duplicates), ("dead", dead)):
                metrics.add("tokenworth_records_total", count, topic=topic, fate=fate)

    async def _announce(self, flushes: list[PartitionFlush]) -> None:
        for f in flushes:
            kpart = pl.lit(f.partition, pl.UInt16).alias("kpart")
            await self.context.publish(
                PANES_TOPIC, pack_panes(f.touched.panes.with_columns(kpart, version=pl.lit(f.version, pl.UInt64)))
            )
            await self.context.publish(PANES_TOPIC, pack_actors(f.touched.actors.with_columns(kpart)))
            await self.context.publish(PANES_TOPIC, pack_bookings(f.bookings()))
            await self.context.publish(DEAD_TOPIC, [_dead_message(letter) for letter in f.dead])
        # The watermarks as of the cut: batches applied since then are not announced yet, and must not make windows final.
        await self._announce_watermarks(
            [
                (
                    f.partition,
                    f.usage.next_offset,
                    f.items.next_offset,
                    max(f.usage.watermark, 0),
                    max(f.items.watermark, 0),
                )
                for f in flushes
            ]
        )

    async def _announce_watermarks(self, rows: list[tuple[int, int, int, int, int]]) -> None:
        message = pack_watermarks(rows)
        for partition in range(self.context.partitions):
            await self.context.publish(PANES_TOPIC, [(b"", message)], partition)

    async def _idle(self, consumer: Consumer) -> None:
        """Let inputs without events stop holding the watermark back (DESIGN.md §6)."""
        moved = []
        now = self.context.wall_us()
        for tp, tail in (await consumer.tails()).items():
            part = self.parts.get(tp.partition) if tp.topic in INPUT_TOPICS else None
            if part is None:
                continue
            lag = tail.high_watermark - self._input(part, tp.topic).next_offset
            self.context.metrics.set("tokenworth_lag_records", lag, topic=tp.topic, partition=str(tp.partition))
            drained = tail.position == tail.high_watermark == self._input(part, tp.topic).next_offset and not part.rows
            if self.watermarks.idle(tp.partition, SIDE[tp.topic], fetched_at=tail.fetched_at, now=now, drained=drained):
                moved.append(tp.partition)
        if moved:
            await self._announce_watermarks(
                [
                    (p, part.state.usage.next_offset, part.state.items.next_offset, *self.watermarks.of(p))
                    for p in sorted(set(moved))
                    if (part := self.parts.get(p))
                ]
            )


def _next_offsets(flushes: list[PartitionFlush]) -> Iterator[tuple[TP, int]]:
    for f in flushes:
        yield TP(USAGE_TOPIC, f.partition), f.usage.next_offset
        yield TP(ITEMS_TOPIC, f.partition), f.items.next_offset


def _duplicates(batch: Batch, rows: pl.DataFrame) -> Duplicates:
    places = np.searchsorted(batch.offsets, rows["offset"].to_numpy())
    hashes = [xxhash.xxh64_intdigest(batch.values[i] or b"") for i in places]
    return Duplicates(
        batch.tp.topic,
        rows.select("offset", "appended_at", "tenant", "event_id").with_columns(
            content_hash=pl.Series(hashes, dtype=pl.UInt64)
        ),
    )


def _dead_message(letter: DeadLetter) -> tuple[bytes, bytes]:
    body = {name: getattr(letter, name) for name in DeadLetter.__slots__}
    return f"{letter.topic}/{letter.partition}".encode(), json.dumps(body).encode()
