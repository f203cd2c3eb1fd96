"""The alert agent's state in ClickHouse: open alerts, recent windows, how far it has judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from streams.detect.history import KEPT_US, STEP_US
from streams.detect.probes import NAMES as PROBE_NAMES
from streams.detect.silence import PANE_US, RECENT
from streams.events.keys import partition_of
from streams.store.reading import Stored
from streams.store.rows import TIME


def load_watermark(stored: Stored, wpart: int) -> int:
    """Watermark (us) up to which a partition of value-windows has been judged; 0: never."""
    rows = stored.read("alerts/checkpoint", wpart=wpart)
    return 0 if rows.is_empty() else int(rows["watermark"][0])


def load_alerts(stored: Stored, wpart: int, partitions: int, watermark_us: int) -> pl.DataFrame:
    """Alerts on windows of the partition's tenants that are open or were resolved lately; those of probes are no concern of the engine."""
    recent = stored.read("alerts/recent", since=watermark_us - KEPT_US)
    return _of_partition(recent.filter(~pl.col("rule").is_in(sorted(PROBE_NAMES))), wpart, partitions)


def load_history(stored: Stored, wpart: int, partitions: int, watermark_us: int, lateness_us: int = 0) -> pl.DataFrame:
    """Windows of the partition's tenants that the baselines need, and those that are not judged at the watermark: their messages may be lost."""
    steps = {size: step_us // 1_000_000 for size, step_us in STEP_US.items()}
    windows = stored.read(
        "alerts/history",
        since_s=(watermark_us - KEPT_US) // 1_000_000,
        sizes=list(steps),
        steps_s=list(steps.values()),
        judged_s=(watermark_us - lateness_us) // 1_000_000,
        recent_s=(watermark_us - lateness_us - RECENT * PANE_US) // 1_000_000,
    )
    return _of_partition(windows, wpart, partitions)


class Judged(NamedTuple):
    """Ends (us) of the final windows of all tenants."""

    first: int
    last: int
    last_hour: int
    """Of the windows of an hour: where usage ends."""


def judged_span(stored: Stored) -> Judged | None:
    """From when to when windows can be judged; None if none is final."""
    *ends_s, windows = stored.read("alerts/span").row(0)
    return Judged(*(end_s * 1_000_000 for end_s in ends_s)) if windows else None


def load_stretch(
    stored: Stored, tenant: str, after_us: int, until_us: int, *, whole_us: int = 0, teams: Sequence[str] = ()
) -> pl.DataFrame:
    """Final windows of a tenant with ends after `after_us` up to `until_us`; before `whole_us` only those that baselines need.

    `teams`: only these; none named: all.
    """
    return stored.read(
        "alerts/stretch",
        tenant=tenant,
        teams=list(teams),
        sizes=list(STEP_US),
        steps_s=[step_us // 1_000_000 for step_us in STEP_US.values()],
        after_s=after_us // 1_000_000,
        until_s=until_us // 1_000_000,
        whole_s=whole_us // 1_000_000,
    )


def alert_checkpoint_row(wpart: int, next_offset: int, watermark_us: int, now_us: int) -> pl.DataFrame:
    """The row of alert_checkpoints."""
    return pl.DataFrame(
        [(wpart, next_offset, watermark_us, now_us, watermark_us)],
        schema={
            "wpart": pl.UInt16,
            "next_offset": pl.Int64,
            "watermark": pl.Int64,
            "written_at": pl.Int64,
            "version": pl.UInt64,
        },
        orient="row",
    ).with_columns(pl.col("watermark", "written_at").cast(TIME))


def _of_partition(frame: pl.DataFrame, wpart: int, partitions: int) -> pl.DataFrame:
    tenants = [tenant for tenant in frame["tenant"].unique().to_list() if partition_of(tenant, partitions) == wpart]
    return frame.filter(pl.col("tenant").is_in(tenants))
