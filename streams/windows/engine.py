"""The window engine: which rolling windows must be written when panes or the watermark change, and what they hold (DESIGN.md §6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Final, TypeVar

import numpy as np
import polars as pl

from streams.windows.cold import ColdStretches, Intervals, StoredSums
from streams.windows.families import FAMILIES, REVISIONS_EVERY_US, TIME, WINDOW_KEY, WINDOW_SCHEMA, Family
from streams.windows.groups import COLUMNS, Mask
from streams.windows.measures import DAY_US, HOUR_US, MEASURES, PANE_US
from streams.windows.rolling import Ints, group_of, key, number_of
from streams.windows.state import PANES_PER_SLIDE, PaneState
from streams.windows.stretch import Stretch
from streams.windows.touches import Touches

T = TypeVar("T")

ROWS_PER_FRAME: Final = 50_000
ROWS_PER_STRETCH: Final = 100_000
"""State rows that are copied and summed at a time: bounds the memory of an advance (about 1 kB a row)."""

Placed = tuple[int, int, Stretch]
"""The stretch that windows first..last need."""

Previous = Callable[[pl.DataFrame], pl.DataFrame]
"""Stored rows of the windows that a frame of WINDOW_KEY names, all of one size, in any order; without those that are not stored. Columns:
WINDOW_KEY (window_end as Datetime or Int64 us), MEASURES, contributors, revision, backfill. May raise: the advance then has not happened."""


LONGEST_US: Final = max(family.slide_us * family.count for family in FAMILIES)


def kept_from(watermark_us: int | None, lateness_us: int, horizon_us: int) -> int:
    """Start (us) of the first pane that an engine at a watermark keeps in memory: a day's; 0 for all of them before there is a watermark."""
    if watermark_us is None:
        return 0
    return max(watermark_us - lateness_us - LONGEST_US - horizon_us, 0) // DAY_US * DAY_US


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

    In memory are the panes of the longest window that is not final, and of `horizon_us` before it; each day of watermark the oldest go. Data
    that is late by less than the horizon is served from memory alone. Older data makes revisions of *cold* windows, which begin before
    the first kept pane: the store is asked for their panes, once for all that wait. Beside that memory grows with how far updates run ahead
    of the watermark (the slowest input partition holds it back), and with the number of distinct groups.
    """

    def __init__(self, lateness_us: int, horizon_us: int, previous: Previous, stored: StoredSums) -> None:
        self._lateness_us, self._horizon_us, self._previous = lateness_us, horizon_us, previous
        self._state = PaneState()
        self._cold = ColdStretches(self._state.groups, stored)
        self._watermark: int | None = None
        self._progress = [_Progress() for _ in FAMILIES]
        self._revised_at: int | None = None
        """All families together, or there would always be one with revisions that wait."""

    def load(
        self,
        panes: pl.DataFrame,
        bookings: pl.DataFrame,
        actors: pl.DataFrame,
        versions_held: Mapping[int, int],
        *,
        watermark_us: int | None,
    ) -> None:
        """Take stored rows as the state, and windows that are final at the stored watermark as written (None: nothing written).

        Of panes and actors those from `kept_from` on are needed, and all bookings of the items that have one from there on; more do no
        harm. `versions_held`: by input partition a version; the rows were read when those of all updates up to it were stored.
        """
        self._state.forget(kept_from(watermark_us, self._lateness_us, self._horizon_us) // PANE_US)
        self._state.apply_panes(panes)
        self._state.load_bookings(bookings, versions_held)
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
    def rows_kept(self) -> int:
        """Rows in memory, of every kind."""
        return len(self._state)

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

    def due(self, now_us: int) -> bool:
        """Whether some of what waits needs to wait for its throttle no longer."""
        return (self.revisions_wait and _due(self._revised_at, now_us, REVISIONS_EVERY_US)) or any(
            bool(progress.fresh) and _due(progress.shown_at, now_us, family.provisional_every_us)
            for family, progress in zip(FAMILIES, self._progress, strict=True)
        )

    def advance(self, watermark_us: int, now_us: int, *, flush: bool = False) -> Iterator[pl.DataFrame]:
        """Windows to write at a watermark (a lower one than before counts as that) and a wall time; `flush` overrides the throttles.

        Frames of WINDOW_SCHEMA with at most ROWS_PER_FRAME rows, none empty, each window once; rows ordered by family, then grouping,
        groups as they first appeared, end. The engine is at the new watermark once the iterator is exhausted; no update may be applied
        before that, and if a frame cannot be written the engine must be dropped. When a reading of the store raises, advance again: what has
        not been given out yet follows.

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
        for level, (family, progress) in enumerate(zip(FAMILIES, self._progress, strict=True)):
            yield from self._finals(level, now_us)
            if revise:
                yield from self._revisions(level, now_us)
            if flush or _due(progress.shown_at, now_us, family.provisional_every_us):
                yield from self._provisionals(level, now_us)
            progress.late.settle()
            progress.fresh.settle()
        self._revised_at = now_us if revise else self._revised_at
        first = kept_from(self._watermark, self._lateness_us, self._horizon_us) // PANE_US
        if first > self._state.first_pane:
            self._state.forget(first)

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
                numbers = [(first, min(final, buckets[-1] + family.count))]
                yield from self._written(level, self._kept(level, numbers, None), None, "final", now_us)
        progress.final = final
        progress.timely = progress.timely[number_of(progress.timely) > final]

    def _revisions(self, level: int, now_us: int) -> Iterator[pl.DataFrame]:
        """Windows that were final before updates touched them."""
        progress = self._progress[level]
        late = progress.late
        warm = self._state.first_pane // PANES_PER_SLIDE[level] + FAMILIES[level].count
        cold = self._cold.of(level, late.numbers(None, warm - 1), late.series())
        kept = self._kept(level, late.numbers(warm, None), late)
        # Of a cold window that all bookings have left nothing says so but the touch: the mark is gone from the stored item, too.
        for frame in chain(
            self._written(level, cold, late, "final", now_us, also_empty=True),
            self._written(level, kept, late, "final", now_us),
        ):
            yield _revised(frame, self._previous(frame.select(WINDOW_KEY)))
        progress.late = Touches()

    def _provisionals(self, level: int, now_us: int) -> Iterator[pl.DataFrame]:
        """Windows that are not final and begin their last slide before the watermark: new ones of all groups, others where touched."""
        progress = self._progress[level]
        assert self._watermark is not None
        assert progress.final is not None
        first, last = progress.final + 1, self._watermark // FAMILIES[level].slide_us + 1
        shown = progress.final if progress.shown is None else max(progress.shown, progress.final)
        fresh = progress.fresh
        for numbers, touches in ((fresh.numbers(first, shown), fresh), ([(shown + 1, last)], None)):
            for frame in self._written(level, self._kept(level, numbers, touches), touches, "provisional", now_us):
                progress.shown_at = now_us
                yield frame
        progress.shown, progress.fresh = last, Touches()

    # --- what they hold -------------------------------------------------------------------------------------------------------------

    def _written(
        self,
        level: int,
        stretches: Iterator[Placed],
        touches: Touches | None,
        status: str,
        now_us: int,
        *,
        also_empty: bool = False,
    ) -> Iterator[pl.DataFrame]:
        """Rows of the windows in these stretches that hold a pane (or not), touched or (None) all."""
        for blocks in _batches(self._blocks(stretches, touches, also_empty=also_empty), lambda block: len(block[0])):
            windows, contributors = (np.concatenate([block[i] for block in blocks]) for i in (0, 2))
            measures = np.concatenate([block[1] for block in blocks], axis=1)
            yield self._frame(level, windows, measures, contributors, status, now_us)

    def _blocks(
        self, stretches: Iterator[Placed], touches: Touches | None, *, also_empty: bool
    ) -> Iterator[tuple[Ints, Ints, Ints]]:
        """(windows, one row per measure, contributors) of at most ROWS_PER_FRAME windows; one grouping after the other, sorted inside."""
        groups = self._state.groups
        for first, last, stretch in stretches:
            for column in range(len(COLUMNS)):
                sums = stretch.of(column)
                if touches is None:
                    windows = sums.windows(first, last)
                else:
                    windows = touches.windows(groups, column, first, last)
                    windows = windows if also_empty else sums.filled(windows)
                for begin in range(0, len(windows), ROWS_PER_FRAME):
                    block = windows[begin : begin + ROWS_PER_FRAME]
                    measures = sums.measures(block)
                    contributors = sums.contributors(groups.plain[group_of(block)], block)
                    contributors[~measures.any(axis=0)] = 0
                    yield block, measures, contributors

    def _kept(self, level: int, numbers: Intervals, touches: Touches | None) -> Iterator[Placed]:
        """Stretches of the windows with these numbers from memory, of all tenants or those touched."""
        count, state = FAMILIES[level].count, self._state
        chosen = None if touches is None or not numbers else state.groups.of_one_tenant(touches.series())
        for part in self._parts(level, numbers):
            buckets = sorted({bucket for begin, end in part for bucket in state.buckets(level, begin - count, end - 1)})
            yield part[0][0], part[-1][1], state.stretch(level, buckets, chosen)

    def _parts(self, level: int, numbers: Intervals) -> Iterator[Intervals]:
        """Intervals of window numbers in groups that read about ROWS_PER_STRETCH rows, but not fewer windows than share their buckets."""
        count = FAMILIES[level].count
        part: Intervals = []
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
    return pl.Series(name, [value], WINDOW_SCHEMA[name]).new_from_index(0, rows)


def _batches(blocks: Iterator[T], rows_of: Callable[[T], int]) -> Iterator[list[T]]:
    """Consecutive blocks together, as long as they have at most ROWS_PER_FRAME rows; empty blocks are left out.

    When a block cannot be made, those before it are given out first: their windows will not be made again.
    """
    batch: list[T] = []
    rows = 0
    try:
        for block in blocks:
            if not (more := rows_of(block)):
                continue
            if rows + more > ROWS_PER_FRAME:
                yield batch
                batch, rows = [], 0
            batch.append(block)
            rows += more
    except Exception:
        if batch:
            yield batch
        raise
    if batch:
        yield batch
