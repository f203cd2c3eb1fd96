"""One record at a time: reads a datum whatever its schema, and names what is wrong with one that cannot be read.

The slow path. It serves records that made their block fail, and whole batches where pyruhvro does not read the schema
or is not wanted.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import fastavro

from streams.events.dead_letter import Reason
from streams.events.schemas import Schema, plain

Row = dict[str, Any]


class Examiner:
    """Reads single datums that were written with one schema, as another one sees them."""

    def __init__(self, writer: Schema, reader: Schema, referee: Callable[[bytes], bool | None]) -> None:
        """`referee` says whether the fast path takes a datum, None where there is no fast path. It is asked about
        datums that fastavro reads but would write differently (it takes a branch index of -1, say), so that both
        paths decide alike.
        """
        self._writer = fastavro.parse_schema(plain(writer))
        self._reader = None if writer == reader else fastavro.parse_schema(plain(reader))
        self._referee = referee

    def read(self, datum: bytes) -> Row | tuple[Reason, str]:
        """The fields, or the reason why there are none and a detail without content. Times are integers."""
        stream = io.BytesIO(datum)
        try:
            row = fastavro.schemaless_reader(stream, self._writer, None)
            surplus = len(datum) - stream.tell()
            if surplus:
                return "trailing_bytes", f"{surplus} bytes follow the datum of {stream.tell()} bytes"
            if not self._is_canonical(row, datum) and self._referee(datum) is False:
                return "malformed", "an encoding that the Avro specification does not allow"
            if self._reader is not None:
                stream.seek(0)
                row = fastavro.schemaless_reader(stream, self._writer, self._reader)
        except EOFError:
            return "truncated", f"the datum does not end within its {len(datum)} bytes"
        except Exception as error:  # noqa: BLE001  what damaged bytes make of a decoder is not listed anywhere
            return "malformed", type(error).__name__
        fields: Row = row
        return fields

    def _is_canonical(self, row: Any, datum: bytes) -> bool:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self._writer, row)
        return out.getvalue() == datum
