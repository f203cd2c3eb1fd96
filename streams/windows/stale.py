"""Windows that an earlier process showed as provisional and that hold nothing any more."""

from __future__ import annotations

import polars as pl

from streams.windows.families import FAMILIES, TIME, WINDOW_KEY, WINDOW_SCHEMA
from streams.windows.measures import MEASURES

_SLIDE = pl.col("size").replace_strict({family.size: family.slide_us for family in FAMILIES}, return_dtype=pl.Int64)


class Inherited:
    """Provisional windows (WINDOW_KEY, backfill) of an earlier process, until each of them has been written once more as final.

    A work item that is booked elsewhere leaves no trace once its row is written again, so the provisional windows of the place that it left
    cannot be found from stored panes and bookings: they are those that were shown and that no pane or booking makes anybody write.
    """

    def __init__(self, shown: pl.DataFrame, lateness_us: int) -> None:
        self._left = shown.select(*WINDOW_KEY, "backfill", emptied=pl.lit(False))
        self._lateness_us = lateness_us

    def written(self, frame: pl.DataFrame) -> None:
        """These windows (WINDOW_KEY) hold something: the engine looks after them."""
        if not self._left.is_empty():
            self._left = self._left.join(frame, on=WINDOW_KEY, how="anti")

    def due(self, watermark_us: int) -> pl.DataFrame:
        """All-zero rows (WINDOW_SCHEMA) of the windows left that begin their last slide before the watermark: each once as provisional, once as final.

        Ask when the engine has written all it has to write at this watermark.
        """
        end = pl.col("window_end").cast(pl.Int64)
        final = end + self._lateness_us <= watermark_us
        begun = end - _SLIDE <= watermark_us
        rows = self._left.filter(final | (begun & ~pl.col("emptied")))
        self._left = self._left.filter(~final).with_columns(emptied=pl.col("emptied") | begun)
        empty = rows.with_columns(
            *(pl.lit(0, pl.Int64).alias(name) for name in (*MEASURES, "contributors")),
            pl.when(final).then(pl.lit("final")).otherwise(pl.lit("provisional")).alias("status"),
            pl.lit(0, pl.UInt32).alias("revision"),
            pl.lit(watermark_us).cast(TIME).alias("watermark"),
        )
        return empty.select(WINDOW_SCHEMA.names()).cast(dict(WINDOW_SCHEMA))  # type: ignore[arg-type]
