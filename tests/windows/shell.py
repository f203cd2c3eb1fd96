"""A shell around the engine for tests: a log of updates, stored windows, restarts, and the checks that each written row must pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from streams.windows.engine import WindowEngine, kept_from
from streams.windows.families import TIME, WINDOW_KEY, WINDOW_SCHEMA
from tests.windows.reference import (
    DAY,
    MINUTE,
    SIZES,
    Amounts,
    Booking,
    Key,
    Share,
    Truth,
    actor_frame,
    amounts_of,
    booking_frame,
    pane_frame,
    read_rows,
    sums_frames,
    windows,
)

LATENESS = 10 * MINUTE

Update = dict[Share, Amounts] | dict[tuple[int, str, str], list[Booking]] | set[tuple[Share, int]]


@dataclass
class Shell:
    """Consumes `log` in order and writes to `stored`, as the window agent does with Kafka and ClickHouse."""

    log: list[tuple[str, Update]] = field(default_factory=list)
    stored: dict[Key, dict[str, int | str]] = field(default_factory=dict)
    next: int = 0
    committed: int = 0
    watermark: int | None = None
    now: int = 0
    horizon: int = 7 * DAY
    ahead: int = 0
    """So many updates are in the store before they are consumed."""
    held: int = 0
    """The store has had the rows of so many updates."""
    readings: int = 0
    """How often cold windows were read."""

    def __post_init__(self) -> None:
        self.engine = WindowEngine(LATENESS, self.horizon, self.previous, self.sums)
        self.engine.load(*self._frames(Truth()), {}, watermark_us=None)

    @staticmethod
    def _frames(truth: Truth) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        versions = truth.versions
        return pane_frame(truth.panes, versions), booking_frame(truth.items, versions), actor_frame(truth.actors)

    def truth(self, until: int) -> Truth:
        """What the first `until` updates say."""
        truth = Truth()
        for version, (kind, update) in enumerate(self.log[:until], 1):
            target = getattr(truth, kind)
            target.update(update)
            truth.versions |= dict.fromkeys(update, version)  # type: ignore[arg-type]
        return truth

    def present(self) -> Truth:
        """What the store holds of the updates: all that were consumed, and perhaps more; never less than before."""
        self.held = max(self.held, min(self.next + self.ahead, len(self.log)))
        return self.truth(self.held)

    def sums(
        self, tenants: Sequence[str], slide: int, buckets: Sequence[int]
    ) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """What the store holds in some buckets."""
        assert len(tenants) == len(set(tenants)) > 0
        assert len(buckets) == len(set(buckets)) > 0
        self.readings += 1
        return sums_frames(self.present(), set(tenants), slide, set(buckets))

    def previous(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Stored rows of some windows of one size; ends as Int64 us, as a query gives them."""
        assert keys["size"].n_unique() == 1
        wanted = [
            Key(*row) for row in keys.with_columns(pl.col("window_end").cast(pl.Int64)).select(WINDOW_KEY).iter_rows()
        ]
        assert len(wanted) == len(set(wanted))
        rows = [dict(zip(WINDOW_KEY, key, strict=True)) | self.stored[key] for key in wanted if key in self.stored]
        return pl.DataFrame(rows, schema={**WINDOW_SCHEMA, "window_end": pl.Int64, "watermark": pl.Int64}).drop(
            "watermark"
        )

    def consume(self, count: int) -> None:
        """Apply the next updates of the log."""
        for _ in range(min(count, len(self.log) - self.next)):
            self._apply(self.next)
            self.next += 1

    def hear_again(self, back: int) -> None:
        """A worker that lost its partition publishes an update that was published before, after newer ones."""
        if back <= self.next:
            self._apply(self.next - back)

    def _apply(self, index: int) -> None:
        kind, update = self.log[index]
        versions: Any = dict.fromkeys(update, index + 1)
        if kind == "panes":
            self.engine.apply_panes(pane_frame(update, versions))  # type: ignore[arg-type]
        elif kind == "items":
            self.engine.apply_bookings(booking_frame(update, versions))  # type: ignore[arg-type]
        else:
            self.engine.apply_actors(actor_frame(update))  # type: ignore[arg-type]

    def advance(self, watermark: int, now: int, *, flush: bool = False) -> list[dict[Key, dict[str, int | str]]]:
        """Write what changed; returns the rows of each frame."""
        self.watermark, self.now = max(watermark, self.watermark or 0), max(now, self.now)
        frames = []
        for frame in self.engine.advance(self.watermark, self.now, flush=flush):
            assert frame.schema == WINDOW_SCHEMA
            assert frame["window_end"].dtype == TIME
            rows = dict(read_rows(frame))
            assert 0 < len(rows) == len(frame) <= 200_000
            for key, row in rows.items():
                self._check(key, row)
            self.stored |= rows
            frames.append(rows)
        if not self.engine.revisions_wait:
            self.committed = self.next
        return frames

    def _check(self, key: Key, row: dict[str, int | str]) -> None:
        assert self.watermark is not None
        slide = SIZES[key.size][1]
        final = key.end + LATENESS <= self.watermark
        assert row["status"] == ("final" if final else "provisional")
        assert key.end % slide == 0
        assert final or key.end - slide <= self.watermark
        assert row["watermark"] == self.watermark
        before = self.stored.get(key)
        if before is None:
            assert row["backfill"] == int(self.now - key.end > 60 * MINUTE)
        else:
            assert row["backfill"] == before["backfill"]
            assert not (before["status"] == "final" and not final), "a final window never becomes provisional again"
            if before["status"] == "final":
                changed = amounts_of(before) != amounts_of(row)
                assert int(row["revision"]) == int(before["revision"]) + changed

    def restart(self) -> None:
        """Another process: the stored state, ahead of the updates or not, and position and watermark of the last commit."""
        self.engine = WindowEngine(LATENESS, self.horizon, self.previous, self.sums)
        kept = self.present().since(kept_from(self.watermark, LATENESS, self.horizon))
        versions = dict.fromkeys((0, 1), self.held)
        self.engine.load(*self._frames(kept), versions, watermark_us=self.watermark)
        self.next = self.committed

    def expect(self) -> None:
        """Everything consumed and flushed: final and provisional windows are exactly those of the naive reference."""
        assert self.watermark is not None
        expected = {
            key: amounts
            for key, amounts in windows(self.truth(self.next)).items()
            if key.end - SIZES[key.size][1] <= self.watermark
        }
        written = {key: amounts for key, row in self.stored.items() if (amounts := amounts_of(row))}
        assert written == expected
        for key in written:
            assert self.stored[key]["status"] == ("final" if key.end + LATENESS <= self.watermark else "provisional")
