"""Provisional windows of a place that an item has left are not found from what is stored; the next owner empties them."""

from __future__ import annotations

import polars as pl

from streams.windows.engine import WindowEngine
from streams.windows.families import WINDOW_KEY, WINDOW_SCHEMA
from streams.windows.stale import emptied
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
    left = shown.join(written, on=WINDOW_KEY, how="anti")
    assert set(left["team"]) == {"a"}
    gone = emptied(left.select(*WINDOW_KEY, "backfill"), watermark, LATENESS)
    assert gone.schema == WINDOW_SCHEMA
    assert set(gone["status"]) == {"provisional"}
    stored = dict(read_rows(shown)) | dict(read_rows(written)) | dict(read_rows(gone))
    assert {key for key, row in stored.items() if amounts_of(row)} == {key for key, _ in read_rows(written)}


def test_windows_that_have_become_final_say_so_and_later_ones_wait() -> None:
    first = engine({}, None)
    first.apply_bookings(booking_frame({ITEM: [THEN]}))
    shown = pl.concat(first.advance(T0 + MINUTE, T0)).select(*WINDOW_KEY, "backfill")
    gone = emptied(shown, T0 + 3 * HOUR, LATENESS)
    final = pl.col("window_end").cast(pl.Int64) + LATENESS <= T0 + 3 * HOUR
    assert gone.filter(pl.col("status") == "final").equals(gone.filter(final))
    assert 0 < len(gone.filter(final)) < len(gone) == len(shown)
    assert emptied(shown, T0 - DAY, LATENESS).is_empty()
