"""The join agent: takes over partitions, applies batches, flushes all partitions together, and says what has changed.

A flush moves positions forward in this order (DESIGN.md §7); one flush is in flight while the next batches are applied:

1. cut the rows touched since the last flush
2. write raw rows, dead letters, duplicates and result rows, then the checkpoint mirror
3. see that the input topics are still the same ones, and commit the next offsets of both to the Kafka group in one fenced request: the
   commit point
4. publish the touched panes until acknowledged: before the next flush writes anything

More than 400 lines: ownership, batches and flushes share the memory of the partitions and the locks around it; apart, each would reach into the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress

import structlog
from faust.types import TP

from streams.agents.announcements import Announcements
from streams.agents.batches import Batch
from streams.agents.context import Context
from streams.agents.logs import InputLogs
from streams.agents.positions import Log, Start, start
from streams.agents.rebuilding import Rebuilding
from streams.agents.transport import Consumer, Seat
from streams.agents.waiting import Waiting
from streams.config import INPUT_TOPICS, ITEMS_TOPIC, USAGE_TOPIC
from streams.errors import Fenced, LogLost, SetupError, StoreRestored
from streams.events.decode import decode
from streams.events.schemas import WriterSchemas
from streams.join.flush import Duplicates, FlushBuffer, PartitionFlush
from streams.join.input import OFFSET_BITS, Input
from streams.join.partition import JoinPartition
from streams.store.positions import SIDE, Claim, Mirror, claim, incarnations, mirrors, write_incarnations
from streams.store.recovery import hydrate_items, hydrate_usage, load
from streams.store.values import load_prices, load_rules
from streams.windows.measures import DAY_US
from streams.windows.watermark import Watermarks

log = structlog.get_logger(__name__)

EARLY_ROWS = 20_000
"""So many are worth a flush when the share EARLY of its interval is over: ClickHouse gains little from larger inserts, and their events are seen sooner."""
EARLY = 1 / 3
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
        self.tenure = -1
        self.watermarks = Watermarks(idle_us=int(self.settings.watermark_idle_s * 1e6))
        self.announcements = Announcements(context)
        self.rebuilding = Rebuilding(context)
        self.logs = InputLogs(context.partitions, context.monotonic)
        self._committed: dict[TP, int] = {}
        self._parked: dict[int, FlushBuffer] = {}
        self._closing = False
        self._flush_soon, self._flushed = asyncio.Event(), asyncio.Event()
        self._flushing, self._applying = asyncio.Lock(), asyncio.Lock()
        self._waiting = Waiting()
        self._rules_read_at = self._soonest = 0.0

    # --- ownership ------------------------------------------------------------------------------------------------------------------

    async def take_over(self, consumer: Consumer, tps: Iterable[TP], tenure: int, alive: Callable[[], bool]) -> None:
        """Take over the assigned partitions, or raise Fenced when the group has moved on meanwhile.

        1. claim the next epoch of each partition
        2. decide where each goes on (agents/positions.py); write the incarnations that begin
        3. commit these positions: the group refuses if another worker owns a partition by now
        4. load the state at the position; publish the last flush's panes again: the crash may have come between its commit and that
        """
        mine = {tp for tp in tps if tp.topic in INPUT_TOPICS}
        partitions = sorted({tp.partition for tp in mine})
        if len(mine) != 2 * len(partitions):
            raise SetupError(
                "the group assigned the two input topics differently",
                remedy="run only tokenworth workers in this group",
            )
        self.tenure, self._closing = tenure, False
        self._waiting.clear()
        if not partitions:
            return
        await self._read_rules(alive)
        now = self.context.wall_us()
        claims = await self.context.persist(alive, claim, self.stored, self.context.sink, partitions, now)
        epochs = {p: claimed.epoch for p, claimed in claims.items()}
        seen = await self.context.persist(alive, mirrors, self.stored, partitions)
        starts = await self._starts(consumer, mine, epochs, seen, alive)
        # Rebuilds are asked for first: who finds the new life open has no other way to know that it needs one.
        await self.rebuilding.take_over(starts, epochs, alive)
        for p, begin in starts.items():
            if begin.opened:
                await self.context.persist(alive, write_incarnations, self.context.sink, begin.lives, epochs[p], now)
        positions = {TP(topic, p): offset for p, begin in starts.items() for topic, offset in begin.offsets.items()}
        await consumer.commit_fenced(positions, tenure)
        parts: dict[int, FlushBuffer] = {}
        for p in partitions:
            kept = self._kept(p, claims[p], starts[p])
            parts[p] = (
                kept
                if kept is not None
                else await self.context.persist(alive, self._load, p, epochs[p], starts[p], seen.get(p))
            )
            state, parts[p].stored = parts[p].state, seen[p].version if p in seen else 0
            if (mirror := seen.get(p)) and (mirror.usage_next, mirror.items_next) == (
                state.usage.position,
                state.items.position,
            ):
                await self.announcements.publish_again(p, mirror.version, alive)
        if not alive():
            raise Fenced("another rebalance began during the take-over")
        self._parked.clear()
        self.parts, self._committed = parts, positions
        self.context.metrics.add("tokenworth_take_overs_total", len(parts), agent="join")
        for p, part in parts.items():
            self.watermarks.restore(p, part.state.usage.watermark, part.state.items.watermark, now)

    async def _starts(
        self,
        consumer: Consumer,
        tps: Iterable[TP],
        epochs: Mapping[int, int],
        seen: Mapping[int, Mirror],
        alive: Callable[[], bool],
    ) -> dict[int, Start]:
        lives = await self.context.persist(alive, incarnations, self.stored, list(epochs))
        tps = list(tps)
        # Ids come first: offsets of a topic that is created anew meanwhile must not go under its id.
        ids = await self.logs.identify(consumer)
        committed, begin = await consumer.committed(tps), await consumer.earliest_offsets(*tps)
        end = await consumer.log_ends(committed)
        out = {}
        for p, epoch in epochs.items():
            logs = {}
            for topic in INPUT_TOPICS:
                tp = TP(topic, p)
                logs[topic] = Log(committed[tp], begin[tp], end[tp], ids[topic])
            out[p] = start(p, logs, seen.get(p), lives[p], epoch=epoch, accept_loss=self.settings.accept_loss)
        return out

    def _kept(self, p: int, claimed: Claim, begin: Start) -> FlushBuffer | None:
        """The memory of a partition that comes back at its own position, if nobody owned it meanwhile."""
        part = self._parked.get(p)
        if part is None or part.epoch != claimed.before or not part.empty or begin.opened or p in self.rebuilding.parts:
            return None
        if {topic: self._input(part, topic).next_offset for topic in INPUT_TOPICS} != begin.offsets:
            return None
        part.epoch, part.number = claimed.epoch, 0
        return part

    def _load(self, p: int, epoch: int, begin: Start, mirror: Mirror | None) -> FlushBuffer:
        began = self.context.monotonic()
        life = begin.lives[-1]
        if mirror is not None and mirror.incarnation != life.incarnation:
            mirror = None
        state = JoinPartition(p, self.settings.horizon_days * DAY_US, self.rules, self.prices)
        state.trusted_since = life.trusted_since
        self.rebuilding.distrust(state)
        for topic in INPUT_TOPICS:
            side, name = state.usage if topic == USAGE_TOPIC else state.items, SIDE[topic]
            side.closed, side.next_offset = begin.closed(topic), begin.offsets[topic]
            side.begin = side.next_offset
            if mirror is not None:
                side.begin = getattr(mirror, f"{name}_begin") - (life.incarnation << OFFSET_BITS)
        load(self.stored, state, mirror)
        for side in (state.usage, state.items):
            side.missing = side.next_offset - side.begin - side.applied - side.duplicates - side.dead
        log.info(
            "partition taken over",
            partition=p, epoch=epoch, incarnation=life.incarnation, **begin.offsets, seconds=round(self.context.monotonic() - began, 2),
        )  # fmt: skip
        return FlushBuffer(state, epoch)

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

    def positions(self) -> dict[TP, int]:
        """Committed next offsets of the partitions that are held."""
        return {tp: offset for tp, offset in self._committed.items() if tp.partition in self.parts}

    async def release(self, consumer: Consumer) -> None:
        """Give up all partitions: bring what is applied to the store if that is quick, then forget it."""
        self._closing = True
        try:
            await asyncio.wait_for(self.flush(consumer), self.settings.take_over_grace_s)
        except (TimeoutError, Fenced) as reason:
            log.info("flush in flight abandoned", reason=str(reason) or "grace is over")
            self.parts = {}
        self._parked, self.parts = self.parts, {}
        self._waiting.clear()
        self.tenure = -1

    # --- batches --------------------------------------------------------------------------------------------------------------------

    async def process(self, batch: Batch) -> None:
        """Let a batch of one of the input topics wait for the next flush, or apply it with those that wait when they are enough."""
        while self._full() and not self._closing:
            self._flushed.clear()
            self._flush_soon.set()
            await self._flushed.wait()
        part = self.parts.get(batch.tp.partition)
        if part is None or part.epoch != batch.epoch or self._closing:
            return  # of an earlier tenure: will be read again
        if self._waiting.add(batch):
            await self._apply_waiting(batch.tp)
        self._look_at_rows()

    def _look_at_rows(self) -> None:
        """Wake who waits for the next flush when so much waits that it is due."""
        rows = self._rows()
        if rows >= self.settings.flush_max_rows or (rows >= EARLY_ROWS and self.context.monotonic() >= self._soonest):
            self._flush_soon.set()

    async def _apply_waiting(self, tp: TP) -> None:
        async with self._applying:
            part = self.parts.get(tp.partition)
            epoch = -1 if part is None else part.epoch

            def alive() -> bool:
                return part is not None and part.epoch == epoch and not self._closing

            with suppress(Fenced):  # what was not applied will be read again
                for batch in self._waiting.take(tp, epoch):
                    assert part is not None
                    await self.context.persist_state(alive, self._apply, part, batch)

    def _rows(self) -> int:
        return self._waiting.records + sum(part.rows for part in self.parts.values())

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
            raise LogLost(
                f"{topic}[{batch.tp.partition}]: the log goes on at offset {batch.begin}, expected was {read_side.next_offset}",
                remedy="its records were deleted, or the topic was created anew: start the worker again, it will say which",
            )
        decoded = decode(
            topic,
            batch.records,
            batch.offsets,
            batch.appended_at,
            partition=batch.tp.partition,
            partitions=self.context.partitions,
            schemas=self.schemas,
        )
        frame, usage, records = decoded.frame, topic == USAGE_TOPIC, batch.end - batch.begin
        (hydrate_usage if usage else hydrate_items)(self.stored, state, frame)
        new = (state.apply_usage(decoded.columns) if usage else state.apply_items(frame)).to_numpy()
        repeated = Duplicates.of(topic, frame, new, batch.offsets, batch.records)
        read_side.next_offset = batch.end
        read_side.missing += batch.missing
        read_side.dead += len(decoded.dead)
        if usage:
            part.add_packed(self.context.sink.pack_usage(part, decoded.columns, new), repeated, decoded.dead, records)
        else:
            part.add(False, frame.filter(new), repeated, decoded.dead, records)
        self.watermarks.observe(batch.tp.partition, SIDE[topic], read_side.watermark, self.context.wall_us())

    # --- flush ----------------------------------------------------------------------------------------------------------------------

    async def run(self, consumer: Consumer) -> None:
        """Flush once an interval, earlier when much is waiting, for as long as the worker lives."""
        while True:
            began, tenure = self.context.monotonic(), self.tenure
            self._soonest = began + EARLY * self.settings.flush_interval_s
            if not self._closing:
                try:
                    await self.flush(consumer)
                    await self._idle(consumer)
                    await self._read_rules(lambda: not self._closing)
                    if await self.rebuilding.go_on(self.parts, self._holds):
                        await consumer.rejoin()
                    await self.logs.look(consumer, self._next)
                except Fenced as reason:
                    log.warning("partitions lost", reason=str(reason))
                    self.context.metrics.add("tokenworth_flushes_total", agent="join", result="refused")
                    if self.tenure == tenure:  # else a later take-over has replaced them meanwhile
                        self.parts = {}
            self._flush_soon.clear()
            at_once = self._rows() >= self.settings.flush_max_rows or self.rebuilding.slice_waits
            if self._closing or not at_once:  # a loop that waits for nothing would stop the release that it waits for
                await self._rest(began)

    async def _rest(self, began: float) -> None:
        """Wait until a flush is due, the last of which began then."""
        until = self._soonest if self._rows() >= EARLY_ROWS else began + self.settings.flush_interval_s
        with suppress(TimeoutError):
            await asyncio.wait_for(self._flush_soon.wait(), max(until - self.context.monotonic(), 0.01))

    async def flush(self, consumer: Consumer) -> None:
        """One flush of all partitions; raises Fenced when the group has moved on."""
        async with self._flushing:
            tenure = self.tenure
            for tp in self._waiting.inputs():
                await self._apply_waiting(tp)
            flushes = await self.context.compute(self._cut)
            if flushes:
                began = self.context.monotonic()
                await self._store(flushes, lambda: self.tenure == tenure)
                await self.logs.same(consumer)
                next_offsets = dict(_next_offsets(flushes))
                await consumer.commit_fenced(next_offsets, tenure)
                self._committed |= next_offsets
                self.announcements.count(flushes, self.context.monotonic() - began)
                await self.announcements.publish(flushes)
                await self.context.compute(self._settle, flushes)
        self._flushed.set()

    def _cut(self) -> list[PartitionFlush]:
        return [flush for part in self.parts.values() if (flush := part.cut())]

    async def _store(self, flushes: list[PartitionFlush], alive: Callable[[], bool]) -> None:
        """Write flushes: tables that may stand without each other at the same time."""
        context, sink = self.context, self.context.sink
        await context.persist(alive, self._look_for_holes, flushes)
        for tables in await context.prepare(sink.tables, flushes):
            await asyncio.gather(*(context.persist(alive, sink.insert, *table) for table in tables))

    def _look_for_holes(self, flushes: list[PartitionFlush]) -> None:
        """A store that lost earlier flushes must not take these: its mirror would hide the hole, and nobody would read that again."""
        held = mirrors(self.stored, [flush.partition for flush in flushes])
        for flush in flushes:
            if (part := self.parts.get(flush.partition)) is None or part.epoch != flush.epoch:
                continue
            if part.stored > (held[flush.partition].version if flush.partition in held else 0):
                raise StoreRestored(f"flush {part.stored} of input partition {flush.partition}")

    def _settle(self, flushes: list[PartitionFlush]) -> None:
        for flush in flushes:
            if (part := self.parts.get(flush.partition)) and part.epoch == flush.epoch:
                part.stored = flush.version
                part.state.settle(flush.usage.watermark, flush.items.watermark, flush.touched.number)
                for kind, count in part.state.size.items():
                    self.context.metrics.set("tokenworth_state_rows", count, kind=kind, partition=str(flush.partition))

    def _holds(self, part: FlushBuffer) -> bool:
        return part in self.parts.values() and not self._closing

    def _next(self) -> dict[TP, int]:
        """The next offset of each log that is read."""
        return {
            TP(topic, p): self._input(part, topic).next_offset
            for p, part in self.parts.items()
            for topic in INPUT_TOPICS
        }

    async def _idle(self, consumer: Consumer) -> None:
        """Let inputs without events stop holding the watermark back (DESIGN.md §6)."""
        moved: list[tuple[int, int, int, int, int]] = []
        now = self.context.wall_us()
        for tp, tail in (await consumer.tails()).items():
            part = self.parts.get(tp.partition) if tp.topic in INPUT_TOPICS else None
            if part is None:
                continue
            next_offset = self._input(part, tp.topic).next_offset
            self.context.metrics.set(
                "tokenworth_lag_records", tail.high_watermark - next_offset, topic=tp.topic, partition=str(tp.partition)
            )
            # All of this input is flushed; the other one of the partition need not be, so nothing is said of that.
            drained = tail.position == tail.high_watermark == next_offset == self._committed.get(tp)
            drained = drained and not part.waits_for_rebuild
            if self.watermarks.idle(tp.partition, SIDE[tp.topic], fetched_at=tail.fetched_at, now=now, drained=drained):
                positions = (part.state.usage.position, part.state.items.position) if part.empty else (0, 0)
                usage, items = self.watermarks.of(tp.partition)
                moved.append((tp.partition, *positions, *((usage, 0) if tp.topic == USAGE_TOPIC else (0, items))))
        await self.announcements.watermarks(moved)


def _next_offsets(flushes: list[PartitionFlush]) -> Iterator[tuple[TP, int]]:
    for f in flushes:
        yield TP(USAGE_TOPIC, f.partition), f.usage.next_offset
        yield TP(ITEMS_TOPIC, f.partition), f.items.next_offset
