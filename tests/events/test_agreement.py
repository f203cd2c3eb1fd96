"""Our reader, fastavro and avro read the same from the same bytes."""

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

from streams.events.columns import ColumnReader
from streams.events.examine import Examiner
from streams.events.records import Records
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
def _readers(event: EventName) -> tuple[ColumnReader, Examiner, Any]:
    schema = latest(event)
    return (
        ColumnReader(schema, [field["name"] for field in schema["fields"]]),
        Examiner(schema, schema, lambda _: None),
        avro.io.DatumReader(avro.schema.parse(json.dumps(plain(schema)))),
    )


def in_place(event: EventName, data: bytes) -> dict[str, Any] | None:
    """The row, or None."""
    header = pack_header(shipped_id(event))
    frame, good = _readers(event)[0].read(Records.of([header + data]), header)
    return frame.row(0, named=True) if good[0] else None


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


def as_columns(event: EventName, row: dict[str, Any] | None) -> dict[str, Any] | None:
    """What columns make of it: a text that is null is an empty one."""
    optional = {field["name"] for field in latest(event)["fields"] if field["type"] == ["null", "string"]}
    return row and {name: "" if given is None and name in optional else given for name, given in row.items()}


@pytest.mark.parametrize(("event", "fields"), FIXTURES)
def test_fixtures(event: EventName, fields: dict[str, Any]) -> None:
    """Values far outside the bounds included: bounds are judged later."""
    data = datum(event, fields)
    assert by_fastavro(event, data) == by_avro(event, data) == fields
    assert in_place(event, data) == as_columns(event, fields)


@pytest.mark.parametrize("event", EVENT_NAMES)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_records(event: EventName, data: st.DataObject) -> None:
    """Whatever an event holds."""
    fields = data.draw(fields_of(event))
    encoded = datum(event, fields)
    assert by_fastavro(event, encoded) == by_avro(event, encoded) == fields
    assert in_place(event, encoded) == as_columns(event, fields)


@pytest.mark.parametrize("event", EVENT_NAMES)
@given(place=st.integers(0, 10_000), length=st.integers(0, 5), put=st.binary(max_size=5))
@settings(max_examples=300, deadline=None)
def test_damaged_records(event: EventName, place: int, length: int, put: bytes) -> None:
    """What the reference refuses the loops refuse, and what the reference reads they all read alike."""
    whole = datum(event, GOOD[event])
    begin = place % (len(whole) + 1)
    data = whole[:begin] + put + whole[begin + length :]
    try:
        reference = by_avro(event, data)
    except SurplusBitsError:
        assert in_place(event, data) is None
        return
    assert in_place(event, data) == as_columns(event, reference)
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
        assert in_place("work_item_event", other) == as_columns("work_item_event", fields)
        assert by_fastavro("work_item_event", other) == fields
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
