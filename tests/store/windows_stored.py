"""Made windows as stored ones."""

from __future__ import annotations

import polars as pl

from streams.store.client import Client
from streams.store.windows import window_rows
from streams.windows.families import WINDOW_SCHEMA


def store_windows(client: Client, windows: pl.DataFrame, version: int = 1) -> None:
    """Write rows with the columns that alerts read; the others are empty."""
    missing = [
        pl.lit("" if kind == pl.String else 0).alias(name)
        for name, kind in WINDOW_SCHEMA.items()
        if name not in windows.columns
    ]
    rows = windows.with_columns(missing).select(pl.col(name).cast(kind) for name, kind in WINDOW_SCHEMA.items())
    client.insert_arrow("value_windows", window_rows(rows, version, 1).to_arrow())
