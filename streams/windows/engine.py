"""The window engine: which rolling windows must be written when panes or the watermark change, and what they hold (DESIGN.md §6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import numpy as np
import polars as pl

from streams.windows.families import FAMILIES, REVISIONS_EVERY_US, TIME, WINDOW_KEY, WINDOW_SCHEMA, Family
from streams.windows.groups import COLUMNS, Mask
from streams.windows.measures import HOUR_US, MEASURES
from streams.windows.rolling import Ints, group_of, key, number_of
from streams.windows.state import PANES_PER_SLIDE, PaneState
from streams.windows.stretch import Stretch
from streams.windows.touches import Touches

T = TypeVar("T")

ROWS_PER_FRAME: Final = 200_000
ROWS_PER_STRETCH: Final = 500_000
"""State rows that are copied and summed at a time: bounds the memory of an advance (about 1 kB a row)."""

Previous = Callable[[pl.DataFrame], pl.DataFrame]
"""Stored rows of the windows that a frame of WINDOW_KEY names, all of one size, in any order; without those that are not stored. Columns:
WINDOW_KEY (window_end as Datetime or Int64 us), MEASURES, contributors, revision, backfill. May raise: the advance then has not happened."""


class _Progress:
    """How far the windows of one family have been written."""

    def __init__(self) -> None:
        self.final: int | None = None
        """Number of the last final window; None: no watermark yet."""
        self.shown: int | None = None
        """Number of the last window that has been written as provisional for all its groups."""
        self.inherited: int | None = None
        """Number of the last window that an earlier process may have written as provisional."""
        self.shown_at: int | None = None
        self.fresh = Touches()
        """Touched since provisional windows were last written."""
        self.late = Touches()
        """Windows that were final when they were touched."""
        self.timely: Ints = np.zeros(0, np.int64)
        """Windows not yet final that were first written within an hour of their end."""


class WindowEngine:
    """Windows of the tenants of one partition of pane-updates. `load` first; then any sequence of `apply_*` and `advance`.

    Updates are absolute, so that applying them again, or to a state that was loaded ahead of them, leads to the same windows. Windows that
    updates touch wait in memory until an advance writes them: while `revisions_wait`, the position of the updates must not be committed.
    """

    def __init__(self, lateness_us: int, previous: Previous) -> None:
        self._lateness_us, self._previous = lateness_us, previous
        self._state = PaneState()
        self._watermark: int | None = None
        self._progress = [_Progress() for _ in FAMILIES]
        self._revised_at: int | None = None
        """All families together, or there would always be one with revisions that wait."""

    def load(
        self, panes: pl.DataFrame, bookings: pl.DataFrame, actors: pl.DataFrame, *, watermark_us: int | None
    ) -> None:
        """Take stored rows as the state, and windows that are final at the stored watermark as written (None: nothing written)."""
        self._state.apply_panes(panes)
        self._state.apply_bookings(bookings, loading=True)
        self._state.apply_actors(actors)
        self._watermark = watermark_us
        for family, progress in zip(FAMILIES, self._progress, strict=True):
            progress.final = self._final_at(family, watermark_us)
            progress.inherited = None if watermark_us is None else watermark_us // family.slide_us + 1

    def apply_panes(self, frame: pl.DataFrame) -> None:
        """Usage panes: kpart, pane key, USAGE_MEASURES, version; absolute totals of one input partition's share of a pane."""
        self._touch(*self._state.apply_panes(frame), by_actor=False)

    def apply_bookings(self, frame: pl.DataFrame) -> None:
        """All present bookings of each item that appears (an item once in a frame); `moved` rows mark panes that it has left."""
        self._touch(*self._state.apply_bookings(frame), by_actor=False)

    def apply_actors(self, frame: pl.DataFrame) -> None:
        """Actors of panes: kpart, pane key, actor_hash; a set that grows."""
        self._touch(*self._state.apply_actors(frame), by_actor=True)

    def _touch(self, series: Ints, panes: Ints, *, by_actor: bool) -> None:
        if not len(series):
            return
        for family, slide, progress in zip(FAMILIES, PANES_PER_SLIDE, self._progress, strict=True):
            buckets = panes // slide
            starts, stops = key(series, buckets + 1), key(series, buckets + family.count)
            progress.fresh.add(starts, stops, by_actor=by_actor)
            if progress.final is not None:
                progress.late.add(starts, np.minimum(stops, key(series, progress.final)), by_actor=by_actor)

    @property
    def revisions_wait(self) -> bool:
        """Whether final windows have changed that are not written yet: they would be lost with this process."""
        return any(progress.late for progress in self._progress)

    @property
    def waiting(self) -> bool:
        """Whether an advance at the same watermark would have something to write once its throttle allows it."""
        return self.revisions_wait or any(
            bool(progress.fresh)
            or (self._watermark is not None and progress.shown != self._watermark // family.slide_us + 1)
            for family, progress in zip(FAMILIES, self._progress, strict=True)
        )

    def advance(self, watermark_us: int, now_us: int, *, flush: bool = False) -> Iterator[pl.DataFrame]:
        """Windows to write at a watermark (a lower one than before counts as that) and a wall time; `flush` overrides the throttles.

        Frames of WINDOW_SCHEMA with at most ROWS_PER_FRAME rows, none empty, each window once; rows ordered by family, then grouping,
        groups as they first appeared, end. The engine is at the new watermark once the iterator is exhausted; no update may be applied
        before that, and if a frame cannot be written the engine must be dropped.

        A revision's number is that of the stored row, plus one if its values differ; the row of a replayed update is thus written
        again unchanged. A window that was final without a row begins at revision 1.
        """
        if self._watermark is not None:
            watermark_us = max(watermark_us, self._watermark)
        self._watermark = watermark_us
        for frames in _batches(self._changed(now_us, flush=flush), len):
            yield pl.concat(frames, rechunk=True)

    def _changed(self, now_us: int, *, flush: bool) -> Iterator[pl.DataFrame]:
        revise = self.revisions_wait and (flush or _due(self._revised_at, now_us, REVISIONS_EVERY_US))
        self._revised_at = now_us if revise else self._revised_at
        for level, (family, progress) in enumerate(zip(FAMILIES, self._progress, strict=True)):
            yield from self._finals(level, now_us)
            if revise:
                yield from self._revisions(level, now_us)
            if flush or _due(progress.shown_at, now_us, family.provisional_every_us):
                yield from self._provisionals(level, now_us)
            progress.late.settle()
            progress.fresh.settle()

    def _final_at(self, family: Family, watermark_us: int | None) -> int | None:
        return None if watermark_us is None else (watermark_us - self._lateness_us) // family.slide_us

    # --- which windows --------------------------------------------------------------------------------------------------------------

    def _finals(self, level: int, now_us: int) -> Iterator[pl.DataFrame]:
        """Windows that the watermark has made final."""
        family, progress = FAMILIES[level], self._progress[level]
        before, final = progress.final, self._final_at(family, self._watermark)
        assert final is not None
        if before is None or before < final:
            buckets = self._state.buckets(level, None if before is None else before + 1 - family.count, final - 1)
            if buckets:
                first = buckets[0] + 1 if before is None else max(before, buckets[0]) + 1
                yield from self._written(
                    level, [(first, min(final, buckets[-1] + family.count))], None, "final", now_us
                )
        progress.final = final
        progress.timely = progress.timely[number_of(progress.timely) > final]

    def _revisions(self, level: int, now_us: int) -> Iterator[pl.DataFrame]:
        """Windows that were final before updates touched them."""
        progress = self._progress[level]
        late, progress.late = progress.late, Touches()
        for frame in self._written(level, late.numbers(None, None), late, "final", now_us):
            yield _revised(frame, self._previous(frame.select(WINDOW_KEY)))

    def _provisionals(self, level: int, now_us: int) -> Iterator[pl.DataFrame]:
        """Windows that are not final and begin their last slide before the watermark: new ones of all groups, others where touched."""
        progress = self._progress[level]
        assert self._watermark is not None
        assert progress.final is not None
        first, last = progress.final + 1, self._watermark // FAMILIES[level].slide_us + 1
        shown = progress.final if progress.shown is None else max(progress.shown, progress.final)
        fresh, progress.fresh = progress.fresh, Touches()
        for numbers, touches in ((fresh.numbers(first, shown), fresh), ([(shown + 1, last)], None)):
            for frame in self._written(level, numbers, touches, "provisional", now_us):
                progress.shown_at = now_us
                yield frame
        progress.shown = last

    # --- what they hold -------------------------------------------------------------------------------------------------------------

    def _written(
        self, level: int, numbers: list[tuple[int, int]], touches: Touches | None, status: str, now_us: int
    ) -> Iterator[pl.DataFrame]:
        """Rows of the windows with these numbers, touched or (None) all that hold a pane."""
        for blocks in _batches(self._blocks(level, numbers, touches), lambda block: len(block[0])):
            windows, contributors = (np.concatenate([block[i] for block in blocks]) for i in (0, 2))
            measures = np.concatenate([block[1] for block in blocks], axis=1)
            yield self._frame(level, windows, measures, contributors, status, now_us)

    def _blocks(
        self, level: int, numbers: list[tuple[int, int]], touches: Touches | None
    ) -> Iterator[tuple[Ints, Ints, Ints]]:
        """(windows, one row per measure, contributors) of at most ROWS_PER_FRAME windows; one grouping after the other, sorted inside."""
        family, state = FAMILIES[level], self._state
        chosen = None if touches is None or not numbers else state.groups.of_one_tenant(touches.series())
        for part in self._parts(level, numbers):
            first, last = part[0][0], part[-1][1]
            buckets = sorted(
                {bucket for begin, end in part for bucket in state.buckets(level, begin - family.count, end - 1)}
            )
            stretch = Stretch(state, level, family.count, buckets, chosen)
            for column in range(len(COLUMNS)):
                sums = stretch.of(column)
                if touches is None:
                    windows = sums.windows(first, last)
                else:
                    windows = sums.filled(touches.windows(state.groups, column, first, last))
                for begin in range(0, len(windows), ROWS_PER_FRAME):
                    block = windows[begin : begin + ROWS_PER_FRAME]
                    measures = sums.measures(block)
                    contributors = sums.contributors(state.groups.plain[group_of(block)], block)
                    contributors[~measures.any(axis=0)] = 0
                    yield block, measures, contributors

    def _parts(self, level: int, numbers: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
        """Intervals of window numbers in groups that read about ROWS_PER_STRETCH rows, but not fewer windows than share their buckets."""
        count = FAMILIES[level].count
        part: list[tuple[int, int]] = []
        ends = rows = 0
        read_to: int | None = None
        for first, last in numbers:
            begin = first
            for end in range(first, last + 1):
                oldest = end - count if read_to is None else max(end - count, read_to + 1)
                rows += sum(self._state.rows_in(level, bucket) for bucket in range(oldest, end))
                ends, read_to = ends + 1, end - 1
                if rows > ROWS_PER_STRETCH and ends >= count:
                    yield [*part, (begin, end)]
                    part, begin, ends, rows, read_to = [], end + 1, 0, 0, None
            if begin <= last:
                part.append((begin, last))
        if part:
            yield part

    def _frame(
        self, level: int, windows: Ints, measures: Ints, contributors: Ints, status: str, now_us: int
    ) -> pl.DataFrame:
        """Rows of windows as WINDOW_SCHEMA."""
        family, rows = FAMILIES[level], len(windows)
        assert self._watermark is not None
        frame = self._state.groups.names(group_of(windows)).hstack(
            [
                _constant("size", family.size, rows),
                pl.Series("window_end", number_of(windows) * family.slide_us).cast(TIME),
                *(pl.Series(name, values) for name, values in zip(MEASURES, measures, strict=True)),
                pl.Series("contributors", contributors),
                _constant("status", status, rows),
                _constant("revision", 0, rows),
                _constant("backfill", 0, rows),
                pl.Series("watermark", np.full(rows, self._watermark)).cast(TIME),
            ]
        )
        backfill = self._backfill(level, windows, frame.select(WINDOW_KEY), status, now_us)
        return frame.with_columns(pl.Series("backfill", backfill, pl.UInt8)).select(WINDOW_SCHEMA.names())

    def _backfill(self, level: int, windows: Ints, keys: pl.DataFrame, status: str, now_us: int) -> Mask:
        """Which windows were (or are now) first written more than an hour after their end."""
        family, progress = FAMILIES[level], self._progress[level]
        late = now_us - number_of(windows) * family.slide_us > HOUR_US
        if late.any():
            late &= ~np.isin(windows, progress.timely)
        if progress.inherited is not None:
            inherited = late & (number_of(windows) <= progress.inherited) & (number_of(windows) > (progress.final or 0))
            if inherited.any():
                asked = keys.filter(inherited)
                stored = (
                    self._previous(asked).with_columns(pl.col("window_end").cast(TIME)).filter(pl.col("backfill") == 0)
                )
                late[np.flatnonzero(inherited)] = asked.join(stored, on=WINDOW_KEY, how="left", maintain_order="left")[
                    "backfill"
                ].is_null()
        if status == "provisional":
            progress.timely = np.union1d(progress.timely, windows[~late])
        return late


def _revised(frame: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """Final rows with the revision and backfill that follow from the stored ones; empty windows that are not stored are left out."""
    compared = [*MEASURES, "contributors"]
    known = stored.with_columns(pl.col("window_end").cast(TIME)).select(*WINDOW_KEY, *compared, "revision", "backfill")
    joined = frame.join(known, on=WINDOW_KEY, how="left", maintain_order="left", suffix="_stored")
    differs = pl.any_horizontal(pl.col(name) != pl.col(f"{name}_stored").fill_null(0) for name in compared)
    return (
        joined.with_columns(
            (pl.col("revision_stored").fill_null(0) + differs.cast(pl.UInt32)).cast(pl.UInt32).alias("revision"),
            pl.coalesce("backfill_stored", "backfill").cast(pl.UInt8).alias("backfill"),
        )
        .filter(differs | pl.col("revision_stored").is_not_null())
        .select(WINDOW_SCHEMA.names())
    )


def _due(last_us: int | None, now_us: int, every_us: int) -> bool:
    """Whether a throttle allows another write; a clock that was set back does not block it."""
    return last_us is None or not 0 <= now_us - last_us < every_us


def _constant(name: str, value: str | int, rows: int) -> pl.Series:
    return pl.repeat(value, rows, dtype=WINDOW_SCHEMA[name], eager=True).alias(name)


def _batches(blocks: Iterator[T], rows_of: Callable[[T], int]) -> Iterator[list[T]]:
    """Consecutive blocks together, as long as they have at most ROWS_PER_FRAME rows; empty blocks are left out."""
    batch: list[T] = []
    rows = 0
    for block in blocks:
        if not (more := rows_of(block)):
            continue
        if rows + more > ROWS_PER_FRAME:
            yield batch
            batch, rows = [], 0
        batch.append(block)
        rows += more
    if batch:
        yield batch
