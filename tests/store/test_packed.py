"""Usage that is packed while it is applied: the rows that arrive are those of the frame that is not packed, whatever is left out and however they are cut."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.events.text_columns import TextColumns
from streams.join.flush import FlushBuffer, PartitionFlush
from streams.join.partition import JoinPartition
from streams.store.client import Client
from streams.store.sink import ENOUGH_ROWS, MAX_PARTITIONS_PER_INSERT, ClickHouseInserts, Packed, Sink, _inserts
from streams.value.prices import PriceBook
from streams.value.rules import Rules
from streams.windows.measures import DAY_US
from tests.frames import usage_frame
from tests.strategies import usage_event

BEGIN_US = 1_420_070_400_000_000
MANY = 3000
"""More distinct texts than a column has numbers for."""


def empty_buffer() -> FlushBuffer:
    return FlushBuffer(JoinPartition(3, DAY_US, Rules.shipped(), PriceBook.shipped()), 7)


def packed_and_plain(parts: list[tuple[pl.DataFrame, Any]]) -> tuple[PartitionFlush, PartitionFlush]:
    """A flush of the new ones of frames, packed, and the same that is not."""
    sink, buffer = Sink(None, "test"), empty_buffer()  # type: ignore[arg-type]  # nothing is inserted
    for frame, new in parts:
        buffer.add_packed(sink.pack_usage(buffer, TextColumns(frame), new), None, [], len(frame))
    flush = buffer.cut()
    assert flush is not None
    return flush, replace(flush, packed=[], raw_usage=[frame.filter(new) for frame, new in parts])


def stored(client: Client, flush: PartitionFlush) -> list[tuple[Any, ...]]:
    client.command("TRUNCATE TABLE usage_events")
    sink = Sink(ClickHouseInserts(client), "test")
    for table, rows in sink.tables([flush])[0]:
        sink.insert(table, rows)
    found: list[tuple[Any, ...]] = client.query("SELECT * FROM usage_events ORDER BY koff").result_rows
    return found


@pytest.mark.parametrize(
    ("sizes", "inserts"),
    [((10, 20, 30), [60]), ((ENOUGH_ROWS, 10, ENOUGH_ROWS + 1, 10), [20, ENOUGH_ROWS, ENOUGH_ROWS + 1]), ((5,), [5])],
)
def test_rows_of_small_batches_are_inserted_together(sizes: tuple[int, ...], inserts: list[int]) -> None:
    packed = [Packed(["a"], np.zeros(0, np.uint8), rows, (600, 601)) for rows in sizes]
    assert [sum(map(len, together)) for together in _inserts(packed)] == inserts


def months_of(packed: list[Packed]) -> int:
    return max(one.months[1] for one in packed) - min(one.months[0] for one in packed) + 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(data=st.data())
def test_what_is_packed_arrives_as_it_was(migrated: Client, data: st.DataObject) -> None:
    texts = st.text(st.characters(codec="utf-8"), max_size=20)
    parts, offset = [], 0
    for _ in range(data.draw(st.integers(1, 3))):
        days = data.draw(st.lists(st.integers(0, 4500), min_size=1, max_size=12))
        events = [
            usage_event(
                f"u{offset + k}", BEGIN_US + day * DAY_US,
                team=data.draw(texts), model=data.draw(texts), work_item_id=data.draw(texts),
                cost_micro_usd=data.draw(st.none() | st.integers(0, 9)),
            )
            for k, day in enumerate(days)
        ]  # fmt: skip
        new = np.array(data.draw(st.lists(st.booleans(), min_size=len(days), max_size=len(days))), np.bool_)
        parts.append((usage_frame(events, offset), new))
        offset += len(days)
    packed, plain = packed_and_plain(parts)
    assert stored(migrated, packed) == stored(migrated, plain)
    assert sum(map(len, packed.packed)) == sum(int(new.sum()) for _, new in parts)


@pytest.mark.parametrize("teams", [1, 300, MANY])
def test_a_column_may_have_any_number_of_texts(migrated: Client, teams: int) -> None:
    events = [usage_event(f"u{k}", BEGIN_US + k, team=f"the long name of team {k % teams}") for k in range(MANY)]
    new = np.arange(MANY) % 7 != 3
    packed, plain = packed_and_plain([(usage_frame(events), new)])
    rows = stored(migrated, packed)
    assert rows == stored(migrated, plain)
    assert len(rows) == new.sum()


def test_an_insert_touches_few_months(migrated: Client) -> None:
    """Usage of eleven years in one batch, and batches of years that lie apart."""
    events = [usage_event(f"u{k}", BEGIN_US + k * 20 * DAY_US) for k in range(200)]
    frame, all_new = usage_frame(events), np.ones(200, np.bool_)
    apart = [(frame[begin : begin + 5], all_new[:5]) for begin in (0, 150, 20, 90)]
    for parts in ([(frame, all_new)], apart):
        packed, plain = packed_and_plain(parts)
        inserts = [rows for _, rows in Sink(None, "test").tables([packed])[0]]  # type: ignore[arg-type]
        assert months_of(packed.packed) > MAX_PARTITIONS_PER_INSERT
        assert len(inserts) > 1
        assert all(months_of(rows) <= MAX_PARTITIONS_PER_INSERT for rows in inserts)  # type: ignore[arg-type]
        assert stored(migrated, packed) == stored(migrated, plain)


def test_nothing_new_is_nothing_packed() -> None:
    frame = usage_frame([usage_event("u", BEGIN_US)])
    assert Sink(None, "t").pack_usage(empty_buffer(), TextColumns(frame), np.zeros(1, np.bool_)) == []  # type: ignore[arg-type]
