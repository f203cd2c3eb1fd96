"""Every bad record is named and costs nobody but itself; every good one becomes a row."""

from __future__ import annotations

import copy
import io
import json
from itertools import pairwise
from typing import Any

import fastavro
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.events.columns import ColumnReader
from streams.events.decode import decode, key_of
from streams.events.examine import Examiner
from streams.events.reader import empty_columns
from streams.events.records import Records
from streams.events.schemas import EVENT_NAMES, EventName, latest, shipped_id
from streams.events.text_columns import TextColumns
from streams.events.validate import RULES
from streams.events.wire import pack_header
from tests.events.naive import in_partition, refused_for, row_of
from tests.events.records import APPENDED, fields_of, read, reasons, usage, value
from tests.strategies import at, item_event, usage_event

GOOD = usage(0)
HUGE = "x" * 100_000


def _long_number() -> bytes:
    """A datum whose first count is written with eleven bytes: fastavro takes it."""
    fields = usage_event("u0", at(1), input_tokens=0, requests=1)
    good = value("usage_event", fields)
    ending = value("usage_event", fields | {"input_tokens": 77})
    place = next(i for i, (a, b) in enumerate(zip(good, ending, strict=False)) if a != b)
    return good[:place] + b"\x80" * 10 + b"\x00" + good[place + 1 :]


LONG_NUMBER = _long_number()

BAD_RECORDS: dict[str, tuple[bytes | None, str]] = {
    "null value": (None, "null_value"),
    "empty value": (b"", "truncated"),
    "half a header": (GOOD[:3], "truncated"),
    "header alone": (GOOD[:5], "truncated"),
    "wrong magic": (b"\x01" + GOOD[1:], "wrong_magic"),
    "wrong magic that looks like a mark": (b"\xff" * 30, "wrong_magic"),
    "JSON": (b'{"event_id": "1"}', "wrong_magic"),
    "unknown schema id": (pack_header(4_000_000) + GOOD[5:], "unknown_schema"),
    "highest schema id": (pack_header(2**32 - 1) + GOOD[5:], "unknown_schema"),
    "the other event": (value("work_item_event", item_event("w", at(1), "started")), "unknown_schema"),
    "one byte short": (GOOD[:-1], "truncated"),
    "half": (GOOD[: len(GOOD) // 2], "truncated"),
    "one byte too many": (GOOD + b"\x00", "trailing_bytes"),
    "text behind it": (GOOD + b"trailing", "trailing_bytes"),
    "itself behind it": (GOOD + GOOD, "trailing_bytes"),
    "a negative length": (GOOD[:5] + b"\x03" + GOOD[6:], "truncated"),
    "an endless length": (GOOD[:5] + b"\xfe" + b"\xff" * 8 + b"\x01" + GOOD[6:], "truncated"),
    "a number of eleven bytes": (LONG_NUMBER, "malformed"),
    "no UTF-8": (GOOD.replace(b"gateway", b"gate\xff\xfe\xfd"), "malformed"),
    "half a UTF-8 character": (GOOD.replace(b"gateway", b"gatewa\xc3"), "malformed"),
    "a surrogate": (GOOD.replace(b"gateway", b"gate\xed\xa0\x80"), "malformed"),
    "a branch too many": (GOOD.replace(b"build\x00", b"build\x04"), "malformed"),
    "a negative branch": (
        usage(0, work_item_id="I-1").replace(b"\x02\x06I-1", b"\x01\x06I-1"),
        "malformed",
    ),
    "negative tokens": (usage(0, output_tokens=-1), "bad_tokens"),
    "too many tokens": (usage(0, cache_read_tokens=10**9 + 1), "bad_tokens"),
    "reasoning above output": (usage(0, output_tokens=5, reasoning_tokens=6), "bad_reasoning"),
    "negative cost": (usage(0, cost_micro_usd=-1), "bad_cost"),
    "year 1970": (value("usage_event", usage_event("u", 0)), "bad_time"),
    "before the epoch": (value("usage_event", usage_event("u", -(2**63))), "bad_time"),
    "far future": (value("usage_event", usage_event("u", APPENDED + 3650 * 86_400_000_000)), "bad_time"),
    "the last moment": (value("usage_event", usage_event("u", 2**63 - 1)), "bad_time"),
    "five minutes and a bit ahead": (value("usage_event", usage_event("u", APPENDED + 300_000_001)), "bad_time"),
    "empty event id": (usage(0, event_id=""), "bad_id"),
    "event id of 100 kB": (usage(0, event_id=HUGE), "bad_id"),
    "empty tenant": (usage(0, tenant=""), "bad_id"),
    "work item of 100 kB": (usage(0, work_item_id=HUGE), "bad_id"),
    "team of 100 kB": (usage(0, team=HUGE), "bad_text"),
    "no request": (usage(0, requests=0), "bad_requests"),
    "an unknown word": (usage(0, cost_basis="free"), "bad_vocabulary"),
    "an empty word": (usage(0, usage_quality=""), "bad_vocabulary"),
}


@pytest.mark.parametrize("fallback", [False, True])
@pytest.mark.parametrize("kind", BAD_RECORDS)
def test_a_bad_record_among_good_ones(kind: str, fallback: bool) -> None:
    """First, in the middle and last: it is named, and all others are there."""
    bad, reason = BAD_RECORDS[kind]
    good = [usage(number) for number in range(1, 8)]
    values = [bad, *good[:3], bad, *good[3:], bad]
    decoded = read("usage_event", values, begin=50, fallback=fallback)
    assert reasons(decoded) == {50: reason, 54: reason, 59: reason}
    assert decoded.frame["event_id"].to_list() == [f"u{number}" for number in range(1, 8)]
    assert decoded.frame["offset"].to_list() == [51, 52, 53, 55, 56, 57, 58]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": "celebrated"}, "bad_vocabulary"),
        ({"kind": ""}, "bad_vocabulary"),
        ({"work_item_id": ""}, "bad_id"),
        ({"link_type": "likes"}, "bad_vocabulary"),
        ({"parent_id": HUGE}, "bad_id"),
        ({"link_value": "x" * 257}, "bad_id"),
        ({"resolution": "x" * 257}, "bad_text"),
        ({"labels": ["x"] * 33}, "bad_labels"),
        ({"labels": ["", "x" * 65]}, "bad_labels"),
        ({"labels": ["ü" * 33]}, "bad_labels"),
        ({"occurred_at": 0}, "bad_time"),
    ],
)
def test_a_bad_work_item_event(changes: dict[str, Any], reason: str) -> None:
    """The same for the other topic."""
    fields = item_event("w1", at(1), "started")
    values = [
        value("work_item_event", fields | {"event_id": name} | more) for name, more in (("a", {}), ("b", changes))
    ]
    decoded = read("work_item_event", values)
    assert reasons(decoded) == {1: reason}
    assert decoded.frame["event_id"].to_list() == ["a"]


