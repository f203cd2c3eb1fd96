"""pyruhvro, fastavro and avro read the same from the same bytes."""

from __future__ import annotations

import io
import json
from functools import cache
from typing import Any

import avro.io
import avro.schema
import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.events.block import BlockReader
from streams.events.examine import Examiner
from streams.events.schemas import EVENT_NAMES, EventName, fingerprint, latest, plain, shipped_id
from streams.events.wire import pack_header
from tests.events.records import GOOD, datum, fields_of
from tests.strategies import at, item_event, usage_event

FIXTURES: tuple[tuple[EventName, dict[str, Any]], ...] = (
    ("usage_event", usage_event("u", at(1))),
    ("usage_event", usage_event("", -(2**63), work_item_id="", session_id="ü", cost_micro_usd=2**63 - 1)),
    ("usage_event", usage_event("x" * 100_000, 0, prompt_fingerprint="\0", requests=-1)),
    ("work_item_event", item_event("w", at(1), "linked", link_type="closes", link_value="PAY-1")),
    ("work_item_event", item_event("w", at(1), "sized", labels=["", "漢字", "x" * 300], size_milli=-(2**55))),
)


@cache
def _readers(event: EventName) -> tuple[BlockReader, Examiner, Any]:
    schema = latest(event)
    return (
        BlockReader(schema),
        Examiner(schema, schema, lambda _: None),
        avro.io.DatumReader(avro.schema.parse(json.dumps(plain(schema)))),
    )


def by_pyruhvro(event: EventName, data: bytes) -> dict[str, Any] | None:
    """The row, or None."""
    header = pack_header(shipped_id(event))
    batch = _readers(event)[0].read([header + data], header)
    row: dict[str, Any] | None = None if batch is None else batch.to_pylist()[0]
    return row


def by_fastavro(event: EventName, data: bytes) -> dict[str, Any] | None:
    """The row, or None."""
    row = _readers(event)[1].read(data)
    return row if isinstance(row, dict) else None


class SurplusBitsError(Exception):
    """A tenth byte above 1: bits that a long has no room for. Fast decoders drop them, and no encoder writes them."""


def by_avro(event: EventName, data: bytes) -> dict[str, Any] | None:
    """The row, or None: the reference."""
    stream = io.BytesIO(data)
    try:
        row: dict[str, Any] = _readers(event)[2].read(avro.io.BinaryDecoder(stream))
    except avro.errors.InvalidAvroBinaryEncoding as error:
        if "Varint" in str(error) and data[stream.tell() - 1] < 0x80:
            raise SurplusBitsError from error
        return None
    except (avro.errors.AvroException, UnicodeDecodeError):
        return None
    return row if stream.tell() == len(data) else None


@pytest.mark.parametrize(("event", "fields"), FIXTURES)
def test_fixtures(event: EventName, fields: dict[str, Any]) -> None:
    """Values far outside the bounds included: bounds are judged later."""
    data = datum(event, fields)
    assert by_pyruhvro(event, data) == by_fastavro(event, data) == by_avro(event, data) == fields


@pytest.mark.parametrize("event", EVENT_NAMES)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_records(event: EventName, data: st.DataObject) -> None:
    """Whatever an event holds."""
    fields = data.draw(fields_of(event))
    encoded = datum(event, fields)
    assert by_fastavro(event, encoded) == by_avro(event, encoded) == fields
    assert by_pyruhvro(event, encoded) in (fields, None)
    if b"\xff" * 8 not in encoded:
        assert by_pyruhvro(event, encoded) == fields


@pytest.mark.parametrize("event", EVENT_NAMES)
@given(place=st.integers(0, 10_000), length=st.integers(0, 5), put=st.binary(max_size=5))
@settings(max_examples=300, deadline=None)
def test_damaged_records(event: EventName, place: int, length: int, put: bytes) -> None:
    """What the reference refuses pyruhvro refuses, and what the reference reads they all read alike."""
    whole = datum(event, GOOD[event])
    begin = place % (len(whole) + 1)
    data = whole[:begin] + put + whole[begin + length :]
    try:
        reference = by_avro(event, data)
    except SurplusBitsError:
        assert by_pyruhvro(event, data) in (None, by_fastavro(event, data))
        return
    assert by_pyruhvro(event, data) == reference
    if reference is not None:
        assert by_fastavro(event, data) == reference


def test_what_one_alone_writes_all_read() -> None:
    """An array in several blocks with sizes, as Java's blocking encoder writes it."""
    fields = item_event("w", at(1), "started", labels=["a", "b"])
    data = datum("work_item_event", fields)
    assert data.count(b"\x04\x02a\x02b\x00") == 1
    for blocks in (b"\x03\x08\x02a\x02b\x00", b"\x02\x02a\x02\x02b\x00", b"\x01\x04\x02a\x02\x02b\x00"):
        other = data.replace(b"\x04\x02a\x02b\x00", blocks)
        assert other != data
        assert by_pyruhvro("work_item_event", other) == by_fastavro("work_item_event", other) == fields
        assert by_avro("work_item_event", other) == fields


def test_fastavro_writes_what_the_reference_writes() -> None:
    """The publishers' encoding is the specification's."""
    for event, fields in FIXTURES:
        out = io.BytesIO()
        writer = avro.io.DatumWriter(avro.schema.parse(json.dumps(plain(latest(event)))))
        writer.write(fields, avro.io.BinaryEncoder(out))
        assert out.getvalue() == datum(event, fields)


@pytest.mark.parametrize("event", EVENT_NAMES)
def test_fingerprints_are_the_specifications(event: EventName) -> None:
    """Two implementations agree."""
    canonical = fastavro.schema.to_parsing_canonical_form(latest(event))
    assert fingerprint(latest(event)) == fastavro.schema.fingerprint(canonical, "CRC-64-AVRO")
