"""Messages between agents: round trips, cuts, damage."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import polars as pl
import polars.testing
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.windows.families import WINDOW_SCHEMA
from streams.windows.measures import OUTCOME_MEASURES, USAGE_MEASURES
from streams.windows.updates import (
    ACTORS,
    BOOKINGS,
    PANES,
    ROWS_PER_MESSAGE,
    WATERMARK_SCHEMA,
    WATERMARKS,
    WINDOW_COLUMNS,
    WINDOWS,
    Message,
    pack_actors,
    pack_bookings,
    pack_panes,
    pack_watermarks,
    pack_windows,
    told,
    unpack,
)

Schema = Mapping[str, Any]

_DIMENSIONS = dict.fromkeys(("tenant", "team", "tool", "model"), pl.String())
PANE_SCHEMA: Schema = {
    "kpart": pl.UInt16(), **_DIMENSIONS, "pane_start": pl.Int64(), **dict.fromkeys(USAGE_MEASURES, pl.Int64()),
    "version": pl.UInt64(),
}  # fmt: skip
ACTOR_SCHEMA: Schema = {"kpart": pl.UInt16(), **_DIMENSIONS, "pane_start": pl.Int64(), "actor_hash": pl.UInt64()}
BOOKING_SCHEMA: Schema = {
    "kpart": pl.UInt16(), "tenant": pl.String(), "work_item_id": pl.String(), "at": pl.Int64(), "kind": pl.String(),
    "team": pl.String(), "tool": pl.String(), "model": pl.String(), "work_class": pl.String(),
    **dict.fromkeys(OUTCOME_MEASURES, pl.Int64()), "version": pl.UInt64(),
}  # fmt: skip

TOLD_SCHEMA: Schema = {name: WINDOW_SCHEMA[name] for name in (*WINDOW_COLUMNS, "revision")}

EDGES: dict[Any, tuple[Any, ...]] = {
    pl.String(): ("", "acme", "é/\x00", "z" * 256),
    pl.Int64(): (0, 1, -1, 2**63 - 1, -(2**63)),
    pl.UInt64(): (0, 2**64 - 1),
    pl.UInt32(): (0, 2**32 - 1),
    pl.UInt16(): (0, 2**16 - 1),
    pl.UInt8(): (0, 1),
    pl.Datetime("us", "UTC"): (0, 1_700_000_000_000_000),
}

KINDS: tuple[tuple[bytes, Schema, Callable[[pl.DataFrame], Iterator[Message]]], ...] = (
    (PANES, PANE_SCHEMA, pack_panes),
    (ACTORS, ACTOR_SCHEMA, pack_actors),
    (BOOKINGS, BOOKING_SCHEMA, pack_bookings),
    (WINDOWS, TOLD_SCHEMA, pack_windows),
)
by_kind = pytest.mark.parametrize(
    ("kind", "schema", "pack"), KINDS, ids=lambda value: value if isinstance(value, bytes) else ""
)


def rows_of(schema: Schema, count: int, seed: int) -> pl.DataFrame:
    """Rows of extreme and ordinary values."""
    draw = random.Random(seed)
    columns = {name: [draw.choice(EDGES[dtype]) for _ in range(count)] for name, dtype in schema.items()}
    return pl.DataFrame({name: pl.Series(name, values).cast(schema[name]) for name, values in columns.items()})


def items_of(schema: Schema, sizes: list[int]) -> pl.DataFrame:
    """Items of one tenant with so many bookings each, in order."""
    names = [f"I-{item:05d}" for item, size in enumerate(sizes) for _ in range(size)]
    frame = rows_of(schema, 1, 1)[[0] * len(names)]
    return frame.with_columns(
        tenant=pl.lit("acme"),
        kpart=pl.lit(3, pl.UInt16),
        work_item_id=pl.Series(names, dtype=pl.String),
        at=pl.int_range(len(names), dtype=pl.Int64),
    )


def read(messages: Iterator[Message], kind: bytes) -> list[tuple[str, pl.DataFrame]]:
    """(key, rows) of messages, all of one kind."""
    found = [(key.decode(), *unpack(value)) for key, value in messages]
    assert {seen for _, seen, _ in found} <= {kind}
    return [(key, frame) for key, _, frame in found]


@by_kind
def test_a_message_holds_the_rows_of_one_tenant(kind: bytes, schema: Schema, pack: Callable[..., Any]) -> None:
    frame = rows_of(schema, 300, 7)
    found = read(pack(frame), kind)
    assert len(found) == len({key for key, _ in found}) == frame["tenant"].n_unique()
    for key, rows in found:
        assert rows.schema == frame.schema
        assert rows["tenant"].unique().to_list() == [key]
    polars.testing.assert_frame_equal(pl.concat([rows for _, rows in found]), frame, check_row_order=False)


@by_kind
def test_nothing_makes_no_message(kind: bytes, schema: Schema, pack: Callable[..., Any]) -> None:
    assert read(pack(pl.DataFrame(schema=schema)), kind) == []


@pytest.mark.parametrize(("kind", "schema", "pack"), [entry for entry in KINDS if entry[0] != BOOKINGS])
def test_long_updates_are_cut(kind: bytes, schema: Schema, pack: Callable[..., Any]) -> None:
    frame = rows_of(schema, 2 * ROWS_PER_MESSAGE + 1, 3).with_columns(tenant=pl.lit("acme"))
    found = [rows for _, rows in read(pack(frame), kind)]
    assert [len(rows) for rows in found] == [ROWS_PER_MESSAGE, ROWS_PER_MESSAGE, 1]
    polars.testing.assert_frame_equal(pl.concat(found), frame)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from((1, 2, 500, ROWS_PER_MESSAGE - 1, ROWS_PER_MESSAGE, ROWS_PER_MESSAGE + 1)), max_size=6),
    st.integers(0, 3),
)
def test_bookings_of_an_item_stay_together(sizes: list[int], shuffle: int) -> None:
    frame = items_of(BOOKING_SCHEMA, sizes)
    given_rows = frame.sample(fraction=1, shuffle=True, seed=shuffle) if shuffle and len(frame) else frame
    found = [rows for _, rows in read(pack_bookings(given_rows), BOOKINGS)]
    items = [rows["work_item_id"].unique().to_list() for rows in found]
    assert sum(map(len, items)) == len(sizes), "no item is in two messages"
    for rows, names in zip(found, items, strict=True):
        assert len(rows) <= ROWS_PER_MESSAGE or len(names) == 1
    for one, next_one in pairwise(found):
        first = next_one["work_item_id"][0]
        assert len(one) + next_one["work_item_id"].to_list().count(first) > ROWS_PER_MESSAGE, "one would have held more"
    if found:
        polars.testing.assert_frame_equal(pl.concat(found), frame, check_row_order=False)


def test_messages_stay_under_kafkas_limit() -> None:
    draw = random.Random(5)
    frame = items_of(BOOKING_SCHEMA, [3] * 4_000).with_columns(
        pl.Series(name, [draw.randrange(2**40) for _ in range(12_000)]) for name in OUTCOME_MEASURES[:6]
    )
    sizes = [len(value) for _, value in pack_bookings(frame)]
    assert len(sizes) == 7
    assert max(sizes) < 1_000_000


def test_watermarks_round_trip() -> None:
    rows = [(0, 1, 2, 3, 4), (65_535, 2**62, 0, -1, 2**62)]
    kind, frame = unpack(pack_watermarks(rows))
    assert kind == WATERMARKS
    assert frame.schema == pl.Schema(WATERMARK_SCHEMA)
    assert frame.rows() == rows


@pytest.fixture(scope="module")
def message() -> bytes:
    ((_, value),) = pack_panes(rows_of(PANE_SCHEMA, 3, 2).with_columns(tenant=pl.lit("acme")))
    return value


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0), flip=st.integers(1, 255))
def test_a_damaged_message_is_refused(message: bytes, at: int, flip: int) -> None:
    damaged = bytearray(message)
    damaged[at % len(message)] ^= flip
    with pytest.raises(ValueError, match="update"):
        unpack(bytes(damaged))


@given(end=st.integers(0))
def test_a_cut_message_is_refused(message: bytes, end: int) -> None:
    with pytest.raises(ValueError, match="update"):
        unpack(message[: end % len(message)])


def sealed(kind: bytes, body: bytes) -> bytes:
    """A message whose hash is right, whatever its body."""
    return kind + xxhash.xxh64(kind + body).digest() + body


def test_a_whole_message_that_is_no_update_is_refused() -> None:
    for body in (b"", b"no arrow", b"\xff\xff\xff\xff\x00\x00\x00\x00"):
        with pytest.raises(ValueError, match="update"):
            unpack(sealed(PANES, body))
    with pytest.raises(ValueError, match="unknown kind of update b'X'"):
        unpack(sealed(b"X", b""))


@by_kind
def test_an_update_without_a_column_is_refused(kind: bytes, schema: Schema, pack: Callable[..., Any]) -> None:
    frame = rows_of(schema, 2, 2).with_columns(tenant=pl.lit("acme"))
    last = frame.columns[-1]
    ((_, value),) = pack(frame.drop(last))
    with pytest.raises(ValueError, match=f"lacks {last}"):
        unpack(value)
    ((_, value),) = pack(frame.with_columns(more=pl.lit(1)))
    assert unpack(value)[1].columns == [*frame.columns, "more"]


def test_the_body_is_an_arrow_stream(message: bytes) -> None:
    assert pa.ipc.open_stream(message[9:]).read_all().num_rows == 3


def test_alert_rules_are_told_final_windows_of_teams() -> None:
    columns = {
        "status": ("final", "provisional"),
        "grouping": ("team", "team_class", "tenant", "team_tool"),
        "size": ("1h", "24h", "7d", "28d"),
    }
    frame = pl.DataFrame(list(itertools.product(*columns.values())), schema=list(columns), orient="row")
    rows = rows_of(WINDOW_SCHEMA, len(frame), 5).with_columns(frame["status"], frame["grouping"], frame["size"])
    found = told(rows)
    assert found.schema == pl.Schema(TOLD_SCHEMA)
    assert set(found.select(list(columns)).rows()) == set(
        itertools.product(("final",), ("team", "team_class"), ("1h", "24h", "7d"))
    )