@pytest.mark.parametrize("size", [None, 0, -5, 1_000_001, 2**63 - 1, -(2**63)])
def test_an_impossible_size_is_no_size(size: int | None) -> None:
    """Documented acceptance: the item counts, unsized."""
    decoded = read("work_item_event", [value("work_item_event", item_event("w", at(1), "sized", size_milli=size))])
    assert decoded.frame["size_milli"].to_list() == [0]


def test_empty_optional_ids_and_unknown_status_are_accepted() -> None:
    """Documented acceptance: '' is absent, and any other status than ok a failure."""
    fields = {"work_item_id": "", "session_id": "", "prompt_fingerprint": "", "status": "timeout"}
    frame = read("usage_event", [usage(1, **fields)]).frame
    assert frame.select(key_of("usage_event")).to_series().to_list() == ["acme/event:u1"]
    assert frame["status"].to_list() == ["timeout"]


def test_columns_are_those_of_the_contract() -> None:
    """Names, order and types, also without any row."""
    expected = {
        field["name"]: pl.Int64 if "long" in json.dumps(field["type"]) else pl.String
        for field in latest("usage_event")["fields"]
    } | {"offset": pl.Int64, "appended_at": pl.Int64}
    for values in ([], [None], [GOOD], [GOOD, None]):
        frame = read("usage_event", values).frame
        assert dict(frame.schema) == expected
        assert list(frame.columns) == list(expected)
    items = read("work_item_event", []).frame
    assert items.schema["labels"] == pl.List(pl.String)
    assert items.columns[-2:] == ["offset", "appended_at"]


