"""Blocks of ClickHouse's Native format as a table again, for stores of the tests that keep rows: written from the format's documentation alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from streams.store.sink import Packed

NUMBERS: dict[str, tuple[str, Any]] = {
    "UInt8": ("<u1", pl.UInt8), "UInt16": ("<u2", pl.UInt16), "UInt32": ("<u4", pl.UInt32), "UInt64": ("<u8", pl.UInt64),
    "Int64": ("<i8", pl.Int64), "Date32": ("<i4", pl.Date), "DateTime64(6, 'UTC')": ("<i8", pl.Datetime("us", "UTC")),
}  # fmt: skip
CODES = ("<u1", "<u2", "<u4", "<u8")
HAS_KEYS, KEYS_ARE_NEW = 1 << 9, 1 << 10


def unpacked(rows: pa.Table | Sequence[Packed]) -> pa.Table:
    """The rows of an insert."""
    if isinstance(rows, pa.Table):
        return rows
    frames = [frame for one in rows for frame in _Blocks(one.body.tobytes()).frames()]
    assert sum(map(len, frames)) == sum(map(len, rows))
    assert all(frame.columns == one.columns for one in rows for frame in frames)
    return pl.concat(frames).to_arrow()


class _Blocks:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def frames(self) -> list[pl.DataFrame]:
        out = []
        while self.at < len(self.data):
            columns, rows = self.number(), self.number()
            out.append(pl.DataFrame([pl.Series(self.text(), *self.column(rows)) for _ in range(columns)]))
        return out

    def number(self) -> int:
        """7 bits a byte, the lowest first."""
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def text(self) -> str:
        size = self.number()
        self.at += size
        return self.data[self.at - size : self.at].decode()

    def array(self, form: str, rows: int) -> np.ndarray[Any, Any]:
        values = np.frombuffer(self.data, form, rows, self.at)
        self.at += values.nbytes
        return values

    def column(self, rows: int) -> tuple[list[Any], Any]:
        kind = self.text()
        if kind == "String":
            return [self.text() for _ in range(rows)], pl.String
        if kind == "LowCardinality(String)":
            version, flags, keys = self.array("<u8", 3).tolist()
            assert (version, flags & ~0xFF) == (1, HAS_KEYS | KEYS_ARE_NEW)
            texts = [self.text() for _ in range(keys)]
            assert self.array("<u8", 1)[0] == rows
            return [texts[code] for code in self.array(CODES[flags & 0xFF], rows).tolist()], pl.String
        if nullable := re.fullmatch(r"Nullable\((.+)\)", kind):
            form, to = NUMBERS[nullable[1]]
            nulls = self.array("<u1", rows).tolist()
            values = zip(self.array(form, rows).tolist(), nulls, strict=True)
            return [None if null else value for value, null in values], to
        form, to = NUMBERS[kind]
        return self.array(form, rows).tolist(), to
