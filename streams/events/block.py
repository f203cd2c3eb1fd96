"""Many records to Arrow columns in one call: the records of a batch are put together as the items of one Avro array.

pyruhvro is fast, and says nothing about where a datum ended: it ignores bytes after it. So nine bytes that can stand
in no text go before each record, laid out such that they and the record's own zero byte read as one long of ten
bytes. The records' headers and ends are then fields like the others:

    count | mark 0 id datum | mark 0 id datum | ... | 0 | mark 0
            ~~~~~~ ~~
            long   float: four bytes as they are

Every mark read back as itself, and as many marks in the bytes as were put there, prove that each record was read from
its first byte to its last: a record that ended early or late would have to take a mark as its own data, and then one
is missing at the end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyruhvro

from streams.events.schemas import Schema, plain

_MARK: Final = b"\xff" * 8 + b"\x80"
_MARK_VALUE: Final = -(2**55)
"""What the mark and a zero byte read as; also the mark and another even byte, whose bits have no room in a long."""
_WHOLE_MARK: Final = _MARK + b"\0"
_SCALARS: Final = ("string", "long", "int", "boolean", "float", "double")


class BlockReader:
    """Reads records that were written with one schema. Thread-safe: it keeps nothing between calls."""

    def __init__(self, writer: Schema) -> None:
        """Raises ValueError for a schema with anything but plain columns.

        pyruhvro panics at bytes and fixed, and texts deep inside would go unchecked.
        """
        fields = [{"name": field["name"], "type": _column_type(field["type"])} for field in plain(writer)["fields"]]
        self._names = [field["name"] for field in fields]
        framed = [{"name": "_mark", "type": "long"}, {"name": "_id", "type": "float"}, *fields]
        items = {"type": "record", "name": "Item", "fields": framed}
        rows = {"name": "rows", "type": {"type": "array", "items": items}}
        self._schema = json.dumps(
            {"type": "record", "name": "Block", "fields": [rows, {"name": "end", "type": "long"}]}
        )

    def read(self, values: Sequence[bytes], header: bytes) -> pa.RecordBatch | None:
        """The columns of `values` (at least one); None unless each is exactly one datum behind exactly this header.

        Strings are checked to be UTF-8. Optional fields are nullable columns, times integers.
        """
        data = _MARK.join([_varint(len(values)), *values[:-1], values[-1] + b"\0", b"\0"])
        batch = self._decode(data)
        if batch is None:
            return None
        records: Any = batch.column(0)
        mark, schema_id, *columns = records.flatten().flatten()
        if (
            batch.column(1)[0].as_py() != _MARK_VALUE
            or len(mark) != len(values)
            or (mark.to_numpy() != _MARK_VALUE).any()
            or (schema_id.to_numpy().view(np.uint32) != np.frombuffer(header[1:], np.uint32)).any()
            or data.count(_MARK) != len(values) + 1
            or data.count(_WHOLE_MARK) != len(values) + 1
            or not all(_is_text(column) for column in columns)
        ):
            return None
        return pa.RecordBatch.from_arrays(columns, names=self._names)

    def _decode(self, data: bytes) -> pa.RecordBatch | None:
        try:
            batch: pa.RecordBatch = pyruhvro.deserialize_array([data], self._schema)
        except Exception:  # noqa: BLE001  bad bytes raise ValueError and whatever its Rust libraries come up with
            return None
        except BaseException as error:
            # A Rust panic derives from BaseException so that nobody swallows it; here it means unreadable bytes.
            if type(error).__name__ == "PanicException":
                return None
            raise
        return batch


def _column_type(field_type: Any) -> object:
    """The type, if it is a scalar, an optional scalar or an array of scalars."""
    match field_type:
        case ["null", scalar] | {"type": "array", "items": scalar} | scalar if scalar in _SCALARS:
            return field_type
    raise ValueError(f"pyruhvro does not read {field_type} into a plain column")


def _varint(count: int) -> bytes:
    """Avro's long, for counts."""
    number, out = count << 1, bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _is_text(column: Any) -> bool:
    """Whether the strings of a column are UTF-8: pyruhvro does not look, and Polars relies on it."""
    if pa.types.is_list(column.type):
        return _is_text(column.values)
    if not pa.types.is_string(column.type):
        return True
    data = column.buffers()[2]
    if data is None or np.frombuffer(data, np.int8).min(initial=0) >= 0:  # ASCII only: by far the most
        return True
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
