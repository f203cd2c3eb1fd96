"""The window agent's state in ClickHouse: panes, bookings and actors of its tenants, what it wrote, and how far it has come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from streams.join.input import OFFSET_BITS
from streams.store.reading import Stored
from streams.store.rows import TIME
from streams.windows.families import WINDOW_KEY

MOST_PREVIOUS: Final = 500_000
MOST_ENDS: Final = 2_000
MOST_TEAMS: Final = 1_000
"""Bound the answer and the parameters of a query for stored windows."""

Position = tuple[int, int, int, int, int]
"""Input partition, next offsets of usage and items, their watermarks (us)."""

_POSITION: Final = pl.Struct(
    {
        "kpart": pl.UInt16,
        "usage_next": pl.Int64,
        "items_next": pl.Int64,
        "usage_watermark": TIME,
        "items_watermark": TIME,
    }
)


@dataclass(frozen=True, slots=True)
class WindowCheckpoint:
    """How far the windows of one partition of pane-updates have come. `incarnation`: which life of the topic the offset belongs to."""

    incarnation: int
    next_offset: int
    watermark: int
    positions: list[Position]

    @property
    def place(self) -> tuple[int, int, int]:
        """Never goes back."""
        return self.incarnation, self.next_offset, self.watermark


def tenants(stored: Stored) -> list[str]:
    """Tenants that have any result."""
    return stored.read("windows/tenants")["tenant"].to_list()


def load_checkpoints(stored: Stored, uparts: Sequence[int]) -> dict[int, WindowCheckpoint]:
    """The last checkpoints of partitions of pane-updates, of those that have one."""
    found = {}
    for row in stored.read("windows/checkpoints", uparts=list(uparts)).to_dicts():
        positions = [tuple(p.values()) if isinstance(p, dict) else tuple(p) for p in row["positions"]]
        incarnation = row["version"] >> OFFSET_BITS
        found[row["upart"]] = WindowCheckpoint(incarnation, row["next_offset"], row["watermark"], positions)
    return found


def stored_versions(stored: Stored) -> dict[int, int]:
    """By input partition the version of the last flush whose rows were all stored. Ask before the tenants that came with it, and their state."""
    return dict(stored.read("windows/versions").iter_rows())


def load_state(stored: Stored, names: Sequence[str], since_us: int) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Panes, bookings and actors of tenants from a time on (all bookings of an item that has one)."""
    panes, bookings, actors = (
        stored.read(f"windows/{name}", tenants=list(names), since=since_us) for name in ("panes", "bookings", "actors")
    )
    return panes, bookings, actors


def stored_sums(
    stored: Stored, tenants: Sequence[str], slide_us: int, buckets: Sequence[int]
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Usage and bookings, summed by series and bucket, and actors, of tenants in some buckets (numbers of slides since 1970)."""
    where = {"since": min(buckets) * slide_us, "until": (max(buckets) + 1) * slide_us, "buckets": list(buckets)}
    usage, outcomes, actors = (
        stored.read(f"windows/{name}", tenants=list(tenants), slide_us=slide_us, **where)
        for name in ("usage_sums", "outcome_sums", "actors_seen")
    )
    return usage, outcomes, actors


def shown_windows(stored: Stored, names: Sequence[str]) -> pl.DataFrame:
    """Provisional windows of tenants: WINDOW_KEY, backfill, and the watermark (us) at which each was written."""
    return stored.read("windows/shown", tenants=list(names)).with_columns(pl.col("window_end").cast(TIME))


def previous_windows(stored: Stored, keys: pl.DataFrame) -> pl.DataFrame:
    """Stored rows of the windows of one size that `keys` (WINDOW_KEY, not empty) names; reads at most about MOST_PREVIOUS rows at a time."""
    return pl.concat([_previous(stored, part) for part in _parts(keys)])


def _previous(stored: Stored, keys: pl.DataFrame) -> pl.DataFrame:
    ends = (keys["window_end"].cast(pl.Int64) // 1_000_000).unique().sort().to_list()
    names = {f"{name}s": keys[name].unique(maintain_order=True).to_list() for name in ("tenant", "grouping", "team")}
    found = stored.read("windows/previous", **names, size=keys["size"][0], first=ends[0], last=ends[-1], ends=ends)
    return found.with_columns(pl.col("window_end").cast(TIME)).join(keys, on=list(WINDOW_KEY), how="semi")


def _parts(keys: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Keys by at most MOST_ENDS ends, MOST_TEAMS teams and so few ends that these with all groups named are MOST_PREVIOUS."""
    teams = pl.col("team").rank("dense") // MOST_TEAMS
    for of_teams in keys.with_columns(teams=teams).partition_by("teams", include_key=False):
        groups = of_teams.select(WINDOW_KEY[:-2]).n_unique()
        most = min(max(MOST_PREVIOUS // groups, 1), MOST_ENDS)
        ends = (pl.col("window_end").rank("dense") - 1) // most
        yield from of_teams.with_columns(ends=ends).partition_by("ends", include_key=False)


def window_version(incarnation: int, next_offset: int) -> int:
    """Version of what is written after updates up to an offset of pane-updates."""
    return incarnation << OFFSET_BITS | next_offset


def window_rows(frame: pl.DataFrame, version: int, now_us: int) -> pl.DataFrame:
    """Rows of value_windows."""
    return frame.with_columns(written_at=pl.lit(now_us).cast(TIME), version=pl.lit(version, pl.UInt64))


def window_checkpoint_rows(reached: Mapping[int, WindowCheckpoint], now_us: int) -> pl.DataFrame:
    """Rows of window_checkpoints, by partition of pane-updates."""
    names = [field.name for field in _POSITION.fields]
    all_of = list(reached.values())
    positions = [[dict(zip(names, p, strict=True)) for p in one.positions] for one in all_of]
    versions = [window_version(one.incarnation, one.next_offset) for one in all_of]
    return pl.DataFrame(
        {
            "upart": pl.Series(list(reached), dtype=pl.UInt16),
            "next_offset": [one.next_offset for one in all_of],
            "watermark": pl.Series([one.watermark for one in all_of]).cast(TIME),
            "positions": pl.Series(positions, dtype=pl.List(_POSITION)),
            "written_at": pl.Series([now_us] * len(all_of)).cast(TIME),
            "version": pl.Series(versions, dtype=pl.UInt64),
        }
    )
