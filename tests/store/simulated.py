"""A partition's log, its group and its workers, one step at a time: the real join, sink, claims and recovery over a store.

Steps are the moments at which a process can die or be paused: between any two inserts (or parts of one), before and after the commit,
during a take-over. The group refuses the commit of any member but the latest.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol

import polars as pl
import pyarrow as pa

from streams.config import INPUT_TOPICS, ITEMS_TOPIC, USAGE_TOPIC
from streams.errors import Fenced
from streams.join.flush import Duplicates, FlushBuffer
from streams.join.input import Input
from streams.join.partition import JoinPartition
from streams.store.positions import claim, mirrors
from streams.store.recovery import hydrate_items, hydrate_usage, load
from streams.store.sink import Sink
from streams.value.prices import PriceBook
from streams.value.rules import Rules
from tests.frames import item_frame, usage_frame

Event = dict[str, Any]


class Store(Protocol):
    def insert(self, table: str, rows: pa.Table) -> None: ...
    def read(self, name: str, **parameters: Any) -> Any: ...


@dataclass
class Group:
    """The Kafka group: a position that only the latest member may move."""

    generation: int = 0
    position: dict[str, int] = field(default_factory=lambda: dict.fromkeys(INPUT_TOPICS, 0))

    def commit(self, generation: int, position: dict[str, int]) -> None:
        if generation != self.generation:
            raise Fenced("stale generation")
        self.position = dict(position)


class Member:
    """One worker that owns the partition until it dies or is refused. `steps` is what it is doing."""

    def __init__(
        self,
        log: dict[str, list[Event]],
        group: Group,
        store: Store,
        rng: random.Random,
        *,
        horizon_us: int,
        partition: int = 0,
        most: int = 4,
    ) -> None:
        """`most`: records of a topic that it reads between two flushes."""
        group.generation += 1
        self.generation = group.generation
        self.log, self.group, self.store, self.rng = log, group, store, rng
        self.horizon_us, self.partition, self.most = horizon_us, partition, most
        self.sink = Sink(store, f"w{self.generation}")
        self.buffer: FlushBuffer | None = None
        self.steps: Iterator[None] = self.take_over()

    def take_over(self) -> Iterator[None]:
        p = self.partition
        epoch = claim(self.store, self.sink, [p], 0)[p].epoch
        yield
        mirror = mirrors(self.store, [p]).get(p)
        position = dict(self.group.position)
        if mirror is not None:
            position = {
                USAGE_TOPIC: min(position[USAGE_TOPIC], mirror.usage_next),
                ITEMS_TOPIC: min(position[ITEMS_TOPIC], mirror.items_next),
            }
        yield
        self.group.commit(self.generation, position)
        yield
        state = JoinPartition(p, self.horizon_us, RULES, PRICES)
        state.usage, state.items = Input(next_offset=position[USAGE_TOPIC]), Input(next_offset=position[ITEMS_TOPIC])
        state.rebuilding = self.rng.random() < 0.2
        load(self.store, state, mirror)
        self.buffer = FlushBuffer(state, epoch)
        yield

    def position(self) -> dict[str, int]:
        assert self.buffer is not None
        state = self.buffer.state
        return {USAGE_TOPIC: state.usage.next_offset, ITEMS_TOPIC: state.items.next_offset}

    def done(self) -> bool:
        return self.buffer is not None and all(self.group.position[t] == len(self.log[t]) for t in INPUT_TOPICS)

    def flush(self) -> Iterator[None]:
        buffer = self.buffer
        assert buffer is not None
        for topic in self.rng.sample(INPUT_TOPICS, 2):
            self.read(buffer, topic, self.rng.randint(0, self.most))
        flush = buffer.cut()
        yield
        if flush is None:
            return
        for table, rows in chain(*self.sink.tables([flush])):
            assert isinstance(rows, pa.Table)  # nothing is packed here
            cut = self.rng.randint(
                0, rows.num_rows
            )  # ClickHouse may accept one part of an insert before the crash and not the other
            for part in (rows[:cut], rows[cut:]):
                if part.num_rows:
                    self.store.insert(table, part)
                    yield
        self.group.commit(self.generation, {USAGE_TOPIC: flush.usage.next_offset, ITEMS_TOPIC: flush.items.next_offset})
        buffer.state.settle(flush.usage.watermark, flush.items.watermark, flush.touched.number)
        yield

    def read(self, buffer: FlushBuffer, topic: str, most: int) -> None:
        """Fetch and apply up to `most` records."""
        state = buffer.state
        side = state.usage if topic == USAGE_TOPIC else state.items
        records = self.log[topic][side.next_offset : side.next_offset + most]
        if not records:
            return
        if topic == USAGE_TOPIC:
            frame = usage_frame(records, side.next_offset)
            hydrate_usage(self.store, state, frame)
            new = state.apply_usage(frame)
        else:
            frame = item_frame(records, side.next_offset)
            hydrate_items(self.store, state, frame)
            new = state.apply_items(frame)
        side.next_offset += len(records)
        repeated = frame.filter(~new).select("offset", "appended_at", "tenant", "event_id")
        duplicates = (
            None
            if new.all()
            else Duplicates(topic, repeated.with_columns(content_hash=repeated["offset"].cast(pl.UInt64)))
        )
        buffer.add(topic == USAGE_TOPIC, frame.filter(new), duplicates, [], len(records))


RULES, PRICES = Rules.shipped(), PriceBook.shipped()
