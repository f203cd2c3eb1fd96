"""The keys of the result rows that usage makes."""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from streams.windows.measures import PANE_US

ITEM_KEY: Final = ["tenant", "work_item_id"]
LINE_KEY: Final = ["tenant", "work_item_id", "usage_day", "team", "tool", "model"]
PANE_KEY: Final = ["tenant", "team", "tool", "model", "pane_start"]
ACTOR_KEY: Final = [*PANE_KEY, "actor_hash"]

LINE_SCHEMA: Final[dict[str, Any]] = dict.fromkeys(LINE_KEY, pl.String) | {"usage_day": pl.Int64}
PANE_SCHEMA: Final[dict[str, Any]] = dict.fromkeys(PANE_KEY, pl.String) | {"pane_start": pl.Int64}
ACTOR_SCHEMA: Final[dict[str, Any]] = {**PANE_SCHEMA, "actor_hash": pl.UInt64}


def pane_start() -> pl.Expr:
    """Start of the base pane of an event, us."""
    return (pl.col("occurred_at") // PANE_US * PANE_US).alias("pane_start")
