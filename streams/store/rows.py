"""The rows of each table that a flush writes. Times are DateTime64(6) in UTC; versions and covered offsets come from the flush."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any, Final

import polars as pl
import pyarrow as pa

from streams.join.flush import PartitionFlush
from streams.join.input import OFFSET_BITS, UNSEEN, Input
from streams.join.partition import ItemRow
from streams.windows.measures import OUTCOME_MEASURES

TIME: Final = pl.Datetime("us", "UTC")
_ARROW_TIME: Final = pa.timestamp("us", "UTC")

HISTORY: Final = pa.struct([
    ("occurred_at", _ARROW_TIME), ("event_id", pa.string()), ("kind", pa.string()), ("team", pa.string()), ("item_type", pa.string()),
    ("labels", pa.list_(pa.string())), ("size_milli", pa.int64()), ("parent_id", pa.string()), ("link_type", pa.string()),
    ("link_value", pa.string()),
])  # fmt: skip
BOOKING: Final = pa.struct([
    ("at", _ARROW_TIME), ("kind", pa.string()), ("team", pa.string()), ("tool", pa.string()), ("model", pa.string()),
    ("work_class", pa.string()), *((name, pa.int64()) for name in OUTCOME_MEASURES),
])  # fmt: skip


def raw_rows(frame: pl.DataFrame, partition: int, incarnation: int, version: int) -> pl.DataFrame:
    """Rows of usage_events or work_item_events from decoded records."""
    return frame.rename({"offset": "koff"}).with_columns(
        pl.col("occurred_at", "appended_at").cast(TIME),
        kpart=pl.lit(partition, pl.UInt16),
        incarnation=pl.lit(incarnation, pl.UInt32),
        version=pl.lit(version, pl.UInt64),
    )  # fmt: skip


def dead_letter_rows(flushes: Sequence[PartitionFlush]) -> pl.DataFrame:
    """Rows of dead_letters."""
    rows = [(f.usage.incarnation, f.version, d) for f in flushes for d in f.dead]
    return pl.DataFrame(
        [
            (d.topic, d.partition, incarnation, d.offset, d.appended_at, d.reason, d.detail, d.size_bytes, written)
            for incarnation, written, d in rows
        ],
        schema={
            "topic": pl.String, "kpart": pl.UInt16, "incarnation": pl.UInt32, "koff": pl.Int64, "appended_at": pl.Int64,
            "reason": pl.String, "detail": pl.String, "size_bytes": pl.Int64, "version": pl.UInt64,
        },
        orient="row",
    ).with_columns(pl.col("appended_at").cast(TIME))  # fmt: skip


def duplicate_rows(flushes: Sequence[PartitionFlush]) -> pl.DataFrame:
    """Rows of duplicates."""
    parts = [
        d.rows.rename({"offset": "koff"}).with_columns(
            pl.col("appended_at").cast(TIME),
            topic=pl.lit(d.topic),
            kpart=pl.lit(f.partition, pl.UInt16),
            incarnation=pl.lit(f.usage.incarnation, pl.UInt32),
            version=pl.lit(f.version, pl.UInt64),
        )
        for f in flushes
        for d in f.duplicates
    ]
    return pl.concat(parts) if parts else pl.DataFrame()


def _covering(flush: PartitionFlush) -> list[pl.Expr]:
    return [
        pl.lit(flush.partition, pl.UInt16).alias("kpart"),
        pl.lit(flush.usage.position, pl.Int64).alias("usage_next"),
        pl.lit(flush.items.position, pl.Int64).alias("items_next"),
        pl.lit(flush.version, pl.UInt64).alias("version"),
    ]


def line_rows(flush: PartitionFlush) -> pl.DataFrame:
    """Rows of work_item_usage."""
    return flush.touched.lines.with_columns(
        pl.col("usage_day").cast(pl.Int32).cast(pl.Date), pl.col("last_at").cast(TIME), *_covering(flush)
    )


def pane_rows(flush: PartitionFlush, frame: pl.DataFrame) -> pl.DataFrame:
    """Rows of panes or pane_actors (which keeps no covered offsets: it is a set)."""
    return frame.with_columns(pl.col("pane_start").cast(TIME), *_covering(flush))


_ITEM: Final = {
    "kpart": pa.uint16(), "tenant": pa.string(), "work_item_id": pa.string(), "state": pa.string(), "team": pa.string(),
    "item_type": pa.string(), "labels": pa.list_(pa.string()), "size_milli": pa.int64(), "parent_id": pa.string(), "rule": pa.uint16(),
    "work_class": pa.string(), "assistance": pa.string(), "value_milli": pa.int64(), "value_assisted": pa.uint8(),
    "container": pa.uint8(), "evidence": pa.uint8(), "first_event_at": _ARROW_TIME, "last_event_at": _ARROW_TIME,
    "started_at": _ARROW_TIME, "first_completed_at": _ARROW_TIME, "completed_at": _ARROW_TIME, "canceled_at": _ARROW_TIME,
    "usage_next": pa.int64(), "items_next": pa.int64(), "version": pa.uint64(),
}  # fmt: skip
"""Columns of work_items but its lists."""


def item_rows(flushes: Sequence[PartitionFlush]) -> pa.Table:
    """Rows of work_items."""
    items = [(f, item) for f in flushes for item in f.touched.items]
    values = _columns([_item(f, item) for f, item in items], len(_ITEM))
    columns = {name: pa.array(column, kind) for (name, kind), column in zip(_ITEM.items(), values, strict=True)}
    columns["history"] = _nested([item.history for _, item in items], HISTORY)
    columns["bookings"] = _nested([[(*b[:6], *b.amounts) for b in item.bookings] for _, item in items], BOOKING)
    return pa.table(columns)


def _item(flush: PartitionFlush, item: ItemRow) -> tuple[Any, ...]:
    """The values of _ITEM."""
    o, first, last = item.outcome, 0, 0
    if item.history:
        first, last = item.history[0].occurred_at, item.history[-1].occurred_at
    item_type, labels, parent_id, team, size_milli = o.attributes
    return (
        flush.partition, item.tenant, item.work_item_id, o.state if item.history else "", team, item_type, labels, size_milli, parent_id,
        o.rule, o.work_class, o.assistance, o.value_milli, int(o.value_assisted), int(o.container), int(o.evidence), first, last, o.started_at,
        o.first_completed_at, o.completed_at, o.canceled_at, flush.usage.position, flush.items.position, flush.version,
    )  # fmt: skip


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> Sequence[Sequence[Any]]:
    """Rows as columns."""
    return list(zip(*rows, strict=True)) or [()] * width


def _nested(rows: Sequence[Sequence[tuple[Any, ...]]], kind: pa.StructType) -> pa.Array[Any]:
    """An Arrow list<struct> column from rows of tuples."""
    columns = _columns(list(chain.from_iterable(rows)), kind.num_fields)
    fields = [pa.array(values, kind.field(i).type) for i, values in enumerate(columns)]
    offsets = [0, *accumulate(map(len, rows))]
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), pa.StructArray.from_arrays(fields, fields=list(kind))
    )


def checkpoint_rows(flushes: Sequence[PartitionFlush], worker: str, now_us: int) -> pl.DataFrame:
    """Rows of checkpoints."""

    def side(name: str, read: Input) -> dict[str, Any]:
        return {
            f"{name}_next": read.position,
            f"{name}_begin": read.incarnation << OFFSET_BITS | read.begin,
            f"{name}_watermark": max(read.watermark, 0) if read.watermark != UNSEEN else 0,
            f"{name}_applied": read.applied,
            f"{name}_duplicates": read.duplicates,
            f"{name}_dead": read.dead,
            f"{name}_missing": read.missing,
        }

    rows = [
        {
            "kpart": f.partition, "incarnation": f.usage.incarnation, **side("usage", f.usage), **side("items", f.items),
            "epoch": f.epoch, "flush": f.number, "worker": worker, "flushed_at": now_us, "version": f.version,
        }
        for f in flushes
    ]  # fmt: skip
    unsigned = {
        "kpart": pl.UInt16,
        "incarnation": pl.UInt32,
        "epoch": pl.UInt64,
        "flush": pl.UInt64,
        "version": pl.UInt64,
    }
    return pl.DataFrame(rows, schema_overrides=unsigned).with_columns(
        pl.col("usage_watermark", "items_watermark", "flushed_at").cast(TIME)
    )
