"""The shape of `value_windows`: four families of rolling windows over eight groupings (DESIGN.md §6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from streams.windows.measures import DAY_US, HOUR_US, MEASURES, PANE_US

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60_000_000


@dataclass(frozen=True)
class Family:
    """Windows of one size. Window number e ends (exclusively) at e * slide and holds the `count` slide-long buckets before its end."""

    size: str
    slide_us: int
    count: int
    provisional_every_us: int
    """Least wall time between two writes of provisional windows."""


FAMILIES: Final = (
    Family("1h", PANE_US, 12, SECOND_US),
    Family("24h", HOUR_US, 24, MINUTE_US),
    Family("7d", 6 * HOUR_US, 28, MINUTE_US),
    Family("28d", DAY_US, 28, MINUTE_US),
)
REVISIONS_EVERY_US: Final = MINUTE_US

DIMENSIONS: Final = ("tenant", "team", "tool", "model", "work_class")

GROUPINGS: Final[dict[str, tuple[str, ...]]] = {
    "tenant": ("tenant",),
    "team": ("tenant", "team"),
    "team_tool": ("tenant", "team", "tool"),
    "team_model": ("tenant", "team", "model"),
    "team_class": ("tenant", "team", "work_class"),
    "tenant_tool": ("tenant", "tool"),
    "tenant_model": ("tenant", "model"),
    "tenant_class": ("tenant", "work_class"),
}
"""Dimensions that a grouping keeps; the others are '' and summed over."""

WITHOUT_CLASS: Final = {"team_class": "team", "tenant_class": "tenant"}
"""Whose contributors a grouping by work class takes: usage has no class, its actors work for the group as a whole."""

TIME: Final = pl.Datetime("us", "UTC")

WINDOW_KEY: Final = ("tenant", "grouping", "team", "tool", "model", "work_class", "size", "window_end")

WINDOW_SCHEMA: Final = pl.Schema(
    {
        **dict.fromkeys(WINDOW_KEY[:-1], pl.String()),
        "window_end": TIME,
        **dict.fromkeys(MEASURES, pl.Int64()),
        "contributors": pl.Int64(),
        "status": pl.String(),
        "revision": pl.UInt32(),
        "backfill": pl.UInt8(),
        "watermark": TIME,
    }
)
"""Columns of `value_windows` but `written_at` and `version`, which its writer adds."""
