"""What the alert agent reads of the store, on the engine."""

from __future__ import annotations

import polars as pl

from streams.detect.history import KEPT_US, STEP_US
from streams.detect.observed import final_rows
from streams.detect.silence import PANE_US, RECENT
from streams.events.keys import partition_of
from streams.store.alerts import load_history
from streams.store.client import Client
from streams.store.reading import ClickHouseStored
from streams.store.windows import window_rows
from streams.windows.families import WINDOW_SCHEMA
from streams.windows.measures import DAY_US
from tests.detect.made import T0, Company, Hour


def test_the_history_is_read_in_the_steps_that_it_keeps_and_what_is_not_judged_whole(migrated: Client) -> None:
    windows = Company(["web", "ops"], 60 * 24, lambda team, hour: Hour(spend=hour % 7) if hour % 5 else None).windows()
    old = windows.with_columns(pl.lit("provisional").alias("status"), pl.col("window_end") + 300_000_000)
    for number, frame in enumerate((old, windows)):
        missing = [
            pl.lit(0 if WINDOW_SCHEMA[name] != pl.String else "").alias(name)
            for name in WINDOW_SCHEMA
            if name not in frame.columns
        ]
        rows = frame.with_columns(missing).select(pl.col(name).cast(kind) for name, kind in WINDOW_SCHEMA.items())
        migrated.insert_arrow("value_windows", window_rows(rows, number, 1).to_arrow())
    watermark, wpart = T0 + 60 * DAY_US, partition_of("acme", 4)
    found = list(final_rows(load_history(ClickHouseStored(migrated), wpart, 4, watermark)))
    since = watermark - KEPT_US
    expected = [
        row
        for row in final_rows(windows)
        if row.end_us > watermark
        or (row.end_us >= since and row.end_us % STEP_US[row.size] == 0)
        or (row.end_us > watermark - RECENT * PANE_US and row.size == "1h" and len(row.values) > 2)
    ]
    assert any(row.end_us > watermark for row in expected)  # not judged yet: their messages may be lost
    assert sorted(found) == sorted(expected)
    assert 1_000 < len(expected) < len(windows) / 4
    assert load_history(ClickHouseStored(migrated), (wpart + 1) % 4, 4, watermark).is_empty()
