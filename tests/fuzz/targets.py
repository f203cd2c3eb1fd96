"""What must hold for any script, as functions that raise when it does not."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final

import crc32c
import numpy as np
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from faust.types import TP

from streams.agents.batches import LATEST_APPEND_MS, ChunkedRecords
from streams.agents.record_batch import RawRecords
from streams.events.decode import decode
from streams.events.records import Records
from streams.events.schemas import EVENT_NAMES, EventName, shipped_id
from streams.events.wire import pack_header
from streams.windows.families import WINDOW_SCHEMA
from streams.windows.updates import pack_actors, pack_bookings, pack_panes, pack_watermarks, pack_windows, unpack
from tests.events.naive import in_partition, refused_for, row_of
from tests.events.records import APPENDED, TOPIC, value
from tests.events.test_agreement import SurplusBitsError, by_avro
from tests.fuzz.script import Script, changed
from tests.strategies import at, item_event, usage_event
from tests.windows.test_updates import ACTOR_SCHEMA, BOOKING_SCHEMA, PANE_SCHEMA, rows_of

BATCH_LIMIT_S: Final = 10.0
"""A batch of this module takes milliseconds; this is a hang, also on a busy machine."""

_USAGE: Final[tuple[dict[str, Any], ...]] = (
    {}, {"work_item_id": "I-1", "cost_micro_usd": 10**12}, {"session_id": "s", "prompt_fingerprint": "ü" * 128},
    {"input_tokens": 10**9, "requests": 10**6}, {"team": "漢字", "actor": "\0", "status": ""}, {"tool": "x" * 256},
    {"output_tokens": -1}, {"requests": 0}, {"occurred_at": 2**63 - 1}, {"tenant": ""}, {"cost_basis": "free"},
)  # fmt: skip
_ITEMS: Final[tuple[dict[str, Any], ...]] = (
    {}, {"kind": "completed", "item_type": "story", "labels": ["a", "", "ü" * 32]}, {"labels": ["x" * 64] * 32},
    {"kind": "linked", "link_type": "closes", "link_value": "PAY-1"}, {"kind": "sized", "size_milli": -(2**62) - 2**55},
    {"size_milli": 2**63 - 1, "parent_id": ""}, {"labels": ["x"] * 33}, {"kind": "won"}, {"occurred_at": -(2**63)},
    {"resolution": "x" * 257},
)  # fmt: skip
VALUES: Final[dict[EventName, list[bytes]]] = {
    "usage_event": [
        value("usage_event", usage_event(f"u{n}", at(1 + n)) | changes) for n, changes in enumerate(_USAGE)
    ],
    "work_item_event": [
        value("work_item_event", item_event(f"w{n}", at(1 + n), "started") | changes)
        for n, changes in enumerate(_ITEMS)
    ],
}
"""Records with values on and outside of their bounds; all can be read."""


class LostError(AssertionError):
    """A record was not treated as the reference treats it."""


def decode_target(data: bytes) -> None:
    """A batch of whole and damaged records: nothing raises, each record is a row or a dead letter, as the reference says."""
    script = Script(data)
    event = script.one_of(EVENT_NAMES)
    partitions = script.one_of((1, 1, 3))
    values: list[bytes | None] = []
    for _ in range(1 + script.below(40)):
        whole, what = script.one_of(VALUES[event]), script.below(8)
        values.append(whole if what < 4 else None if what == 4 else changed(script, whole))
    offsets = np.cumsum([1 + script.below(2) for _ in values]).astype(np.int64)
    appended_at = np.full(len(values), APPENDED, np.int64)
    began = time.monotonic()
    both = [
        decode(
            TOPIC[event], Records.of(values), offsets, appended_at, partition=0, partitions=partitions, fallback=fallback
        )
        for fallback in (False, True)
    ]  # fmt: skip
    if (seconds := time.monotonic() - began) > BATCH_LIMIT_S:
        raise LostError(f"{seconds:.1f} s for {sum(len(v or b'') for v in values)} bytes")
    decoded, slowly = both
    if decoded.dead != slowly.dead or not decoded.frame.equals(slowly.frame):
        raise LostError("the two decoders differ")
    rows = {row["offset"]: row for row in decoded.frame.to_dicts()}
    dead = {letter.offset for letter in decoded.dead}
    if len(rows) + len(dead) != len(values) or rows.keys() | dead != set(offsets.tolist()):
        raise LostError(f"{len(values)} records became {len(rows)} rows and {len(dead)} dead letters")
    for offset, record in zip(offsets.tolist(), values, strict=True):
        try:
            expected = _expected(event, record, partitions)
        except SurplusBitsError:
            continue  # what the reference leaves open; that both decoders decide alike is checked above
        found = rows.get(offset)
        if expected is not None:
            expected |= {"offset": offset, "appended_at": APPENDED}
        if found != expected:
            raise LostError(f"offset {offset}: {found} instead of {expected}")


def _expected(event: EventName, record: bytes | None, partitions: int) -> dict[str, Any] | None:
    """The row of a record by the reference reader and the naive rules; None: a dead letter."""
    if record is None or record[:5] != pack_header(shipped_id(event)):
        return None
    fields = by_avro(event, record[5:])
    if fields is None or refused_for(event, fields, APPENDED) or not in_partition(event, fields, 0, partitions):
        return None
    return row_of(event, fields)


def _messages() -> list[bytes]:
    watermarks = pack_watermarks([(0, 1, 2, 3, 4), (65535, 2**63 - 1, 0, 0, 2**63 - 1)])
    frames = (
        (pack_panes, PANE_SCHEMA), (pack_actors, ACTOR_SCHEMA), (pack_bookings, BOOKING_SCHEMA), (pack_windows, WINDOW_SCHEMA),
    )  # fmt: skip
    return [
        watermarks, *(message for pack, schema in frames for rows in (1, 40) for _, message in pack(rows_of(schema, rows, 3)))
    ]  # fmt: skip


MESSAGES: Final = _messages()
FRAMES: Final = [unpack(message) for message in MESSAGES]


def unpack_target(data: bytes) -> None:
    """A message of pane-updates or value-windows, damaged: its own rows if it is whole, else ValueError."""
    script = Script(data)
    number = script.below(len(MESSAGES))
    message = MESSAGES[number]
    damaged = changed(script, message) if script.below(2) else noise_only(script)
    try:
        kind, frame = unpack(damaged)
    except ValueError:
        if damaged == message:
            raise
        return
    if damaged != message or kind != FRAMES[number][0] or not frame.equals(FRAMES[number][1]):
        raise LostError(f"a damaged message of kind {kind!r} was taken for a whole one")


def noise_only(script: Script) -> bytes:
    """Bytes that nobody packed, behind any kind."""
    return script.one_of((b"P", b"B", b"A", b"W", b"V", b"")) + script.bytes(script.below(300))


CODECS: Final = (0, 1, 2, 3, 4)
"""none, gzip, snappy, lz4, zstd"""
_CRC_AT, _CRC_FROM, _RECORDS_FROM = 17, 21, 61
_PLACE: Final = TP("usage-events", 0)


def fetch_target(data: bytes) -> None:
    """A fetch of record batches, whole or damaged, also behind a right checksum.

    Whole: chunks hold what aiokafka's own reader gives. Damaged: the batches before the damage are whole, and offsets never go back.
    """
    script = Script(data)
    fetch, offset = b"", script.below(3)
    first, first_batch, whole_until = offset, 0, 1 << 62
    made = []
    for _ in range(1 + script.below(3)):
        builder = DefaultRecordBatchBuilder(2, script.one_of(CODECS), 0, -1, -1, -1, 1 << 20)
        count = 1 + script.below(5)
        first_batch = first_batch or count
        for number in range(count):
            record = script.one_of(VALUES["usage_event"])[: script.below(400)]
            builder.append(number, at(1) // 1000, None, record, [])
            made.append((offset + number, at(1), record))
        batch = bytearray(builder.build())
        batch[:8] = struct.pack(">q", offset)
        if (what := script.below(6)) > 2:
            part = _RECORDS_FROM if what == 3 else _CRC_FROM
            batch[part:] = changed(script, bytes(batch[part:]))[: len(batch) - part].ljust(len(batch) - part, b"\0")
            whole_until = min(whole_until, offset)
            if what < 5:
                batch[_CRC_AT:_CRC_FROM] = struct.pack(">I", crc32c.crc32c(bytes(batch[_CRC_FROM:])))
        offset += count + script.below(3)
        fetch += batch
    if script.below(8) == 7:
        fetch, whole_until = changed(script, fetch), first
    begin = first + script.below(first_batch)  # a broker answers from the batch on that holds the offset
    ours, our_end, our_error = _read(ChunkedRecords, fetch, begin)
    offsets = [begin - 1, *(place for place, *_ in ours)]
    if any(a >= b for a, b in pairwise(offsets)) or our_end < offsets[-1]:
        raise LostError(f"from {begin} on: {offsets[1:]} up to {our_end}")
    expected = [row for row in made if begin <= row[0] < whole_until]
    if [row for row in ours if row[0] < whole_until] != expected:
        raise LostError(f"{ours} up to {our_end} instead of {expected}")
    if whole_until > offset and (ours, our_end, our_error) != _read(PartitionRecords, fetch, begin):
        raise LostError(f"{ours} up to {our_end} is not what aiokafka reads")


def _read(reader: Callable[..., Any], fetch: bytes, begin: int) -> tuple[list[tuple[Any, ...]], int, Exception | None]:
    """(offset, append time, value) of each record, the next offset, and what was raised."""
    raw = RawRecords if reader is ChunkedRecords else MemoryRecords
    records = reader(_PLACE, raw(fetch), [], begin, None, None, True, 0)
    found: list[tuple[Any, ...]] = []
    try:
        for part in records:
            if reader is ChunkedRecords:
                found += zip(part.offsets.tolist(), part.appended_at.tolist(), part.records, strict=True)
            else:
                found.append((part.offset, min(max(part.timestamp, 0), LATEST_APPEND_MS) * 1000, part.value))
    except Exception as error:  # noqa: BLE001 - which one is aiokafka's business
        return found, records.next_fetch_offset, error
    return found, records.next_fetch_offset, None


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "decode": decode_target,
    "unpack": unpack_target,
    "fetch": fetch_target,
}