def test_a_dead_letter_says_where_and_never_what() -> None:
    """Topic, partition, offset, append time, size; no content."""
    secret = "secret-" + HUGE
    (letter,) = read("usage_event", [usage(0, event_id=secret)], begin=7).dead
    assert (letter.topic, letter.partition, letter.offset, letter.appended_at) == ("usage-events", 0, 7, APPENDED)
    assert letter.size_bytes == len(usage(0, event_id=secret))
    assert letter.detail == "event_id has 100007 bytes, allowed is 1..256"
    (letter,) = read("usage_event", [usage(0, activity="secret")]).dead
    assert "secret" not in letter.detail


def test_time_is_judged_by_each_records_own_append_time() -> None:
    """Never by a clock: a replay must decide the same."""
    values = [value("usage_event", usage_event(name, at(1))) for name in "ab"]
    appended = np.array([at(1) - 300_000_001, at(1) - 300_000_000])
    decoded = decode("usage-events", Records.of(values), np.arange(2), appended, partition=0, partitions=1)
    assert reasons(decoded) == {0: "bad_time"}


def test_a_foreign_partitioner_is_noticed() -> None:
    """A record whose key belongs elsewhere is refused; its neighbours stay."""
    by_partition: dict[int, list[int]] = {}
    for number in range(40):
        home = next(p for p in range(4) if in_partition("usage_event", usage_event(f"u{number}", 0), p, 4))
        by_partition.setdefault(home, []).append(number)
    own, foreign = by_partition[2], by_partition[1]
    decoded = read("usage_event", [usage(number) for number in own + foreign], partition=2, partitions=4)
    assert decoded.frame["event_id"].to_list() == [f"u{number}" for number in own]
    assert set(reasons(decoded).values()) == {"wrong_partition"}
    assert len(decoded.dead) == len(foreign)


@pytest.mark.parametrize("event", EVENT_NAMES)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_rule_spares_no_row_that_it_refuses(event: EventName, data: st.DataObject) -> None:
    """What is looked at first may be unsure and must not be wrong; of good rows it is sure."""
    fields = [row_of(event, fields) for fields in data.draw(st.lists(fields_of(event), min_size=1, max_size=4))]
    schema = empty_columns(event).schema
    frame = pl.DataFrame(fields, schema=schema).with_columns(appended_at=pl.lit(APPENDED, pl.Int64))
    good = all(refused_for(event, row, APPENDED) is None for row in fields)
    for rule in RULES[event]:
        assert not rule.spares(TextColumns(frame)) or not frame.select(rule.refuses.any()).item()
        assert rule.spares(TextColumns(frame)) or not good or "label" in rule.reason


@pytest.mark.parametrize("event", EVENT_NAMES)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_the_vectorised_check_equals_the_naive_one(event: EventName, data: st.DataObject) -> None:
    """Rows, reasons, keys and partitions, over events on and around every bound."""
    events = data.draw(st.lists(fields_of(event), max_size=6))
    partitions = data.draw(st.integers(1, 3))
    expected_rows, expected_reasons = [], {}
    for offset, fields in enumerate(events):
        reason = refused_for(event, fields, APPENDED)
        if reason is None and not in_partition(event, fields, 0, partitions):
            reason = "wrong_partition"
        if reason is None:
            row = row_of(event, fields)
            expected_rows.append(row | {"offset": offset, "appended_at": APPENDED})
        else:
            expected_reasons[offset] = reason
    values = [value(event, fields) for fields in events]
    for fallback in (False, True):
        decoded = read(event, values, partitions=partitions, fallback=fallback)
        assert decoded.frame.to_dicts() == expected_rows
        assert reasons(decoded) == expected_reasons


_PIECES = st.sampled_from([*(bad for bad, _ in BAD_RECORDS.values()), None]) | st.integers(0, 30).map(usage)


def _damaged(record: bytes, cuts: list[tuple[int, int, bytes]]) -> bytes:
    for place, length, put in cuts:
        begin = place % (len(record) + 1)
        record = record[:begin] + put + record[begin + length :]
    return record


_DAMAGED = st.builds(
    _damaged,
    st.integers(0, 5).map(lambda number: usage(number, work_item_id="I-1", output_tokens=1000)),
    st.lists(
        st.tuples(st.integers(0, 200), st.integers(0, 12), st.binary(max_size=4) | st.just(GOOD)),
        min_size=1,
        max_size=2,
    ),
)


