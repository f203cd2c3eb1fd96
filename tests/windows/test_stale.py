"""Provisional windows of a place that an item has left are not found from what is stored; the next owner empties them."""

from __future__ import annotations

import polars as pl

from streams.windows.engine import WindowEngine
from streams.windows.families import WINDOW_KEY, WINDOW_SCHEMA
from streams.windows.stale import Inherited
from tests.windows.reference import (
    DAY,
    HOUR,
    MINUTE,
    Booking,
    Truth,
    actor_frame,
    amounts_of,
    booking_frame,
    pane_frame,
    read_rows,
)
from tests.windows.shell import Shell

LATENESS = 10 * MINUTE
T0 = 19_723 * DAY + 10 * HOUR
ITEM = (0, "acme", "i")
THEN = Booking(T0, "credit", "a", "cli", "m", "core", (("items_completed", 1),))
LATER = THEN._replace(team="b")
MOVED = THEN._replace(kind="moved", amounts=())


def engine(items: dict[tuple[int, str, str], list[Booking]], watermark: int | None) -> WindowEngine:
    made = WindowEngine(LATENESS, DAY, lambda keys: pl.DataFrame(schema=WINDOW_SCHEMA), Shell().sums)
    nothing = Truth()
    made.load(pane_frame(nothing.panes), booking_frame(items), actor_frame(nothing.actors), {}, watermark_us=watermark)
    return made


def test_windows_of_a_place_that_an_item_left_are_emptied_after_a_restart() -> None:
    watermark = T0 + MINUTE
    first = engine({}, None)
    first.apply_bookings(booking_frame({ITEM: [THEN]}))
    shown = pl.concat(first.advance(watermark, T0))
    # Within the throttle of the longer windows the item moves, and its row is written once more: the mark is gone.
    first.apply_bookings(booking_frame({ITEM: [LATER, MOVED]}))
    first.apply_bookings(booking_frame({ITEM: [LATER]}))

    second = engine({ITEM: [LATER]}, watermark)
    written = pl.concat(second.advance(watermark, T0))
    inherited = Inherited(shown, LATENESS)
    inherited.written(written)
    gone = inherited.due(watermark)
    assert gone.schema == WINDOW_SCHEMA
    assert set(gone["team"]) == {"a"}
    assert set(gone["status"]) == {"provisional"}
    stored = dict(read_rows(shown)) | dict(read_rows(written)) | dict(read_rows(gone))
    assert {key for key, row in stored.items() if amounts_of(row)} == {key for key, _ in read_rows(written)}


def test_each_is_written_once_as_provisional_and_once_as_final() -> None:
    first = engine({}, None)
    first.apply_bookings(booking_frame({ITEM: [THEN]}))
    shown = pl.concat(first.advance(T0 + MINUTE, T0))
    inherited = Inherited(shown, LATENESS)
    assert inherited.due(T0 - DAY).is_empty(), "windows of the future wait"
    assert len(inherited.due(T0 + 2 * MINUTE)) == len(shown)
    assert inherited.due(T0 + 3 * MINUTE).is_empty()
    later = T0 + 3 * HOUR
    final = pl.col("window_end").cast(pl.Int64) + LATENESS <= later
    gone = inherited.due(later)
    assert 0 < len(gone) < len(shown)
    assert gone.select(WINDOW_KEY).equals(shown.filter(final).select(WINDOW_KEY))
    assert set(gone["status"]) == {"final"}
    rest = inherited.due(T0 + 40 * DAY)
    assert len(gone) + len(rest) == len(shown)
    assert inherited.due(T0 + 80 * DAY).is_empty()


def test_what_the_engine_writes_again_is_left_to_it() -> None:
    first = engine({}, None)
    first.apply_bookings(booking_frame({ITEM: [THEN]}))
    shown = pl.concat(first.advance(T0 + MINUTE, T0))
    inherited = Inherited(shown, LATENESS)
    assert not inherited.due(T0 + MINUTE).is_empty()
    inherited.written(shown)
    assert inherited.due(T0 + 40 * DAY).is_empty()
