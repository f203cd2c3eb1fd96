"""Confluent's wire format: a zero byte, the writer schema's id as four big-endian bytes, the Avro datum."""

from __future__ import annotations

import struct
from typing import Final

MAGIC: Final = 0
HEADER_BYTES: Final = 5
_HEADER: Final = struct.Struct(">BI")


def pack_header(schema_id: int) -> bytes:
    """The five bytes before a datum that was written with schema `schema_id` (0..2^32-1)."""
    return _HEADER.pack(MAGIC, schema_id)


def schema_id_of(header: bytes) -> int:
    """The writer schema's id. `header` is five bytes, the first of them MAGIC."""
    return int(_HEADER.unpack(header)[1])
