"""The rows of each table that a flush writes. Times are DateTime64(6) in UTC; versions and covered offsets come from the flush."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import polars as pl
import pyarrow as pa

from streams.join.flush import PartitionFlush
from streams.join.input import OFFSET_BITS, UNSEEN, Input
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


def item_rows(flushes: Sequence[PartitionFlush]) -> pa.Table:
    """Rows of work_items."""
    rows = [(f, item, item.outcome) for f in flushes for item in f.touched.items]

    def column(values: Any, kind: pa.DataType) -> pa.Array[Any]:
        return pa.array(list(values), kind)

    string, i64 = pa.string(), pa.int64()
    columns: dict[str, pa.Array[Any]] = {
        "kpart": column((f.partition for f, _, _ in rows), pa.uint16()),
        "tenant": column((i.tenant for _, i, _ in rows), string),
        "work_item_id": column((i.work_item_id for _, i, _ in rows), string),
        "state": column((o.state if i.history else "" for _, i, o in rows), string),
        "team": column((o.attributes.team for *_, o in rows), string),
        "item_type": column((o.attributes.item_type for *_, o in rows), string),
        "labels": column((list(o.attributes.labels) for *_, o in rows), pa.list_(string)),
        "size_milli": column((o.attributes.size_milli for *_, o in rows), i64),
        "parent_id": column((o.attributes.parent_id for *_, o in rows), string),
        "rule": column((o.rule for *_, o in rows), pa.uint16()),
        "work_class": column((o.work_class for *_, o in rows), string),
        "assistance": column((o.assistance for *_, o in rows), string),
        "value_milli": column((o.value_milli for *_, o in rows), i64),
        "value_assisted": column((int(o.value_assisted) for *_, o in rows), pa.uint8()),
        "container": column((int(o.container) for *_, o in rows), pa.uint8()),
        "evidence": column((int(o.evidence) for *_, o in rows), pa.uint8()),
        "first_event_at": column((i.history[0].occurred_at if i.history else 0 for _, i, _ in rows), _ARROW_TIME),
        "last_event_at": column((i.history[-1].occurred_at if i.history else 0 for _, i, _ in rows), _ARROW_TIME),
        "started_at": column((o.started_at for *_, o in rows), _ARROW_TIME),
        "first_completed_at": column((o.first_completed_at for *_, o in rows), _ARROW_TIME),
        "completed_at": column((o.completed_at for *_, o in rows), _ARROW_TIME),
        "canceled_at": column((o.canceled_at for *_, o in rows), _ARROW_TIME),
        "history": _nested([[tuple(e) for e in i.history] for _, i, _ in rows], HISTORY),
        "bookings": _nested([[(*b[:6], *b.amounts) for b in i.bookings] for _, i, _ in rows], BOOKING),
        "usage_next": column((f.usage.position for f, _, _ in rows), i64),
        "items_next": column((f.items.position for f, _, _ in rows), i64),
        "version": column((f.version for f, _, _ in rows), pa.uint64()),
    }
    return pa.table(columns)


def _nested(rows: list[list[tuple[Any, ...]]], kind: pa.StructType) -> pa.Array[Any]:
    """An Arrow list<struct> column from rows of tuples."""
    flat = list(chain.from_iterable(rows))
    fields = [pa.array([value[i] for value in flat], kind.field(i).type) for i in range(kind.num_fields)]
    offsets = [0]
    for row in rows:
        offsets.append(offsets[-1] + len(row))
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