@given(st.lists(_PIECES | _DAMAGED, max_size=60), st.lists(st.integers(0, 60), max_size=5))
@settings(max_examples=100, deadline=None)
def test_the_cut_of_a_batch_changes_nothing(values: list[bytes | None], cuts: list[int]) -> None:
    """Nor does the decoder: together, in parts, one by one, and with fastavro alone."""
    whole = read("usage_event", values)
    assert len(whole.frame) + len(whole.dead) == len(values)
    places = sorted({0, len(values), *(min(cut, len(values)) for cut in cuts)})
    for borders in (places, list(range(len(values) + 1))):
        parts = [read("usage_event", values[a:b], begin=a) for a, b in pairwise(borders)]
        assert [letter for part in parts for letter in part.dead] == whole.dead
        assert [row for part in parts for row in part.frame.rows()] == whole.frame.rows()
    alone = read("usage_event", values, fallback=True)
    assert alone.dead == whole.dead
    assert alone.frame.equals(whole.frame)


def test_there_is_one_magic() -> None:
    """Any other first byte is none."""
    for magic in range(256):
        values = [usage(1), bytes([magic]) + GOOD[1:], usage(2)]
        assert reasons(read("usage_event", values)) == ({1: "wrong_magic"} if magic else {})


def test_bad_records_stand_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the good records is read one by one."""
    one_by_one = 0
    original = Examiner.read

    def counted(self: Examiner, record: bytes) -> Any:
        nonlocal one_by_one
        one_by_one += 1
        return original(self, record)

    monkeypatch.setattr(Examiner, "read", counted)
    values: list[bytes | None] = [usage(number) for number in range(5000)]
    for place in (0, 1234, 4999):
        values[place] = GOOD[:-2]
    decoded = read("usage_event", values)
    assert sorted(reasons(decoded)) == [0, 1234, 4999]
    assert decoded.frame["offset"].to_list() == [i for i in range(5000) if i not in {0, 1234, 4999}]
    assert one_by_one == 3


def _versioned(change: str) -> dict[str, Any]:
    document = copy.deepcopy(latest("usage_event"))
    fields = {field["name"]: field for field in document["fields"]}
    if change == "older":
        del fields["status"], fields["requests"], fields["work_item_id"]
    elif change == "newer":
        fields["region"] = {"name": "region", "type": "string", "default": ""}
        fields["tags"] = {"name": "tags", "type": {"type": "map", "values": "string"}, "default": {}}
    elif change == "reordered":
        fields = dict(reversed(fields.items()))
    elif change == "int":
        fields["requests"] = {"name": "requests", "type": "int", "default": 1}
    elif change == "bytes":
        fields["signature"] = {"name": "signature", "type": "bytes", "default": ""}
    return document | {"fields": list(fields.values())}


class Writers:
    """Resolves id 900 to one schema."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def find(self, event: EventName, schema_id: int) -> dict[str, Any] | None:
        """As WriterSchemas.find."""
        return self.document if schema_id == 900 else latest(event) if schema_id == shipped_id(event) else None


@pytest.mark.parametrize("fallback", [False, True])
@pytest.mark.parametrize("change", ["older", "newer", "reordered", "int", "bytes"])
def test_other_versions_of_the_schema_become_the_same_columns(change: str, fallback: bool) -> None:
    """Missing fields have their defaults, additional ones are dropped; versions may be mixed in one batch."""
    document = _versioned(change)
    fields = usage_event("v", at(1), input_tokens=7) | {"region": "eu", "tags": {"a": "b"}, "signature": b"\xff"}
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(document), fields)
    other = pack_header(900) + out.getvalue()
    writers: Any = Writers(document)
    decoded = read("usage_event", [usage(1), other, other[:-1], usage(2), other], schemas=writers, fallback=fallback)
    assert reasons(decoded) == {2: "truncated"}
    assert decoded.frame["event_id"].to_list() == ["u1", "v", "u2", "v"]
    expected = read("usage_event", [value("usage_event", usage_event("v", at(1), input_tokens=7))]).frame
    assert decoded.frame[1].drop("offset").equals(expected.drop("offset"))


def test_a_schema_that_cannot_be_read_in_place_is_noticed_at_once() -> None:
    """Its records take the slow path."""
    with pytest.raises(ValueError, match="plain column"):
        ColumnReader(_versioned("bytes"), ["event_id"])
