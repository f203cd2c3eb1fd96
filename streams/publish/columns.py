"""Events in columns to Kafka record values: Avro in Confluent's wire format, whole columns at once."""

from __future__ import annotations

import json
from typing import NamedTuple

import polars as pl
import pyarrow as pa
import pyruhvro

from streams.events.schemas import EventName, latest, shipped_id
from streams.events.wire import pack_header


class Record(NamedTuple):
    """What is published. `partition` None: the partitioner decides, as for every honest publisher."""

    topic: str
    key: bytes
    value: bytes | None
    partition: int | None = None


def encode(frame: pl.DataFrame, event: EventName) -> list[bytes]:
    """Record values of the rows, in order. `frame` has the schema's columns; null where a value is absent, times Int64 micro-seconds."""
    schema = json.dumps(latest(event))
    target: pa.Schema = pyruhvro.avro_to_arrow_schema(schema)
    table = frame.select(target.names).to_arrow()
    arrays = [
        column.combine_chunks().cast(pa.int64() if pa.types.is_timestamp(field.type) else field.type).cast(field.type)
        for column, field in zip(table.columns, target, strict=True)
    ]
    header = pack_header(shipped_id(event))
    parts = pyruhvro.serialize_record_batch(pa.RecordBatch.from_arrays(arrays, schema=target), schema, 1)
    return [header + datum for part in parts for datum in part.to_pylist()]
