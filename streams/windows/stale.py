"""Windows that an earlier process showed as provisional and that hold nothing any more."""

from __future__ import annotations

import polars as pl

from streams.windows.families import FAMILIES, TIME, WINDOW_KEY, WINDOW_SCHEMA
from streams.windows.measures import MEASURES


def emptied(shown: pl.DataFrame, watermark_us: int, lateness_us: int) -> pl.DataFrame:
    """All-zero rows (WINDOW_SCHEMA) of windows (WINDOW_KEY, backfill) that begin their last slide before the watermark.

    A work item that is booked elsewhere leaves no trace once its row is written again, so the provisional windows of the place that it left
    cannot be found from stored panes and bookings: they are those that were shown and that no pane or booking makes anybody write.
    """
    slide = pl.col("size").replace_strict({family.size: family.slide_us for family in FAMILIES}, return_dtype=pl.Int64)
    end = pl.col("window_end").cast(pl.Int64)
    final = end + lateness_us <= watermark_us
    empty = shown.filter(end - slide <= watermark_us).with_columns(
        *(pl.lit(0, pl.Int64).alias(name) for name in (*MEASURES, "contributors")),
        pl.when(final).then(pl.lit("final")).otherwise(pl.lit("provisional")).alias("status"),
        pl.lit(0, pl.UInt32).alias("revision"),
        pl.lit(watermark_us).cast(TIME).alias("watermark"),
    )
    return empty.select(*WINDOW_KEY, *WINDOW_SCHEMA.names()[len(WINDOW_KEY) :]).cast(dict(WINDOW_SCHEMA))  # type: ignore[arg-type]
