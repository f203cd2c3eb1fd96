"""One event to the value of its Kafka record."""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cache
from typing import Any

import fastavro

from streams.events.schemas import EventName, latest
from streams.events.wire import pack_header


@cache
def _schema(event: EventName) -> Any:
    return fastavro.parse_schema(latest(event))


def encode(event: EventName, fields: Mapping[str, Any], schema_id: int) -> bytes:
    """The header with `schema_id` and the datum.

    A field that is missing has its default; times are datetime or integer micro-seconds.
    """
    out = io.BytesIO()
    out.write(pack_header(schema_id))
    fastavro.schemaless_writer(out, _schema(event), fields)
    return out.getvalue()
