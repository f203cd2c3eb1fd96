"""From record values to columns: the one way into the workers.

A batch is decoded whole; one bad record never costs its neighbours, and whether a record is accepted depends on
nothing but itself, its append time and its partition: not on the cut of the batch, nor on the decoder that read it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from streams.events.bounds import MAX_SIZE_MILLI
from streams.events.dead_letter import DeadLetter, Reason
from streams.events.partition_column import partitions_of
from streams.events.reader import EventReader, empty_columns, reader_of
from streams.events.schemas import EVENT_NAMES, EventName, WriterSchemas, latest
from streams.events.validate import refusals
from streams.events.wire import HEADER_BYTES, MAGIC, schema_id_of

EVENT_OF_TOPIC: Final[dict[str, EventName]] = {"usage-events": "usage_event", "work-item-events": "work_item_event"}
Positions = npt.NDArray[np.int64]
_SMALL_BLOCK: Final = 16
"""Blocks of this size are examined record by record: halving further costs more than it saves."""
_SHIPPED: Final = WriterSchemas()


@dataclass(frozen=True, slots=True)
class Decoded:
    """What became of a batch: each record is either a row of `frame` or in `dead`, both in offset order.

    `frame`: the fields of the event's schema in order (occurred_at Int64 micro-seconds, '' for an absent string, null
    for an absent cost, size_milli 0 for no usable size), then offset and appended_at Int64 and key String.
    """

    frame: pl.DataFrame
    dead: list[DeadLetter]


class _Refused(NamedTuple):
    position: int
    reason: Reason
    detail: str


def decode(
    topic: str,
    values: Sequence[bytes | None],
    offsets: npt.NDArray[np.int64],
    appended_at: npt.NDArray[np.int64],
    *,
    partition: int,
    partitions: int,
    schemas: WriterSchemas = _SHIPPED,
    fallback: bool = False,
) -> Decoded:
    """Decode and check the records of one partition of an input topic.

    `offsets` ascending, `appended_at` in micro-seconds since epoch, both as long as `values`. `partitions`: of the
    topic. `fallback`: read every record with fastavro; the result is the same. Raises RegistryUnavailable when a configured
    schema registry does not answer; nothing about a record raises.
    """
    event = EVENT_OF_TOPIC[topic]
    frame, index, refused = _read(event, values, schemas, fallback=fallback)
    frame = _normalised(event, frame).with_columns(
        pl.Series("offset", offsets[index]), pl.Series("appended_at", appended_at[index])
    )
    refused.extend(_Refused(int(index[bad.row]), bad.reason, bad.detail) for bad in refusals(event, frame))
    if refused:
        frame, index = _without(frame, index, refused)
    frame = frame.with_columns(key_of(event))
    foreign = _foreign(frame["key"], partition, partitions)
    if foreign:
        detail = f"the key belongs to another of {partitions} partitions than {partition}"
        refused.extend(_Refused(int(index[row]), "wrong_partition", detail) for row in foreign)
        frame, index = _without(frame, index, refused)
    refused.sort()
    dead = [
        DeadLetter(topic, partition, int(offsets[i]), int(appended_at[i]), reason, detail, len(values[i] or b""))
        for i, reason, detail in refused
    ]
    return Decoded(frame, dead)


def _without(frame: pl.DataFrame, index: Positions, refused: list[_Refused]) -> tuple[pl.DataFrame, Positions]:
    keep = ~np.isin(index, [bad.position for bad in refused])
    return frame.filter(keep), index[keep]


# --- bytes to columns -------------------------------------------------------------------------------------------------


def _read(
    event: EventName, values: Sequence[bytes | None], schemas: WriterSchemas, *, fallback: bool
) -> tuple[pl.DataFrame, Positions, list[_Refused]]:
    """The columns of the readable records, their positions in `values` (ascending), and the other records."""
    if not fallback and values and None not in values:
        frame = _read_alike(event, values, schemas)  # type: ignore[arg-type]  # None is not among them
        if frame is not None:
            return frame, np.arange(len(values)), []
    refused: list[_Refused] = []
    groups: dict[bytes, list[int]] = {}
    for i, value in enumerate(values):
        if value is None:
            refused.append(_Refused(i, "null_value", ""))
        elif value[:1] not in {b"", bytes([MAGIC])}:
            refused.append(_Refused(i, "wrong_magic", f"the first byte is {value[0]}"))
        elif len(value) < HEADER_BYTES:
            refused.append(_Refused(i, "truncated", f"{len(value)} bytes hold no header"))
        else:
            groups.setdefault(value[:HEADER_BYTES], []).append(i)
    frames, positions = [empty_columns(event)], [np.empty(0, np.int64)]
    for header, group in groups.items():
        schema_id = schema_id_of(header)
        writer = schemas.find(event, schema_id)
        if writer is None:
            refused.extend(_Refused(i, "unknown_schema", f"schema id {schema_id}") for i in group)
            continue
        mine = np.array(group)
        records = [values[i] or b"" for i in group]
        for frame, where in _read_group(reader_of(event, writer), records, header, refused, mine, fallback=fallback):
            frames.append(frame)
            positions.append(mine[where])
    found = np.concatenate(positions)
    order = np.argsort(found)
    return pl.concat(frames)[order], found[order], refused


def _read_alike(event: EventName, values: Sequence[bytes], schemas: WriterSchemas) -> pl.DataFrame | None:
    """The usual case, else None: every record is good and was written with the schema of the first."""
    header = values[0][:HEADER_BYTES]
    if len(header) < HEADER_BYTES or header[0] != MAGIC:
        return None
    writer = schemas.find(event, schema_id_of(header))
    reader = None if writer is None else reader_of(event, writer)
    if reader is None or reader.block is None:
        return None
    batch = reader.block.read(values, header)
    return None if batch is None else reader.columns([batch])


def _read_group(
    reader: EventReader,
    records: list[bytes],
    header: bytes,
    refused: list[_Refused],
    positions: Positions,
    *,
    fallback: bool,
) -> Iterator[tuple[pl.DataFrame, Positions]]:
    """Columns of the good records of one schema and which of `records` they are; adds the bad ones to `refused`.

    A block that cannot be read is halved until the bad records stand alone, or nearly so.
    """
    block = None if fallback else reader.block
    batches, read = [], []
    waiting = [range(len(records))]
    one_by_one: list[int] = []
    while waiting:
        part = waiting.pop()
        batch = None if block is None else block.read(records[part.start : part.stop], header)
        if batch is not None:
            batches.append(batch)
            read.append(np.arange(part.start, part.stop))
        elif block is not None and len(part) > _SMALL_BLOCK:
            middle = len(part) // 2
            waiting += [part[:middle], part[middle:]]
        else:
            one_by_one += part
    if batches:
        yield reader.columns(batches), np.concatenate(read)
    rows, examined_at = [], []
    for i in one_by_one:
        found = reader.examiner.read(records[i][HEADER_BYTES:])
        if isinstance(found, dict):
            rows.append(found)
            examined_at.append(i)
        else:
            refused.append(_Refused(int(positions[i]), *found))
    if rows:
        yield reader.rows(rows), np.array(examined_at)


# --- columns of an event ----------------------------------------------------------------------------------------------

_OPTIONAL: Final[dict[EventName, tuple[str, ...]]] = {
    event: tuple(field["name"] for field in latest(event)["fields"] if field["type"] == ["null", "string"])
    for event in EVENT_NAMES
}


def _normalised(event: EventName, frame: pl.DataFrame) -> pl.DataFrame:
    columns = [pl.col(_OPTIONAL[event]).fill_null("")]
    if event == "work_item_event":
        size = pl.col("size_milli")
        columns.append(pl.when(size.is_between(1, MAX_SIZE_MILLI)).then(size).otherwise(0).alias("size_milli"))
    return frame.with_columns(columns)


def key_of(event: EventName) -> pl.Expr:
    """Column `key`: `keys.usage_key` and `keys.work_item_key` over columns, '' being absent."""
    item = pl.col("work_item_id")
    if event == "usage_event":
        session, own = pl.col("session_id"), pl.format("event:{}", pl.col("event_id"))
        item = pl.when(item != "").then(item).when(session != "").then(pl.format("session:{}", session)).otherwise(own)
    return pl.format("{}/{}", pl.col("tenant"), item).alias("key")


def _foreign(keys: pl.Series, partition: int, partitions: int) -> list[int]:
    """Positions of the keys that belong to another partition."""
    if partitions == 1:
        return []
    distinct = keys.unique()
    foreign = distinct.filter(partitions_of(distinct, partitions) != partition)
    return [] if foreign.is_empty() else keys.is_in(foreign.implode()).arg_true().to_list()
