"""Record values for tests, and the decoder with plain defaults."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import fastavro
import numpy as np
from hypothesis import strategies as st

from streams.events.decode import Decoded, decode
from streams.events.records import Records
from streams.events.schemas import EventName, WriterSchemas, latest, shipped_id
from streams.events.wire import pack_header
from tests.strategies import at, item_event, usage_event

TOPIC: dict[EventName, str] = {"usage_event": "usage-events", "work_item_event": "work-item-events"}
APPENDED = at(100)
GOOD = {
    "usage_event": usage_event("u", at(1)),
    "work_item_event": item_event("w", at(1), "started"),
}


def datum(event: EventName, fields: dict[str, Any]) -> bytes:
    """The Avro datum, by fastavro."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(latest(event)), fields)
    return out.getvalue()


def value(event: EventName, fields: dict[str, Any]) -> bytes:
    """The record value with the shipped schema's id."""
    return pack_header(shipped_id(event)) + datum(event, fields)


def usage(number: int, **changes: Any) -> bytes:
    """A good usage event with an id of its own."""
    return value("usage_event", usage_event(f"u{number}", at(1)) | changes)


def read(
    event: EventName,
    values: Sequence[bytes | None],
    *,
    begin: int = 0,
    partition: int = 0,
    partitions: int = 1,
    fallback: bool = False,
    schemas: WriterSchemas | None = None,
) -> Decoded:
    """Decode records at offsets from `begin`, all appended at APPENDED."""
    offsets = np.arange(begin, begin + len(values), dtype=np.int64)
    appended = np.full(len(values), APPENDED, dtype=np.int64)
    return decode(
        TOPIC[event],
        Records.of(values),
        offsets,
        appended,
        partition=partition,
        partitions=partitions,
        schemas=schemas or WriterSchemas(),
        fallback=fallback,
    )


def reasons(decoded: Decoded) -> dict[int, str]:
    """Reason by offset."""
    return {letter.offset: letter.reason for letter in decoded.dead}


_TEXTS = ["", "a", "ü", "漢字", "a/b", "session:x", "\0", "x" * 256, "x" * 257, "ü" * 129]
_TEXT = st.sampled_from(_TEXTS) | st.text(max_size=8)
_OPTIONAL = st.none() | _TEXT
_LONG = st.sampled_from(
    [0, 1, -1, 10**6, 10**6 + 1, 10**9, 10**9 + 1, 10**12, 10**12 + 1, 2**63 - 1, -(2**63), 2**62, -(2**55)]
) | st.integers(-(2**63), 2**63 - 1)
_WORDS = [
    "build",
    "full",
    "unknown",
    "billed",
    "seat",
    "started",
    "linked",
    "closes",
    "session",
    "Full",
    "",
    "celebrated",
]
_TIME = st.sampled_from(
    [
        at(1),
        at(1),
        at(1),
        0,
        1_420_070_400_000_000,
        1_420_070_399_999_999,
        APPENDED + 300_000_000,
        APPENDED + 300_000_001,
    ]
)
_BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "occurred_at": _TIME | _LONG,
    "labels": st.lists(_TEXT, max_size=4)
    | st.sampled_from([["x"] * 32, ["x"] * 33, ["y" * 64], ["y" * 65], ["ü" * 33]]),
    **dict.fromkeys(("activity", "usage_quality", "cost_basis", "kind"), st.sampled_from(_WORDS)),
    "link_type": st.none() | st.sampled_from(_WORDS),
}


@st.composite
def fields_of(draw: st.DrawFn, event: EventName) -> dict[str, Any]:
    """An event in which a few fields have values on and around their bounds, mostly good."""
    fields = GOOD[event] | {"event_id": draw(st.text("abc", min_size=1, max_size=3))}
    for name in draw(st.lists(st.sampled_from(sorted(fields)), max_size=3, unique=True)):
        if name in _BY_NAME:
            strategy = _BY_NAME[name]
        elif isinstance(fields[name], str):
            strategy = _TEXT
        elif name in {"cost_micro_usd", "size_milli"}:
            strategy = st.none() | _LONG
        else:
            strategy = _LONG if isinstance(fields[name], int) else _OPTIONAL
        fields[name] = draw(strategy)
    return fields
