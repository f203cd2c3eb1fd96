"""From pane updates to windows: which rolling windows change when panes or the watermark do, and what they hold.

State: each input partition's last share of a pane and each item's last bookings (updates replace them), the sums of every pane, and, for
the longer families, sums per group and slide. `advance` computes only windows that became final, were touched by late updates, or are
provisional and changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import polars as pl

from streams.windows.cells import Cells, Stays
from streams.windows.families import DIMENSIONS, FAMILIES, GROUPINGS, REVISIONS_EVERY_US, TIME, WINDOW_SCHEMA, WITHOUT_CLASS, Family
from streams.windows.measures import HOUR_US, MEASURES, OUTCOME_MEASURES, PANE_US, USAGE_MEASURES
from streams.windows.rolling import Ints, Presence, RunningSums, clip, group_of, key, number_of, places

PANE_KEY: Final = ["tenant", "team", "tool", "model", "pane_start"]
ROWS_PER_FRAME: Final = 100_000
UNKNOWN: Final = -(1 << 31)

Previous = Callable[[pl.DataFrame], pl.DataFrame]
"""Stored rows of the windows whose keys (WINDOW_KEY) a frame names: all columns of WINDOW_SCHEMA, window_end as Int64 us or Datetime."""


class Groups:
    """Numbers for series (a pane's dimensions with work class) and for the groups that they belong to."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, ...], int] = {}
        self._groups: dict[tuple[str, ...], int] = {}
        self.of_series: list[list[int]] = []
        self.names: list[tuple[str, ...]] = []
        self.without_class: list[int] = []

    def series(self, dimensions: tuple[str, ...]) -> int:
        """The number of a series, in the order of DIMENSIONS."""
        number = self._series.get(dimensions)
        if number is None:
            number = self._series[dimensions] = len(self.of_series)
            self.of_series.append([self._group(grouping, dimensions) for grouping in GROUPINGS])
        return number

    def _group(self, grouping: str, dimensions: tuple[str, ...]) -> int:
        kept = GROUPINGS[grouping]
        name = (grouping, *(value if d in kept else "" for d, value in zip(DIMENSIONS, dimensions, strict=True)))
        number = self._groups.get(name)
        if number is None:
            number = self._groups[name] = len(self.names)
            self.names.append(name)
            self.without_class.append(number)
            if grouping in WITHOUT_CLASS:
                plain = self._group(WITHOUT_CLASS[grouping], (*dimensions[:-1], ""))
                self.without_class[number] = plain
        return number


class WindowEngine:
    """Windows of the tenants of one partition of pane-updates."""

    def __init__(self, lateness_us: int, previous: Previous) -> None:
        self._lateness_us, self._previous = lateness_us, previous
        self._groups = Groups()
        self._shares: dict[tuple[Any, ...], Ints] = {}
        self._bookings: dict[tuple[Any, ...], tuple[Ints, Ints, Ints]] = {}
        self._actor_numbers: dict[int, int] = {}
        self._panes, self._pane_stays = Cells(), Stays()
        self._slides = {f.size: Cells() for f in FAMILIES[1:]}
        self._slide_stays = {f.size: Stays() for f in FAMILIES[1:]}
        self._watermark = UNKNOWN
        self._touched: dict[str, list[tuple[Ints, Ints, int]]] = {f.size: [] for f in FAMILIES}
        self._unsettled: dict[str, list[tuple[Ints, Ints]]] = {f.size: [] for f in FAMILIES}
        self._shown_to = {f.size: UNKNOWN for f in FAMILIES}
        self._shown_at = {f.size: 0 for f in FAMILIES}
        self._revised_at = {f.size: 0 for f in FAMILIES}
        self._first_shown: dict[str, dict[int, int]] = {f.size: {} for f in FAMILIES}

    @property
    def waiting(self) -> bool:
        """Whether late updates or provisional windows wait for their throttle."""
        return any(self._touched.values()) or any(self._unsettled.values())

    # --- updates --------------------------------------------------------------------------------------------------------------------

    def load(self, panes: pl.DataFrame, bookings: pl.DataFrame, actors: pl.DataFrame, *, watermark_us: int | None) -> None:
        """Take stored rows as the state; windows that are final at the stored watermark count as written."""
        self.apply_panes(panes)
        self.apply_bookings(bookings)
        self.apply_actors(actors)
        for pending in (*self._touched.values(), *self._unsettled.values()):
            pending.clear()
        self._watermark = UNKNOWN if watermark_us is None else watermark_us

    def apply_panes(self, frame: pl.DataFrame) -> None:
        """Usage panes: absolute totals of one input partition's share."""
        if frame.is_empty():
            return
        sums = np.zeros((len(frame), len(MEASURES)), np.int64)
        sums[:, : len(USAGE_MEASURES)] = frame.select(USAGE_MEASURES).to_numpy()
        series, number = [], (frame["pane_start"] // PANE_US).to_numpy()
        for i, (kpart, *dimensions, start) in enumerate(frame.select("kpart", *PANE_KEY).iter_rows()):
            share = (kpart, *dimensions, start)
            row = sums[i].copy()
            if (held := self._shares.get(share)) is not None:
                sums[i] -= held
            self._shares[share] = row
            series.append(self._groups.series((*dimensions, "")))
        self._add(np.array(series, np.int64), number, sums)

    def apply_bookings(self, frame: pl.DataFrame) -> None:
        """All present bookings of each item that appears; rows of kind 'moved' are marks of panes that it has left."""
        if frame.is_empty():
            return
        sums = np.zeros((len(frame), len(MEASURES)), np.int64)
        sums[:, len(USAGE_MEASURES) :] = frame.select(OUTCOME_MEASURES).to_numpy()
        numbers = (frame["at"] // PANE_US).to_numpy()
        series = np.array(
            [self._groups.series(row) for row in frame.select("tenant", "team", "tool", "model", "work_class").iter_rows()], np.int64
        )
        items: dict[tuple[Any, ...], list[int]] = {}
        for i, item in enumerate(frame.select("kpart", "tenant", "work_item_id").iter_rows()):
            items.setdefault(item, []).append(i)
        changes = []
        for item, rows in items.items():
            if (held := self._bookings.get(item)) is not None:
                changes.append((held[0], held[1], -held[2]))
            self._bookings[item] = (series[rows], numbers[rows], sums[rows])
            changes.append(self._bookings[item])
        self._add(*(np.concatenate(part) for part in zip(*changes, strict=True)))

    def apply_actors(self, frame: pl.DataFrame) -> None:
        """Actors of panes: a set that grows."""
        if frame.is_empty():
            return
        series = np.array([self._groups.series((*row, "")) for row in frame.select("tenant", "team", "tool", "model").iter_rows()], np.int64)
        number = (frame["pane_start"] // PANE_US).to_numpy()
        numbers = self._actor_numbers
        actors = np.array([numbers.setdefault(a, len(numbers)) for a in frame["actor_hash"].to_list()], np.int64)
        new = self._pane_stays.add(series, number, actors)
        series, number, actors = series[new], number[new], actors[new]
        for family in FAMILIES[1:]:
            group, row = self._expanded(series)
            self._slide_stays[family.size].add(group, number[row] * PANE_US // family.slide_us, actors[row])
        self._touch(series, number)

    def _expanded(self, series: Ints) -> tuple[Ints, Ints]:
        """(group, row) of each series in each grouping."""
        table = np.array(self._groups.of_series, np.int64).reshape(-1, len(GROUPINGS))
        return table[series].ravel(), np.repeat(np.arange(len(series)), len(GROUPINGS))

    def _add(self, series: Ints, number: Ints, sums: Ints) -> None:
        self._panes.add(key(series, number), sums)
        group, row = self._expanded(series)
        for family in FAMILIES[1:]:
            bucket = number[row] * PANE_US // family.slide_us
            for column in range(len(GROUPINGS)):  # one grouping at a time: eight times less memory than all at once
                at = slice(column, None, len(GROUPINGS))
                self._slides[family.size].add(key(group[at], bucket[at]), sums)
        self._touch(series, number)

    def _touch(self, series: Ints, number: Ints) -> None:
        if not len(series):
            return
        group, row = self._expanded(series)
        for family in FAMILIES:
            touched = np.unique(key(group, number[row] * PANE_US // family.slide_us))
            owners, buckets = group_of(touched), number_of(touched)
            self._touched[family.size].append((owners, buckets, self._final_to(family)))
            self._unsettled[family.size].append((owners, buckets))

    # --- windows --------------------------------------------------------------------------------------------------------------------

    def _final_to(self, family: Family) -> int:
        """Number of the latest window that is final at the watermark."""
        return UNKNOWN if self._watermark == UNKNOWN else (self._watermark - self._lateness_us) // family.slide_us

    def advance(self, watermark_us: int, now_us: int) -> Iterator[pl.DataFrame]:
        """Windows to write at a watermark (never lower than the one before) and a wall time, as frames of WINDOW_SCHEMA.

        The engine counts them as written: the caller writes every frame before it advances again.
        """
        final_before = {f.size: self._final_to(f) for f in FAMILIES}
        self._watermark = max(self._watermark, watermark_us)
        for family in FAMILIES:
            first, last = final_before[family.size] + 1, self._final_to(family)
            yield from self._finals(family, first, last, now_us)
            yield from self._revisions(family, now_us)
            yield from self._provisionals(family, last, now_us)

    def _finals(self, family: Family, first: int, last: int, now_us: int) -> Iterator[pl.DataFrame]:
        cells = self._cells(family)
        if cells.first_bucket is None:
            return
        first = max(first, cells.first_bucket + 1)
        last_filled = min(last, cells.last_bucket + family.count)
        chunk = max(1, ROWS_PER_FRAME // max(1, len(self._groups.names)))
        for begin in range(first, last_filled + 1, chunk):
            end = min(begin + chunk - 1, last_filled)
            yield from self._frame(family, self._all_windows(family, begin, end), begin, end, "final", now_us)
        shown = self._first_shown[family.size]
        for place in [place for place in shown if (place & 0xFFFFFFFF) <= last]:
            del shown[place]

    def _revisions(self, family: Family, now_us: int) -> Iterator[pl.DataFrame]:
        pending = self._touched[family.size]
        late = []
        for owners, buckets, final_to in pending:
            starts, stops = clip(key(owners, buckets + 1), key(owners, buckets + family.count), 0, max(final_to, 0))
            if final_to != UNKNOWN and (held := starts <= stops).any():
                late.append((starts[held], stops[held]))
        if not late:
            pending.clear()
            return
        if now_us - self._revised_at[family.size] < REVISIONS_EVERY_US:
            return
        pending.clear()
        self._revised_at[family.size] = now_us
        windows = places(*(np.concatenate(part) for part in zip(*late, strict=True)))
        for begin in range(0, len(windows), ROWS_PER_FRAME):
            part = windows[begin : begin + ROWS_PER_FRAME]
            numbers = number_of(part)
            for frame in self._frame(family, part, int(numbers.min()), int(numbers.max()), "final", now_us):
                if not (revised := self._revised(frame)).is_empty():
                    yield revised

    def _revised(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows that differ from what is stored, with their revision counted on."""
        names = ["tenant", "grouping", "team", "tool", "model", "work_class", "size", "window_end"]
        stored = self._previous(frame.select(names)).with_columns(pl.col("window_end").cast(TIME))
        compared = [*MEASURES, "contributors"]
        joined = frame.join(stored.select(*names, *compared, "revision", "backfill"), on=names, how="left", suffix="_stored")
        known = pl.col("revision_stored").is_not_null()
        same = pl.all_horizontal(pl.col(name) == pl.col(f"{name}_stored") for name in compared)
        empty = pl.all_horizontal(pl.col(name) == 0 for name in compared)
        return (
            joined.filter(~pl.when(known).then(same).otherwise(empty))
            .with_columns(
                revision=(pl.col("revision_stored").fill_null(0) + 1).cast(pl.UInt32),
                backfill=pl.col("backfill_stored").fill_null(pl.col("backfill")).cast(pl.UInt8),
            )
            .select(WINDOW_SCHEMA.names())
        )

    def _provisionals(self, family: Family, final_to: int, now_us: int) -> Iterator[pl.DataFrame]:
        pending = self._unsettled[family.size]
        last = self._watermark // family.slide_us + 1
        first_new = max(self._shown_to[family.size], final_to) + 1
        if not pending and first_new > last:
            return
        if now_us - self._shown_at[family.size] < family.provisional_every_us:
            return
        stretches = [clip(key(owners, buckets + 1), key(owners, buckets + family.count), final_to + 1, last) for owners, buckets in pending]
        pending.clear()
        windows = [places(*stretch) for stretch in stretches]
        if first_new <= last:
            windows.append(self._all_windows(family, first_new, last))
        self._shown_to[family.size], self._shown_at[family.size] = last, now_us
        wanted = np.unique(np.concatenate(windows)) if windows else np.zeros(0, np.int64)
        yield from self._frame(family, wanted, final_to + 1, last, "provisional", now_us)

    def _cells(self, family: Family) -> Cells:
        return self._slides.get(family.size, self._panes)

    def _group_cells(self, family: Family, first: int, last: int) -> tuple[Ints, Ints, Ints]:
        """Sums per (group, bucket) between two buckets; of the shortest family they are made from the panes."""
        owners, buckets, sums = self._cells(family).between(first, last)
        if family.size in self._slides:
            return owners, buckets, sums
        group, row = self._expanded(owners)
        return group, buckets[row], sums[row]

    def _all_windows(self, family: Family, first: int, last: int) -> Ints:
        """Every window numbered first..last that holds a pane."""
        owners, buckets, _ = self._group_cells(family, first - family.count, last - 1)
        return places(*clip(key(owners, buckets + 1), key(owners, buckets + family.count), first, last))

    def _frame(self, family: Family, windows: Ints, first: int, last: int, status: str, now_us: int) -> Iterator[pl.DataFrame]:
        """The given windows, all numbered first..last, as one frame; none when there are none."""
        if not len(windows):
            return
        owners, buckets, sums = self._group_cells(family, first - family.count, last - 1)
        groups, numbers = group_of(windows), number_of(windows)
        running = RunningSums(key(owners, buckets), sums.T)
        totals = running.sums(*running.between(windows - family.count, windows))
        contributors = self._contributors(family, groups, numbers, first, last)
        ends = numbers * family.slide_us
        late = (now_us - ends > HOUR_US).astype(np.uint8)
        shown = self._first_shown[family.size]
        if shown or status == "provisional":
            late = np.array([shown.get(w, late[i]) for i, w in enumerate(windows.tolist())], np.uint8)
        if status == "provisional":
            shown.update(zip(windows.tolist(), late.tolist(), strict=True))
        names = pl.DataFrame(self._groups.names, schema=["grouping", *DIMENSIONS], orient="row")[groups]
        yield names.with_columns(
            size=pl.lit(family.size),
            window_end=pl.Series(ends).cast(TIME),
            **{name: pl.Series(totals[i]) for i, name in enumerate(MEASURES)},
            contributors=pl.Series(contributors),
            status=pl.lit(status),
            revision=pl.lit(0, pl.UInt32),
            backfill=pl.Series(late),
            watermark=pl.lit(self._watermark).cast(TIME),
        ).select(WINDOW_SCHEMA.names())

    def _contributors(self, family: Family, groups: Ints, numbers: Ints, first: int, last: int) -> Ints:
        stays = self._slide_stays.get(family.size, self._pane_stays)
        owners, actors, buckets = stays.between(first - family.count, last - 1)
        if family.size not in self._slide_stays:
            expanded, row = self._expanded(owners)
            owners, actors, buckets = expanded, actors[row], buckets[row]
        presence = Presence(owners, actors, buckets, family.count)
        plain = np.array(self._groups.without_class, np.int64)
        return presence.counts(key(plain[groups], numbers))
