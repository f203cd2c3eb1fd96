"""Rows as a file of Arrow, the form in which ClickHouse takes inserts."""

from __future__ import annotations

from typing import Final, Literal

import pyarrow as pa

REPEATED: Final = frozenset(
    {
        "activity", "cost_basis", "grouping", "item_type", "kind", "link_type", "model", "operation", "provider", "resolution", "size",
        "source", "source_type", "status", "team", "tenant", "tool", "usage_quality", "work_class",
    }
)  # fmt: skip
"""Columns of the large tables that are LowCardinality there: each text is sent once, and neither side copies it for every row."""

Compression = Literal["lz4", "zstd"] | None

_LEAST_ROWS: Final = 1_000
_HEADERS: Final = 1 << 16


def arrow_file(rows: pa.Table, compression: Compression) -> pa.Buffer:
    """Rows in Arrow's file format; `compression`: lz4, zstd or None.

    It is written into a buffer of the size that it needs at most: one that grows is copied, and its pages taken anew, again and again,
    which costs twenty times as much as writing it once.
    """
    if rows.num_rows >= _LEAST_ROWS:
        rows = _with_dictionaries(rows)
    size = pa.MockOutputStream()
    _write(rows, size, None)
    buffer = pa.allocate_buffer(size.size() + size.size() // 100 + _HEADERS)
    sink = pa.FixedSizeBufferWriter(buffer)
    _write(rows, sink, compression)
    return buffer.slice(0, sink.tell())


def _write(rows: pa.Table, sink: pa.NativeFile, compression: Compression) -> None:
    with pa.ipc.new_file(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(rows)


def _with_dictionaries(rows: pa.Table) -> pa.Table:
    columns = [
        column.dictionary_encode() if name in REPEATED else column
        for name, column in zip(rows.schema.names, rows.columns, strict=True)
    ]
    return pa.table(columns, names=rows.schema.names).unify_dictionaries()
