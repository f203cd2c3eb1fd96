"""From one writer's schema to the columns of the event's own: both decoders, and the alignment of their columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

import polars as pl
import pyarrow as pa

from streams.events.block import BlockReader
from streams.events.examine import Examiner, Row
from streams.events.schemas import EventName, Schema, latest
from streams.events.wire import HEADER_BYTES

_DTYPES: Final[dict[str, pl.DataType]] = {"string": pl.String(), "long": pl.Int64()}


class EventReader:
    """Both decoders for one event and writer's schema. `block` is None where pyruhvro does not read the schema."""

    def __init__(self, event: EventName, writer: Schema) -> None:
        reader = latest(event)
        self._written = {field["name"] for field in writer["fields"]}
        self._fields = {field["name"]: _dtype(field["type"]) for field in reader["fields"]}
        self._expected = list(self._fields.items())
        self._defaults = {field["name"]: field["default"] for field in reader["fields"] if "default" in field}
        try:
            self.block: BlockReader | None = BlockReader(writer)
        except ValueError:
            self.block = None
        self.examiner = Examiner(writer, reader, self._block_takes)

    def columns(self, batches: Sequence[Any]) -> pl.DataFrame:
        """The event's columns from batches of `block`, one after the other: what the writer lacked has its default."""
        frame = pl.DataFrame(pa.Table.from_batches(batches))
        if list(frame.schema.items()) == self._expected:
            return frame
        return frame.select(self._column(name, dtype, frame.schema) for name, dtype in self._fields.items())

    def rows(self, rows: Iterable[Row]) -> pl.DataFrame:
        """The event's columns from rows of the examiner."""
        return pl.DataFrame(list(rows), schema=self._fields, orient="row")

    def _column(self, name: str, dtype: pl.DataType, written: pl.Schema) -> pl.Expr:
        if name not in self._written:
            return pl.lit(self._defaults[name], dtype).alias(name)
        return pl.col(name) if written[name] == dtype else pl.col(name).cast(dtype)

    def _block_takes(self, datum: bytes) -> bool | None:
        header = bytes(HEADER_BYTES)
        return None if self.block is None else self.block.read([header + datum], header) is not None


@lru_cache(maxsize=256)
def _reader(event: EventName, writer: str) -> EventReader:
    return EventReader(event, json.loads(writer))


def reader_of(event: EventName, writer: Schema) -> EventReader:
    """The reader for a writer's schema, made once."""
    return _reader(event, json.dumps(writer))


def empty_columns(event: EventName) -> pl.DataFrame:
    """The event's columns without rows."""
    return pl.DataFrame(schema={field["name"]: _dtype(field["type"]) for field in latest(event)["fields"]})


def _dtype(field_type: Any) -> pl.DataType:
    if isinstance(field_type, list):
        return next(_dtype(branch) for branch in field_type if branch != "null")
    if isinstance(field_type, dict):
        return pl.List(_dtype(field_type["items"])) if field_type["type"] == "array" else _dtype(field_type["type"])
    return _DTYPES[field_type]
