"""Machine code before the first batch: whoever takes over a partition should not wait for a compiler."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import structlog
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from streams.agents.record_batch import RawRecords
from streams.config import ITEMS_TOPIC, USAGE_TOPIC
from streams.events.decode import decode
from streams.events.keys import partition_of
from streams.events.texts import xxhash64_of
from streams.events.usage import UsageEvent
from streams.events.work_item import WorkItemEvent
from streams.join.flush import BOOKING_SCHEMA
from streams.join.partition import JoinPartition, Touched
from streams.join.seen import SeenIndex
from streams.join.table import LEAST, KeyTable
from streams.store.native import Buffers, native
from streams.value.prices import PriceBook
from streams.value.rules import Rules
from streams.windows.engine import WindowEngine
from streams.windows.measures import DAY_US

log = structlog.get_logger(__name__)

COMPILED_S = 5.0
"""Loading takes a second or two; what takes longer was compiled, once for this machine and this version."""


def _prepare_windows(cut: Touched, now_us: int) -> None:
    engine = WindowEngine(0, DAY_US, _nothing_stored, _nothing_stored)
    kpart, version = pl.lit(0, pl.UInt16).alias("kpart"), pl.lit(1, pl.UInt64).alias("version")
    bookings = pl.DataFrame(schema={**BOOKING_SCHEMA, "version": pl.UInt64})
    engine.load(cut.panes.clear(), bookings, cut.actors.clear(), {}, watermark_us=now_us - DAY_US)
    engine.apply_panes(cut.panes.with_columns(kpart, version))
    engine.apply_actors(cut.actors.with_columns(kpart))
    for _ in engine.advance(now_us + DAY_US, now_us):
        pass


def _nothing_stored(*_: Any) -> Any:
    raise AssertionError("nothing is late")


def prepare_loops() -> None:
    """Put one event of each kind through all that is compiled (streams/compiled.py), up to its windows and inserts."""
    began, at = time.monotonic(), datetime.now(UTC)
    state = JoinPartition(0, DAY_US, Rules.shipped(), PriceBook.shipped())
    usage = UsageEvent(
        event_id="0", occurred_at=at, tenant="t", work_item_id="1", actor="t:0123456789abcdef", prompt_fingerprint="p"
    )
    item = WorkItemEvent(event_id="0", occurred_at=at, tenant="t", work_item_id="1", kind="started")
    for topic, value in ((USAGE_TOPIC, usage.to_wire()), (ITEMS_TOPIC, item.to_wire())):
        batch = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 16)
        batch.append(0, 0, None, value, [])
        found = RawRecords(bytes(batch.build())).next_batch().read()
        now = np.full(1, int(at.timestamp() * 1e6))
        here = partition_of(usage.key, 2)
        frame = decode(topic, found.records, found.offsets, now, partition=here, partitions=2).frame
        (state.apply_usage if topic == USAGE_TOPIC else state.apply_items)(frame)
        xxhash64_of(found.records)
        native(frame.select("tenant", "event_id").to_arrow(compat_level=pl.CompatLevel.newest()), Buffers(0, 0))
    cut = state.cut()
    state.settle(state.watermark + 3 * DAY_US, state.watermark, cut.number)
    _prepare_windows(cut, int(at.timestamp() * 1e6))
    KeyTable().reserve(LEAST + 1)
    SeenIndex().remember(
        np.arange(256, dtype=np.uint64).reshape(-1, 2), np.zeros(128, np.int64)
    )  # more than fits without growing
    if (seconds := time.monotonic() - began) > COMPILED_S:
        log.info("loops compiled for this machine", seconds=round(seconds, 1))
