"""The window agent's state in ClickHouse: panes, bookings and actors of its tenants, what it wrote, and how far it has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from streams.store.reading import Stored
from streams.store.rows import TIME
from streams.windows.families import WINDOW_KEY

INCARNATION: Final = 0
OFFSET_BITS: Final = 40

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
    """How far the windows of one partition of pane-updates have come."""

    next_offset: int
    watermark: int
    positions: list[Position]


def tenants(stored: Stored) -> list[str]:
    """Tenants that have any result."""
    return stored.read("windows/tenants")["tenant"].to_list()


def load_checkpoint(stored: Stored, upart: int) -> WindowCheckpoint | None:
    """The last checkpoint of a partition of pane-updates."""
    rows = stored.read("windows/checkpoint", upart=upart).to_dicts()
    if not rows:
        return None
    positions = [tuple(p.values()) if isinstance(p, dict) else tuple(p) for p in rows[0]["positions"]]
    return WindowCheckpoint(rows[0]["next_offset"], rows[0]["watermark"], positions)


def load_state(stored: Stored, names: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Panes, bookings and actors of tenants."""
    panes, bookings, actors = (
        stored.read(f"windows/{name}", tenants=list(names)) for name in ("panes", "bookings", "actors")
    )
    return panes, bookings, actors


def shown_windows(stored: Stored, names: Sequence[str]) -> pl.DataFrame:
    """Provisional windows of tenants: WINDOW_KEY, backfill, and the watermark (us) at which each was written."""
    return stored.read("windows/shown", tenants=list(names)).with_columns(pl.col("window_end").cast(TIME))


def previous_windows(stored: Stored, keys: pl.DataFrame) -> pl.DataFrame:
    """Stored rows of the windows of one size that `keys` (WINDOW_KEY) names."""
    ends = (keys["window_end"].cast(pl.Int64) // 1_000_000).unique().to_list()
    found = stored.read("windows/previous", tenants=keys["tenant"].unique().to_list(), size=keys["size"][0], ends=ends)
    return found.with_columns(pl.col("window_end").cast(TIME)).join(keys, on=list(WINDOW_KEY), how="semi")


def window_rows(frame: pl.DataFrame, next_offset: int, now_us: int) -> pl.DataFrame:
    """Rows of value_windows."""
    return frame.with_columns(
        written_at=pl.lit(now_us).cast(TIME), version=pl.lit(INCARNATION << OFFSET_BITS | next_offset, pl.UInt64)
    )


def window_checkpoint_row(
    upart: int, next_offset: int, watermark_us: int, positions: Sequence[Position], now_us: int
) -> pl.DataFrame:
    """The row of window_checkpoints."""
    names = [field.name for field in _POSITION.fields]
    return pl.DataFrame(
        {
            "upart": pl.Series([upart], dtype=pl.UInt16),
            "next_offset": [next_offset],
            "watermark": pl.Series([watermark_us]).cast(TIME),
            "positions": pl.Series([[dict(zip(names, p, strict=True)) for p in positions]], dtype=pl.List(_POSITION)),
            "written_at": pl.Series([now_us]).cast(TIME),
            "version": pl.Series([INCARNATION << OFFSET_BITS | next_offset], dtype=pl.UInt64),
        }
    )
