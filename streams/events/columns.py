"""Many records to Arrow columns in one pass, without an object per record (the loops are in avro.py)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from streams.events.avro import BOOLEAN, FIXED_4, FIXED_8, INT, LONG, OPTIONAL, STRING, STRINGS, read_datums
from streams.events.records import Records
from streams.events.schemas import Schema, plain
from streams.events.texts import arrow_buffer

Good = npt.NDArray[np.bool_]

_KINDS: Final = {
    "string": STRING, "long": LONG, "int": INT, "boolean": BOOLEAN, "float": FIXED_4, "double": FIXED_8,
}  # fmt: skip
_STRINGS: Final = {"type": "array", "items": "string"}
_SORTS: Final = {STRING: 0, LONG: 1, INT: 1, STRINGS: 2}


class ColumnReader:
    """Reads records that were written with one schema. Thread-safe: it keeps nothing between calls."""

    def __init__(self, writer: Schema, wanted: Collection[str]) -> None:
        """`wanted`: the fields that become columns, those of other types than text and whole numbers never.

        Raises ValueError for a schema with anything but scalars, optional scalars and arrays of strings.
        """
        fields = plain(writer)["fields"]
        kinds = [_kind(field["type"]) for field in fields]
        self._columns: tuple[list[tuple[str, bool]], ...] = [], [], []
        slots = []
        for field, kind in zip(fields, kinds, strict=True):
            sort = _SORTS.get(kind % OPTIONAL)
            if sort is None or field["name"] not in wanted:
                slots.append(-1)
                continue
            slots.append(len(self._columns[sort]))
            self._columns[sort].append((field["name"], kind >= OPTIONAL))
        self._kinds, self._slots = np.array(kinds, np.int64), np.array(slots, np.int64)

    def read(self, records: Records, header: bytes) -> tuple[pl.DataFrame, Good]:
        """Columns of the records that are exactly one datum behind exactly this header, and which ones these are.

        Text as String ('' where it is null), whole numbers as Int64 (null where they are), arrays as List(String).
        """
        n, (strings, longs, arrays) = len(records), self._columns
        views = np.empty((len(strings), n, 2), np.uint64)
        numbers, present = np.empty((len(longs), n), np.int64), np.empty((len(longs), n), np.uint8)
        counts, good = np.empty((len(arrays), n), np.int64), np.empty(n, np.uint8)
        room = n
        while True:
            members = np.empty((len(arrays), room, 2), np.uint64)
            used, held = np.zeros(len(arrays), np.int64), np.zeros(len(arrays), np.int64)
            read_datums(
                records.buffer, records.starts, records.stops, np.frombuffer(bytearray(header), np.uint8),
                self._kinds, self._slots, views, numbers, present, counts, members, used, held, good,
            )  # fmt: skip
            if (needed := int(used.max(initial=0))) <= room:
                break
            room = needed
        text = arrow_buffer(records.buffer)
        columns: dict[str, pa.Array[Any]] = {}
        for (name, _), rows in zip(strings, views, strict=True):
            columns[name] = _texts(rows, text)
        for (name, optional), values, given in zip(longs, numbers, present, strict=True):
            nulls = arrow_buffer(np.packbits(given, bitorder="little")) if optional else None
            columns[name] = pa.Array.from_buffers(pa.int64(), n, [nulls, arrow_buffer(values)])
        for (name, _), lengths, rows in zip(arrays, counts, members, strict=True):
            offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
            columns[name] = pa.LargeListArray.from_arrays(pa.array(offsets), _texts(rows[: offsets[-1]], text))
        frame = pl.DataFrame([pl.Series(name, values) for name, values in columns.items()])
        kept = good.view(np.bool_)
        return (frame if kept.all() else frame.filter(pl.Series(kept))), kept


def _texts(views: npt.NDArray[np.uint64], text: pa.Buffer) -> pa.Array[Any]:
    return pa.Array.from_buffers(pa.string_view(), len(views), [None, arrow_buffer(views), text])


def _kind(field_type: Any) -> int:
    """What a field is to the loops."""
    match field_type:
        case ["null", scalar] if scalar in _KINDS:
            return OPTIONAL + _KINDS[scalar]
        case scalar if isinstance(scalar, str) and scalar in _KINDS:
            return _KINDS[scalar]
        case array if array == _STRINGS:
            return STRINGS
    raise ValueError(f"{field_type} is no plain column")
