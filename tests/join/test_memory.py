"""What the join keeps in memory is bounded: by the horizon where time goes on, by a number where it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from streams.join import partition as join_partition
from streams.join.filter import KeyFilter
from streams.join.flush import FlushBuffer
from streams.join.idle import Idle
from streams.join.partition import JoinPartition
from streams.store.recovery import hydrate_usage
from streams.store.sink import Sink
from streams.value.prices import PriceBook
from streams.value.rules import Rules
from streams.windows.measures import DAY_US
from tests.frames import usage_frame
from tests.store.memory import MemoryStore
from tests.strategies import Event, at, usage_event

RULES, PRICES = Rules.shipped(), PriceBook.shipped()


class Worker:
    """Applies and flushes one partition."""

    def __init__(self, horizon_us: int) -> None:
        self.store, self.state = MemoryStore(), JoinPartition(0, horizon_us, RULES, PRICES)
        self.buffer = FlushBuffer(self.state, 1)

    def apply(self, events: list[Event]) -> None:
        frame = usage_frame(events, self.state.usage.next_offset)
        hydrate_usage(self.store, self.state, frame)
        new = self.state.apply_usage(frame)
        self.state.usage.next_offset += len(events)
        self.buffer.add(True, frame.filter(new), None, [], len(events))

    def flush(self) -> None:
        flush = self.buffer.cut()
        assert flush is not None
        Sink(self.store, "w").write([flush])
        self.state.settle(flush.usage.watermark, flush.items.watermark, flush.touched.number)


def rows(*numbers: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    return np.array(numbers, np.int32)


def day_of_usage(day: int, items: int = 5) -> list[Event]:
    return [
        usage_event(
            f"{day}-{i}",
            at(1) + day * DAY_US + i,
            work_item_id=f"I-{day}-{i}",
            model="gpt-5",
            actor=f"a{i}",
            prompt_fingerprint="f",
        )
        for i in range(items)
    ]


def test_memory_is_flat_once_the_horizon_is_full() -> None:
    worker, sizes = Worker(3 * DAY_US), []
    for day in range(30):
        worker.apply(day_of_usage(day))
        worker.flush()
        sizes.append(worker.state.size)
    kept = [{kind: size[kind] for kind in ("items", "lines", "panes")} for size in sizes]
    assert kept[10] == kept[20] == kept[29]
    assert 3 * 5 <= sizes[29]["items"] <= 5 * 5
    assert max(size["identities"] for size in sizes) < 250


def test_what_left_memory_comes_back_when_it_is_touched() -> None:
    worker = Worker(3 * DAY_US)
    for day in range(20):
        worker.apply(day_of_usage(day))
        worker.flush()
    first = day_of_usage(0)[0]
    worker.apply([first, first | {"event_id": "late"}])
    worker.flush()
    (line,) = [row for row in worker.store.rows("work_item_usage") if row["work_item_id"] == first["work_item_id"]]
    assert line["requests"] == 2
    assert worker.state.usage.duplicates == 1
    panes = [row for row in worker.store.rows("panes") if row["pane_start"] < at(2)]
    assert sum(row["requests"] for row in panes) == 6


def test_what_is_not_stored_yet_stays() -> None:
    worker = Worker(3 * DAY_US)
    worker.apply(day_of_usage(0))
    worker.apply(day_of_usage(10))
    worker.state.settle(worker.state.usage.watermark, 0, 0)
    assert worker.state.size["items"] == 10
    worker.flush()
    assert worker.state.size["items"] == 5


def test_a_backfill_under_a_standing_watermark_is_bounded_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join_partition, "MOST_ITEMS", 20)
    monkeypatch.setattr(join_partition, "MOST_PANES", 20)
    monkeypatch.setattr("streams.join.seen.MOST_LATE", 40)
    worker = Worker(3 * DAY_US)
    worker.apply(day_of_usage(500))
    worker.flush()
    for day in range(60):
        worker.apply(day_of_usage(day))
        worker.flush()
        assert worker.state.size["items"] <= 20 + 5
        assert worker.state.size["panes"] <= 20 + 5
        assert worker.state.size["identities"] <= 4 * (40 + 20) + 60
    worker.apply([event for day in range(60) for event in day_of_usage(day)])
    assert worker.state.usage.duplicates == 300


def test_idle_keys_leave_in_the_order_of_their_last_touch() -> None:
    idle = Idle(most=3)
    for number, row in enumerate((0, 1, 2, 0, 1), start=1):
        idle.touch(rows(row), number * 10, number)
    assert idle.take(before=35, stored=2).tolist() == []
    assert idle.take(before=35, stored=3).tolist() == [2]
    assert idle.take(before=1000, stored=4).tolist() == [0]
    for row in (3, 4, 2, 0):
        idle.touch(rows(row), 60, 9)
    assert idle.take(before=0, stored=9).tolist() == [1, 3]
    idle.touch(rows(4, 2, 0, 4), 70, 10)
    assert idle.take(before=1000, stored=10).tolist() == [4, 2, 0]
    assert idle.take(before=1000, stored=10).tolist() == []


def test_the_filter_forgets_nothing_and_takes_few_for_its_own() -> None:
    rng, known = np.random.default_rng(1), KeyFilter()
    assert not known.holds(np.array([0], np.uint64)).any()
    mine, others = (rng.integers(0, 1 << 64, 200_000, dtype=np.uint64) for _ in range(2))
    known.add(mine)
    assert known.holds(mine).all()
    assert known.holds(others).mean() < 0.001


def test_a_line_takes_400_bytes_and_an_identity_18() -> None:
    """Every event has an item of its own, which is the most that a line can cost."""
    state = JoinPartition(0, 7 * DAY_US, RULES, PRICES)
    one = usage_frame([usage_event("x", at(1), work_item_id="x", model="gpt-5", actor="a", prompt_fingerprint="f")])
    for begin in range(0, 240_000, 4_000):
        numbers = pl.Series(range(begin, begin + 4_000)).cast(pl.String)
        names = {name: f"{name}-" + numbers for name in ("work_item_id", "event_id", "prompt_fingerprint")}
        assert state.apply_usage(pl.concat([one] * 4_000).with_columns(**names)).all()
        state.cut()
        held, nbytes = state.size, state.nbytes
        if begin > 180_000:  # before, cells that wait for the next batch and the spare ones count
            assert nbytes["lines"] / held["lines"] <= 400
            assert nbytes["identities"] / held["identities"] <= 18
    assert held["lines"] == 240_000
