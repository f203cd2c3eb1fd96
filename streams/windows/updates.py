"""Messages of pane-updates and value-windows: a kind byte, the xxHash64 of the rest (8 bytes), an Arrow IPC stream.

Updates are absolute: they replace what was known of the same keys, unless that has a higher version. A message concerns one tenant, whose name is its key; watermarks go to
every partition without a key. The hash is there because readers of Arrow streams do not survive damaged bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
import xxhash

from streams.windows.measures import OUTCOME_MEASURES, USAGE_MEASURES

PANES: Final = b"P"
BOOKINGS: Final = b"B"
ACTORS: Final = b"A"
WATERMARKS: Final = b"W"
WINDOWS: Final = b"V"

ROWS_PER_MESSAGE: Final = 2_000
"""About 800 kB before compression, so that a message stays under the limit of 1 MB that Kafka has by default."""

WATERMARK_SCHEMA: Final = {
    "kpart": pl.UInt16, "usage_next": pl.Int64, "items_next": pl.Int64, "usage_watermark": pl.Int64, "items_watermark": pl.Int64,
}  # fmt: skip

WINDOW_COLUMNS: Final = (
    "tenant", "grouping", "team", "work_class", "size", "window_end", "status", "backfill",
    "standard_cost_micro_usd", "unattributed_standard_cost_micro_usd", "enabling_standard_cost_micro_usd",
    "matched_standard_cost_micro_usd_credited", "matched_standard_cost_micro_usd_debited",
    "abandoned_standard_cost_micro_usd_booked", "abandoned_standard_cost_micro_usd_reversed",
    "items_completed", "repeated_prompts", "requests", "tokens", "value_credited_milli", "value_debited_milli",
)  # fmt: skip
"""Columns of value_windows that alert rules read."""
TOLD_GROUPINGS, TOLD_SIZES = ("team", "team_class"), ("1h", "24h", "7d")

_PANE_KEY: Final = ("kpart", "tenant", "team", "tool", "model", "pane_start")
_BOOKING: Final = ("kpart", "tenant", "work_item_id", "at", "team", "tool", "model", "work_class")
COLUMNS: Final[dict[bytes, tuple[str, ...]]] = {
    PANES: (*_PANE_KEY, *USAGE_MEASURES, "version"),
    BOOKINGS: (*_BOOKING, *OUTCOME_MEASURES, "version"),
    ACTORS: (*_PANE_KEY, "actor_hash"),
    WATERMARKS: tuple(WATERMARK_SCHEMA),
    WINDOWS: (*WINDOW_COLUMNS, "revision"),
}
"""What a reader needs of each kind; a message may hold more."""

_HASH_BYTES: Final = 8
_LZ4: Final = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
_READ: Final = pa.ipc.IpcReadOptions(use_threads=False)
"""A message is too small to be worth waking threads for."""

Message = tuple[bytes, bytes]
"""Key and value."""


def pack_panes(frame: pl.DataFrame) -> Iterator[Message]:
    """Usage panes: kpart, the pane key, USAGE_MEASURES, version of the flush."""
    return _packed(PANES, frame)


def pack_actors(frame: pl.DataFrame) -> Iterator[Message]:
    """Actors of panes: kpart, the pane key, actor_hash."""
    return _packed(ACTORS, frame)


def pack_bookings(frame: pl.DataFrame) -> Iterator[Message]:
    """All bookings of the items that appear; the bookings of an item stay in one message, which may be a longer one."""
    for (tenant,), rows in frame.partition_by("tenant", as_dict=True, maintain_order=True).items():
        items = rows.sort("kpart", "work_item_id", maintain_order=True)
        changes = items.select(pl.struct("kpart", "work_item_id").rle_id()).to_series().diff().fill_null(1) != 0
        starts = [*changes.arg_true().to_list(), len(items)]
        begin = 0
        while begin < len(items):
            after = int(np.searchsorted(starts, begin + ROWS_PER_MESSAGE, side="right")) - 1
            end = starts[after] if starts[after] > begin else starts[after + 1]
            yield str(tenant).encode(), _value(BOOKINGS, items[begin:end])
            begin = end


def told(frame: pl.DataFrame) -> pl.DataFrame:
    """Of rows of value_windows what travels on value-windows: the final ones that alert rules may read. Analysts read ClickHouse."""
    wanted = pl.col("grouping").is_in(TOLD_GROUPINGS) & pl.col("size").is_in(TOLD_SIZES)
    return frame.lazy().filter(pl.col("status") == "final", wanted).select(COLUMNS[WINDOWS]).collect()


def pack_windows(frame: pl.DataFrame) -> Iterator[Message]:
    """Rows that are told."""
    return _packed(WINDOWS, frame)


def pack_watermarks(rows: Sequence[tuple[int, int, int, int, int]]) -> bytes:
    """The value of a watermark message: kpart, next offsets of usage and items, watermarks of both (us)."""
    return _value(WATERMARKS, pl.DataFrame(list(rows), schema=WATERMARK_SCHEMA, orient="row"))


def unpack(value: bytes) -> tuple[bytes, pl.DataFrame]:
    """Kind and rows of a message; ValueError when it is none, is damaged, or lacks columns."""
    kind, digest, stream = value[:1], value[1 : 1 + _HASH_BYTES], value[1 + _HASH_BYTES :]
    if kind not in COLUMNS:
        raise ValueError(f"unknown kind of update {kind!r}")
    if digest != _digest(kind, stream):
        raise ValueError("damaged update: its hash differs")
    try:
        frame = pl.from_arrow(pa.ipc.open_stream(stream, options=_READ).read_all())
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"update is no Arrow stream: {error}") from error
    assert isinstance(frame, pl.DataFrame)
    if missing := [name for name in COLUMNS[kind] if name not in frame.columns]:
        raise ValueError(f"update of kind {kind!r} lacks {', '.join(missing)}")
    return kind, frame


def _packed(kind: bytes, frame: pl.DataFrame) -> Iterator[Message]:
    for (tenant,), rows in frame.partition_by("tenant", as_dict=True, maintain_order=True).items():
        for part in rows.iter_slices(ROWS_PER_MESSAGE):
            yield str(tenant).encode(), _value(kind, part)


def _value(kind: bytes, frame: pl.DataFrame) -> bytes:
    table = frame.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_LZ4) as writer:
        writer.write_table(table)
    stream = sink.getvalue().to_pybytes()
    return b"".join((kind, _digest(kind, stream), stream))


def _digest(kind: bytes, stream: bytes) -> bytes:
    hasher = xxhash.xxh64(kind)
    hasher.update(stream)
    return hasher.digest()
