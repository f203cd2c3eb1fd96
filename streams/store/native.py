"""Rows as blocks of ClickHouse's Native format: columns as they lie in memory, so that neither side turns them into something else first.

A block is: number of columns, number of rows, then per column name, type and values. Whole numbers stand as in memory, a text behind its
length, a LowCardinality column as its distinct texts and the place of each row's among them (plain texts if they are many).
Source: ClickHouse's documentation of the formats Native and RowBinary; of LowCardinality, what the stock client writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streams.compiled import Number, compiled, given
from streams.events.text_columns import Codes, TextColumns, numbered
from streams.events.texts import SPARE, Texts, put_text

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]

REPEATED: Final = frozenset(
    {
        "activity", "cost_basis", "grouping", "item_type", "kind", "link_type", "model", "operation", "provider", "resolution", "size",
        "source", "source_type", "status", "team", "tenant", "tool", "usage_quality", "work_class",
    }
)  # fmt: skip
"""Columns of the large tables that are LowCardinality there: each text is sent once, and neither side copies it for every row."""

_NUMBERS: Final = {
    pa.uint8(): "UInt8", pa.uint16(): "UInt16", pa.uint32(): "UInt32", pa.uint64(): "UInt64", pa.int64(): "Int64",
    pa.date32(): "Date32", pa.timestamp("us", "UTC"): "DateTime64(6, 'UTC')",
}  # fmt: skip
_TEXT: Final = pa.string_view()

_LENGTH_BYTES: Final = 5
_HEAD_BYTES: Final = 256
"""Room for names, types and counts of a column, and for those of its block."""


class Buffers:
    """Buffers that are used again: to fill fresh memory costs the kernel more than it costs us. Used by several threads."""

    def __init__(self, most: int, most_bytes: int) -> None:
        """Keeps the `most` largest buffers that nobody uses, none of more than `most_bytes`."""
        self._most, self._most_bytes, self._free, self._lock = most, most_bytes, list[Bytes](), Lock()

    def take(self, size: int) -> Bytes:
        """A buffer of at least this size, which is nobody else's."""
        with self._lock:
            for place, held in enumerate(self._free):
                if len(held) >= size:
                    return self._free.pop(place)
        return np.empty(size + size // 4, np.uint8)

    def give_back(self, buffer: Bytes) -> None:
        """Let others use a buffer."""
        if len(buffer) <= self._most_bytes:
            with self._lock:
                self._free = sorted([*self._free, buffer], key=len)[-self._most :]


def is_flat(rows: pa.Table) -> bool:
    """Whether all columns are such that `native` knows them: whole numbers, times, and string views without nulls."""
    return all(column.type in _NUMBERS or (column.type == _TEXT and not column.null_count) for column in rows.columns)


def native(
    rows: pa.Table, buffers: Buffers, chosen: Places | None = None, columns: TextColumns | None = None
) -> tuple[Bytes, int]:
    """Flat rows, a block for each of their batches: a buffer, to be given back, and how many bytes of it are used.

    Of rows in one batch: the `chosen` ones (ascending), and their text `columns`, if somebody has looked at them already.
    """
    batches = rows.to_batches()
    assert len(batches) == 1 or (chosen is None and columns is None)
    blocks = []
    for batch in batches:
        places = given(np.arange(len(batch)) if chosen is None else chosen)
        blocks.append([_column(name, batch[name], places, columns) for name in batch.schema.names])
    out = buffers.take(SPARE + sum(_HEAD_BYTES + column.most_bytes for block in blocks for column in block))
    at = 0
    for block in blocks:
        at = _put_number(out, at, len(block))
        at = _put_number(out, at, block[0].rows)
        for column in block:
            at = _put_name(out, at, column.name)
            at = column.write(out, at)
    return out, at


@dataclass(frozen=True, slots=True)
class _Numbers:
    name: str
    kind: str
    values: Array
    nulls: Array | None

    @property
    def rows(self) -> int:
        return len(self.values)

    @property
    def most_bytes(self) -> int:
        return self.rows * (1 + self.values.itemsize)

    def write(self, out: Bytes, at: int) -> int:
        """A Nullable column has a byte for each row that says whether it is null, then all values."""
        at = _put_name(out, at, self.kind if self.nulls is None else f"Nullable({self.kind})")
        if self.nulls is not None:
            at = _put_bytes(out, at, self.nulls)
        return _put_bytes(out, at, self.values)


@dataclass(frozen=True, slots=True)
class _Texts:
    name: str
    texts: Texts
    places: Array

    @property
    def rows(self) -> int:
        return len(self.places)

    @property
    def most_bytes(self) -> int:
        sizes = self.texts.views[:, 0]
        sizes = sizes[self.places] if self.rows < len(sizes) else sizes
        return int(sizes.sum(dtype=np.int64)) + _LENGTH_BYTES * self.rows

    def write(self, out: Bytes, at: int) -> int:
        """Each behind its length."""
        return int(_put_texts(*self.texts, self.places, out, _put_name(out, at, "String")))


@dataclass(frozen=True, slots=True)
class _Coded:
    name: str
    texts: Texts
    codes: Codes

    @property
    def rows(self) -> int:
        return len(self.codes.numbers)

    @property
    def most_bytes(self) -> int:
        keys = self.texts.views[self.codes.firsts, 0]
        return int(keys.sum(dtype=np.int64)) + _LENGTH_BYTES * len(keys) + 2 * self.rows

    def write(self, out: Bytes, at: int) -> int:
        """LowCardinality: version 1, then `codes of two bytes | has keys of its own (2^9) | these are new (2^10)`, the keys and the codes."""
        numbers, keys = self.codes.numbers, len(self.codes.firsts)
        wide = keys > 1 << 8
        at = _put_name(out, at, "LowCardinality(String)")
        at = _put_words(out, at, 1, wide | 1 << 9 | 1 << 10, keys)
        at = int(_put_texts(*self.texts, self.codes.firsts, out, at))
        at = _put_words(out, at, self.rows)
        return _put_bytes(out, at, numbers if wide else numbers.astype(np.uint8))


def _column(
    name: str, values: pa.Array[Any], places: Places, columns: TextColumns | None
) -> _Numbers | _Texts | _Coded:
    if values.type == _TEXT:
        texts = Texts.of_arrow(values) if columns is None else columns.texts(name)
        if name in REPEATED and (codes := numbered(texts) if columns is None else columns.codes(name)):
            return _Coded(name, texts, codes if len(places) == len(values) else codes.at(places))
        return _Texts(name, texts, places)
    width = values.type.bit_width // 8
    data: Any = values.buffers()[1]
    numbers = np.frombuffer(data, f"u{width}")[values.offset : values.offset + len(values)]
    nulls = values.is_null().to_numpy(zero_copy_only=False) if values.null_count else None
    if len(places) < len(values):
        numbers, nulls = numbers[places], None if nulls is None else nulls[places]
    return _Numbers(name, _NUMBERS[values.type], numbers, nulls)


def _put_number(out: Bytes, at: int, number: int) -> int:
    while number > 0x7F:
        out[at] = number & 0x7F | 0x80
        number >>= 7
        at += 1
    out[at] = number
    return at + 1


def _put_bytes(out: Bytes, at: int, values: Array) -> int:
    found = values.view(np.uint8)
    out[at : at + len(found)] = found
    return at + len(found)


def _put_name(out: Bytes, at: int, name: str) -> int:
    text = np.frombuffer(name.encode(), np.uint8)
    return _put_bytes(out, _put_number(out, at, len(text)), text)


def _put_words(out: Bytes, at: int, *numbers: int) -> int:
    return _put_bytes(out, at, np.array(numbers, np.uint64))


@compiled
def _put_texts(views: Array, data: Array, places: Array, out: Array, at: Number) -> Number:
    """The texts at some places, each behind its length (7 bits a byte, the lowest first). Up to SPARE bytes behind the end are written, too."""
    for k in range(len(places)):
        i = places[k]
        rest = np.int64(views[i, 0])
        while rest > 0x7F:
            out[at] = rest & 0x7F | 0x80
            rest >>= 7
            at += 1
        out[at] = rest
        at += 1
        at = put_text(views, data, i, out, at)
    return at
