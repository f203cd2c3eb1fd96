"""From record values to columns: the one way into the workers.

A batch is decoded whole; one bad record never costs its neighbours, and whether a record is accepted depends on
nothing but itself, its append time and its partition: not on the cut of the batch, nor on the decoder that read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from streams.events.bounds import MAX_SIZE_MILLI
from streams.events.dead_letter import DeadLetter, Reason
from streams.events.partition_column import partitions_of_events
from streams.events.reader import empty_columns, reader_of
from streams.events.records import Records
from streams.events.schemas import EventName, WriterSchemas
from streams.events.text_columns import TextColumns
from streams.events.validate import refusals
from streams.events.wire import HEADER_BYTES, MAGIC, schema_id_of

EVENT_OF_TOPIC: Final[dict[str, EventName]] = {"usage-events": "usage_event", "work-item-events": "work_item_event"}
Positions = npt.NDArray[np.int64]
_SHIPPED: Final = WriterSchemas()


@dataclass(frozen=True, slots=True)
class Decoded:
    """What became of a batch: each record is either a row of `frame` or in `dead`, both in offset order.

    `frame`: the fields of the event's schema in order (occurred_at Int64 micro-seconds, '' for an absent string, null
    for an absent cost, size_milli 0 for no usable size), then offset and appended_at Int64.
    """

    columns: TextColumns
    dead: list[DeadLetter]

    @property
    def frame(self) -> pl.DataFrame:
        return self.columns.frame


class _Refused(NamedTuple):
    position: int
    reason: Reason
    detail: str


def decode(
    topic: str,
    records: Records,
    offsets: npt.NDArray[np.int64],
    appended_at: npt.NDArray[np.int64],
    *,
    partition: int,
    partitions: int,
    schemas: WriterSchemas = _SHIPPED,
    fallback: bool = False,
) -> Decoded:
    """Decode and check the records of one partition of an input topic.

    `offsets` ascending, `appended_at` in micro-seconds since epoch, both as long as `records`. `partitions`: of the
    topic. `fallback`: read every record with fastavro; the result is the same. Raises RegistryUnavailable when a configured
    schema registry does not answer; nothing about a record raises.
    """
    event = EVENT_OF_TOPIC[topic]
    frame, index, refused = _read(event, records, schemas, fallback=fallback)
    frame = _normalised(event, frame).hstack(
        [pl.Series("offset", offsets[index]), pl.Series("appended_at", appended_at[index])]
    )
    columns = TextColumns(frame)
    refused.extend(_Refused(int(index[bad.row]), bad.reason, bad.detail) for bad in refusals(event, columns))
    if len(index) + len(refused) > len(records):
        columns, index = _without(columns, index, refused)
    foreign = _foreign(event, columns, partition, partitions)
    if foreign:
        detail = f"the key belongs to another of {partitions} partitions than {partition}"
        refused.extend(_Refused(int(index[row]), "wrong_partition", detail) for row in foreign)
        columns, index = _without(columns, index, refused)
    refused.sort()
    dead = [
        DeadLetter(topic, partition, int(offsets[i]), int(appended_at[i]), reason, detail, len(records[i] or b""))
        for i, reason, detail in refused
    ]
    return Decoded(columns, dead)


def _without(columns: TextColumns, index: Positions, refused: list[_Refused]) -> tuple[TextColumns, Positions]:
    keep = ~np.isin(index, [bad.position for bad in refused])
    return TextColumns(columns.frame.filter(keep)), index[keep]


# --- bytes to columns -------------------------------------------------------------------------------------------------


def _read(
    event: EventName, records: Records, schemas: WriterSchemas, *, fallback: bool
) -> tuple[pl.DataFrame, Positions, list[_Refused]]:
    """The columns of the readable records, their positions in `records` (ascending), and the other records."""
    refused: list[_Refused] = []
    groups: dict[bytes, list[int]] = {}
    frames, positions = [empty_columns(event)], [np.empty(0, np.int64)]
    waiting = np.arange(len(records))
    if not fallback and len(records) and (header := _header(records[0])):
        waiting = _read_in_place(event, records, waiting, header, schemas, frames, positions)
    for i in waiting.tolist():
        value = records[i]
        if value is None:
            refused.append(_Refused(i, "null_value", ""))
        elif value[:1] not in {b"", bytes([MAGIC])}:
            refused.append(_Refused(i, "wrong_magic", f"the first byte is {value[0]}"))
        elif len(value) < HEADER_BYTES:
            refused.append(_Refused(i, "truncated", f"{len(value)} bytes hold no header"))
        else:
            groups.setdefault(value[:HEADER_BYTES], []).append(i)
    for header, group in groups.items():
        schema_id = schema_id_of(header)
        writer = schemas.find(event, schema_id)
        if writer is None:
            refused.extend(_Refused(i, "unknown_schema", f"schema id {schema_id}") for i in group)
            continue
        rest = np.array(group)
        if not fallback:
            rest = _read_in_place(event, records, rest, header, schemas, frames, positions)
        rows, found = [], []
        reader = reader_of(event, writer)
        for i in rest.tolist():
            row = reader.examiner.read((records[i] or b"")[HEADER_BYTES:])
            if isinstance(row, dict):
                rows.append(row)
                found.append(i)
            else:
                refused.append(_Refused(i, *row))
        if rows:
            frames.append(reader.rows(rows))
            positions.append(np.array(found))
    if len(frames) == 2:
        return frames[1], positions[1], refused
    places = np.concatenate(positions)
    order = np.argsort(places)
    return pl.concat(frames)[order], places[order], refused


def _header(value: bytes | None) -> bytes | None:
    return value[:HEADER_BYTES] if value and value[0] == MAGIC and len(value) >= HEADER_BYTES else None


def _read_in_place(
    event: EventName,
    records: Records,
    where: Positions,
    header: bytes,
    schemas: WriterSchemas,
    frames: list[pl.DataFrame],
    positions: list[Positions],
) -> Positions:
    """Read those of the records at `where` that have this header and are well; adds their columns, and returns the places of the others."""
    writer = schemas.find(event, schema_id_of(header))
    reader = None if writer is None else reader_of(event, writer)
    if reader is None or reader.in_place is None:
        return where
    frame, good = reader.columns(records if len(where) == len(records) else records.take(where), header)
    frames.append(frame)
    positions.append(where[good])
    return where[~good]


# --- columns of an event ----------------------------------------------------------------------------------------------


def _normalised(event: EventName, frame: pl.DataFrame) -> pl.DataFrame:
    if event == "usage_event":
        return frame
    size = pl.col("size_milli")
    return frame.with_columns(pl.when(size.is_between(1, MAX_SIZE_MILLI)).then(size).otherwise(0).alias("size_milli"))


def key_of(event: EventName) -> pl.Expr:
    """Column `key`: `keys.usage_key` and `keys.work_item_key` over columns, '' being absent."""
    item = pl.col("work_item_id")
    if event == "usage_event":
        session, own = pl.col("session_id"), pl.format("event:{}", pl.col("event_id"))
        item = pl.when(item != "").then(item).when(session != "").then(pl.format("session:{}", session)).otherwise(own)
    return pl.format("{}/{}", pl.col("tenant"), item).alias("key")


def _foreign(event: EventName, columns: TextColumns, partition: int, partitions: int) -> list[int]:
    """Positions of the events whose key belongs to another partition."""
    if partitions == 1:
        return []
    named = ("work_item_id",) * 3 if event == "work_item_event" else ("work_item_id", "session_id", "event_id")
    of = partitions_of_events([columns.texts(name) for name in ("tenant", *named)], partitions)
    found: list[int] = np.flatnonzero(of != partition).tolist()
    return found
