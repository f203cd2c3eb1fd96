"""From one writer's schema to the columns of the event's own: both decoders, and the alignment of their columns."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any, Final

import polars as pl

from streams.events.columns import ColumnReader, Good
from streams.events.examine import Examiner, Row
from streams.events.records import Records
from streams.events.schemas import EventName, Schema, latest
from streams.events.wire import HEADER_BYTES

_DTYPES: Final[dict[str, pl.DataType]] = {"string": pl.String(), "long": pl.Int64()}


class EventReader:
    """Both decoders for one event and writer's schema. `in_place` is None where the schema has more than plain columns."""

    def __init__(self, event: EventName, writer: Schema) -> None:
        reader = latest(event)
        self._written = {field["name"] for field in writer["fields"]}
        self._fields = {field["name"]: _dtype(field["type"]) for field in reader["fields"]}
        self._absent = {
            field["name"]: _absent(field["name"], field["default"], self._fields[field["name"]])
            for field in reader["fields"]
            if "default" in field
        }
        """One value of each column that a writer may lack."""
        try:
            self.in_place: ColumnReader | None = ColumnReader(writer, self._fields)
        except ValueError:
            self.in_place = None
        self.examiner = Examiner(writer, reader, self._fast_path_takes)

    def columns(self, records: Records, header: bytes) -> tuple[pl.DataFrame, Good]:
        """The event's columns from records, and which of them could be read in place: what the writer lacked has its default."""
        assert self.in_place is not None
        frame, good = self.in_place.read(records, header)
        return pl.DataFrame([self._column(frame, name) for name in self._fields]), good

    def rows(self, rows: Iterable[Row]) -> pl.DataFrame:
        """The event's columns from rows of the examiner."""
        return pl.DataFrame(list(rows), schema=self._fields, orient="row").with_columns(pl.col(pl.String).fill_null(""))

    def _column(self, frame: pl.DataFrame, name: str) -> pl.Series:
        return frame[name] if name in self._written else self._absent[name].new_from_index(0, len(frame))

    def _fast_path_takes(self, datum: bytes) -> bool | None:
        if self.in_place is None:
            return None
        header = bytes(HEADER_BYTES)
        return bool(self.in_place.read(Records.of([header + datum]), header)[1].all())


@lru_cache(maxsize=256)
def _reader(event: EventName, writer: str) -> EventReader:
    return EventReader(event, json.loads(writer))


def reader_of(event: EventName, writer: Schema) -> EventReader:
    """The reader for a writer's schema, made once."""
    return _reader(event, json.dumps(writer))


def _absent(name: str, default: Any, dtype: pl.DataType) -> pl.Series:
    return pl.Series(name, ["" if default is None and dtype == pl.String else default], dtype)


@cache
def empty_columns(event: EventName) -> pl.DataFrame:
    """The event's columns without rows."""
    return pl.DataFrame(schema={field["name"]: _dtype(field["type"]) for field in latest(event)["fields"]})


def _dtype(field_type: Any) -> pl.DataType:
    if isinstance(field_type, list):
        return next(_dtype(branch) for branch in field_type if branch != "null")
    if isinstance(field_type, dict):
        return pl.List(_dtype(field_type["items"])) if field_type["type"] == "array" else _dtype(field_type["type"])
    return _DTYPES[field_type]
