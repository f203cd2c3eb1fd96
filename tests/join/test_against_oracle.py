"""The join against the naive oracle: any order, repetition and cut of the same events, over any number of partitions and take-overs."""

from __future__ import annotations

from typing import Any

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.config import ITEMS_TOPIC, USAGE_TOPIC
from streams.events.keys import partition_of, usage_key
from streams.join.flush import Duplicates, FlushBuffer
from streams.join.input import Input
from streams.join.partition import JoinPartition
from streams.store.positions import mirrors
from streams.store.recovery import hydrate_items, hydrate_usage, load
from streams.store.sink import Sink
from streams.value.prices import PriceBook
from streams.value.rules import Rules
from streams.windows.measures import DAY_US
from tests.frames import item_frame, usage_frame
from tests.oracle.value import SAMPLE_PRICES
from tests.oracle.world import world
from tests.store.memory import MemoryStore, logical
from tests.strategies import Event, World, worlds

RULES = Rules.shipped()
PRICES = PriceBook.from_rows([line._asdict() for line in SAMPLE_PRICES])


class Join:
    """All partitions of a topology, each flushed and taken over where the schedule says so."""

    def __init__(self, partitions: int, horizon_us: int) -> None:
        self.store, self.partitions, self.horizon_us = MemoryStore(), partitions, horizon_us
        self.epoch = 0
        self.buffers = {p: self._taken_over(p, {USAGE_TOPIC: 0, ITEMS_TOPIC: 0}) for p in range(partitions)}

    def _taken_over(self, p: int, position: dict[str, int]) -> FlushBuffer:
        self.epoch += 1
        state = JoinPartition(p, self.horizon_us, RULES, PRICES)
        state.usage, state.items = Input(next_offset=position[USAGE_TOPIC]), Input(next_offset=position[ITEMS_TOPIC])
        load(self.store, state, mirrors(self.store, [p]).get(p))
        return FlushBuffer(state, self.epoch)

    def flush(self, p: int) -> None:
        buffer = self.buffers[p]
        if flush := buffer.cut():
            Sink(self.store, "w").write([flush])
            buffer.state.settle(flush.usage.watermark, flush.items.watermark, flush.touched.number)

    def take_over(self, p: int) -> None:
        self.flush(p)
        state = self.buffers[p].state
        self.buffers[p] = self._taken_over(
            p, {USAGE_TOPIC: state.usage.next_offset, ITEMS_TOPIC: state.items.next_offset}
        )

    def apply(self, p: int, topic: str, events: list[Event]) -> None:
        buffer = self.buffers[p]
        state = buffer.state
        if topic == USAGE_TOPIC:
            frame = usage_frame(events, state.usage.next_offset)
            hydrate_usage(self.store, state, frame)
            new = state.apply_usage(frame)
            state.usage.next_offset += len(events)
        else:
            frame = item_frame(events, state.items.next_offset)
            hydrate_items(self.store, state, frame)
            new = state.apply_items(frame)
            state.items.next_offset += len(events)
        repeated = frame.filter(~new).select("offset", "appended_at", "tenant", "event_id")
        hashed = repeated.with_columns(content_hash=repeated["offset"].cast(pl.UInt64))
        buffer.add(topic == USAGE_TOPIC, frame.filter(new), Duplicates(topic, hashed), [], len(events))


def key_of(topic: str, event: Event) -> str:
    if topic == ITEMS_TOPIC:
        return f"{event['tenant']}/{event['work_item_id']}"
    return usage_key(event["tenant"], event["event_id"], event["work_item_id"], event["session_id"])


def expected(a_world: World) -> dict[str, Any]:
    """The oracle's results in the form of `logical`."""
    results = world(a_world.usage, a_world.items)
    lines = {
        tuple(key): tuple(sorted((m, v) for m, v in line.measures.items() if v))
        for key, line in results.ledger.items()
        if any(line.measures.values())
    }
    usage_panes: dict[Any, dict[str, int]] = {}
    bookings: dict[Any, dict[str, int]] = {}
    for key, measures in results.panes.items():
        for measure, value in measures.items():
            outcome = measure.startswith(("items_", "value_", "assisted_value_", "matched_", "abandoned_"))
            (bookings if outcome else usage_panes).setdefault(key, {})[measure] = value
    return {
        "lines": lines,
        "panes": {
            (*k[:4], k.start): tuple(sorted((m, v) for m, v in row.items() if v))
            for k, row in usage_panes.items()
            if any(row.values())
        },
        "bookings": {k: {m: v for m, v in row.items() if v} for k, row in bookings.items() if any(row.values())},
        "items": {(i.tenant, i.work_item_id): (i.state, i.completed_at, i.canceled_at) for i in results.items.values()},
    }


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(worlds(), st.data())
def test_any_order_cut_and_take_over_equals_the_oracle(a_world: World, data: st.DataObject) -> None:
    partitions = data.draw(st.sampled_from((1, 1, 2, 3)))
    join = Join(partitions, data.draw(st.sampled_from((DAY_US, 7 * DAY_US, 10**17))))
    queue = data.draw(
        st.permutations([(USAGE_TOPIC, e) for e in a_world.usage] + [(ITEMS_TOPIC, e) for e in a_world.items])
    )
    while queue:
        size = data.draw(st.integers(1, len(queue)))
        head, queue = queue[:size], queue[size:]
        for topic in (USAGE_TOPIC, ITEMS_TOPIC):
            for p in range(partitions):
                events = [e for t, e in head if t == topic and partition_of(key_of(t, e), partitions) == p]
                if events:
                    join.apply(p, topic, events)
        then = data.draw(st.sampled_from(("nothing", "flush", "take over")))
        for p in range(partitions):
            if then != "nothing":
                (join.flush if then == "flush" else join.take_over)(p)
    for p in range(partitions):
        join.flush(p)
    got, want = logical(join.store), expected(a_world)
    assert got["lines"] == want["lines"]
    assert got["panes"] == want["panes"]
    assert got["bookings"] == want["bookings"]
    assert {k: (v[0], v[-2], v[-1]) for k, v in got["items"].items()} == want["items"]
