"""Messages of pane-updates and value-windows: a kind byte, then an Arrow IPC stream.

Updates are absolute: they replace what was known of the same keys. A message concerns one tenant, whose name is its key; watermarks go to
every partition without a key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl
import pyarrow as pa

PANES: Final = b"P"
BOOKINGS: Final = b"B"
ACTORS: Final = b"A"
WATERMARKS: Final = b"W"
WINDOWS: Final = b"V"

ROWS_PER_MESSAGE: Final = 2_000
"""At most about 800 kB before compression: Kafka refuses messages over 1 MB by default."""

WATERMARK_SCHEMA: Final = {
    "kpart": pl.UInt16, "usage_next": pl.Int64, "items_next": pl.Int64, "usage_watermark": pl.Int64, "items_watermark": pl.Int64,
}  # fmt: skip

_LZ4: Final = pa.ipc.IpcWriteOptions(compression="lz4")

Message = tuple[bytes, bytes]
"""Key and value."""


def pack_panes(frame: pl.DataFrame) -> Iterator[Message]:
    """Usage panes: kpart, the pane key, USAGE_MEASURES."""
    return _packed(PANES, frame)


def pack_actors(frame: pl.DataFrame) -> Iterator[Message]:
    """Actors of panes: kpart, the pane key, actor_hash."""
    return _packed(ACTORS, frame)


def pack_bookings(frame: pl.DataFrame) -> Iterator[Message]:
    """All bookings of the items that appear; the bookings of an item stay in one message."""
    for (tenant,), rows in frame.partition_by("tenant", as_dict=True, maintain_order=True).items():
        waiting: list[pl.DataFrame] = []
        for item in rows.partition_by("work_item_id", maintain_order=True):
            if waiting and sum(map(len, waiting)) + len(item) > ROWS_PER_MESSAGE:
                yield str(tenant).encode(), _value(BOOKINGS, pl.concat(waiting))
                waiting = []
            waiting.append(item)
        yield str(tenant).encode(), _value(BOOKINGS, pl.concat(waiting))


def pack_windows(frame: pl.DataFrame) -> Iterator[Message]:
    """Rows of value_windows."""
    return _packed(WINDOWS, frame)


def pack_watermarks(rows: Sequence[tuple[int, int, int, int, int]]) -> bytes:
    """The value of a watermark message: kpart, next offsets of usage and items, watermarks of both (us)."""
    return _value(WATERMARKS, pl.DataFrame(list(rows), schema=WATERMARK_SCHEMA, orient="row"))


def unpack(value: bytes) -> tuple[bytes, pl.DataFrame]:
    """Kind and rows of a message; ValueError when it is none."""
    kind = value[:1]
    if kind not in (PANES, BOOKINGS, ACTORS, WATERMARKS, WINDOWS):
        raise ValueError(f"unknown kind of update {kind!r}")
    try:
        frame = pl.from_arrow(pa.ipc.open_stream(pa.py_buffer(value)[1:]).read_all())
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"update is no Arrow stream: {error}") from error
    assert isinstance(frame, pl.DataFrame)
    return kind, frame


def _packed(kind: bytes, frame: pl.DataFrame) -> Iterator[Message]:
    if frame.is_empty():
        return
    for (tenant,), rows in frame.partition_by("tenant", as_dict=True, maintain_order=True).items():
        for part in rows.iter_slices(ROWS_PER_MESSAGE):
            yield str(tenant).encode(), _value(kind, part)


def _value(kind: bytes, frame: pl.DataFrame) -> bytes:
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    sink = pa.BufferOutputStream()
    sink.write(kind)
    with pa.ipc.new_stream(sink, table.schema, options=_LZ4) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()
