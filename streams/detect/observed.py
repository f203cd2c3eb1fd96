"""What the rules read of a team's window, taken from its rows of value_windows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import polars as pl

from streams.windows.families import FAMILIES
from streams.windows.updates import TOLD_SIZES

SLIDE_US: Final = {family.size: family.slide_us for family in FAMILIES if family.size in TOLD_SIZES}
SIZE_US: Final = {family.size: family.slide_us * family.count for family in FAMILIES if family.size in TOLD_SIZES}
Group = tuple[str, str]
"""(tenant, team)"""


class Observed(NamedTuple):
    """Measures of one window of a team; money in micro-USD of standard cost."""

    spend: int = 0
    unattributed: int = 0
    enabling: int = 0
    ended: int = 0
    """Cost of work that ended in the window: matched to completions, net of debits, and abandoned, net of reversals."""
    items: int = 0
    repeated_prompts: int = 0
    requests: int = 0
    tokens: int = 0
    core_value_milli: int = 0
    """Net value of core work."""
    low_value: int = 0
    """The part of `ended` that was matched to low-value work."""
    low_items: int = 0
    """Items of low-value work that were completed."""
    week: int = 0
    """Told by a look at the weeks before: what seven days cost, in micro-USD, or all that is known of them in an alert that lasts. 0: it is not unusual."""
    busy_pace: int = 0
    """Told by a look at the last days: what seven days cost with their requests, in micro-USD. 0: it is not known, or not unusual."""
    heavy_pace: int = 0
    """Told by a look at the last days: what seven days cost with their tokens a request, in micro-USD. 0: it is not known, or not unusual."""
    drift_since_us: int = 0
    """Told by the same look: when the drift began that the larger pace is of. 0: there is none."""
    days: int = 0
    """Told by a look at the last days: how many of them `ended` and `low_value` cover. 0: there are none in which they are unusual."""
    dearer: int = 0
    """Told by a look at this hour of the weeks before: part of the rise of the cost that mix and price explain, per mille. 0: it is not known, or none."""
    silent_us: int = 0
    """Told by a look at the windows before: how long no request has come, up to the end of the window. 0: not long enough to matter."""


NOTHING: Final = Observed()
_TEAM_FIELDS: Final = Observed._fields[:8]
REQUESTS: Final = Observed._fields.index("requests")
COMPLETED: Final = tuple(
    Observed._fields.index(name) for name in ("ended", "items", "core_value_milli", "low_value", "low_items")
)
"""What is counted when work ends."""
_CORE, _ITEMS, _LOW, _LOW_ITEMS = (
    Observed._fields.index(name) for name in ("core_value_milli", "items", "low_value", "low_items")
)


class Row(NamedTuple):
    """A final window's row: the fields of Observed that it carries, by position."""

    size: str
    end_us: int
    group: Group
    backfill: bool
    values: tuple[tuple[int, int], ...]


def final_rows(frame: pl.DataFrame) -> Iterator[Row]:
    """Rows that some rule reads. `frame`: WINDOW_COLUMNS of value_windows; window_end as Int64 micro-seconds or Datetime('us')."""
    net = {
        name: pl.col(f"{name}_{plus}") - pl.col(f"{name}_{minus}")
        for name, plus, minus in (
            ("matched_standard_cost_micro_usd", "credited", "debited"),
            ("abandoned_standard_cost_micro_usd", "booked", "reversed"),
        )
    }
    wanted = (pl.col("grouping") == "team") | (
        (pl.col("grouping") == "team_class") & pl.col("work_class").is_in(["core", "low_value"])
    )
    rows = frame.filter(wanted & (pl.col("status") == "final") & pl.col("size").is_in(list(SIZE_US))).select(
        "tenant",
        "team",
        "size",
        pl.col("window_end").cast(pl.Int64),
        pl.col("backfill").cast(pl.Boolean),
        pl.when(pl.col("grouping") == "team").then(pl.lit("")).otherwise(pl.col("work_class")).alias("of"),
        spend=pl.col("standard_cost_micro_usd"),
        unattributed=pl.col("unattributed_standard_cost_micro_usd"),
        enabling=pl.col("enabling_standard_cost_micro_usd"),
        ended=pl.sum_horizontal(net.values()),
        items=pl.col("items_completed"),
        repeated_prompts=pl.col("repeated_prompts"),
        requests=pl.col("requests"),
        tokens=pl.col("tokens"),
        core_value_milli=pl.col("value_credited_milli") - pl.col("value_debited_milli"),
        low_value=net["matched_standard_cost_micro_usd"],
    )
    for tenant, team, size, end_us, backfill, of, *measures in rows.iter_rows():
        if of == "core":
            values: tuple[tuple[int, int], ...] = ((_CORE, measures[_CORE]),)
        elif of == "low_value":
            values = ((_LOW, measures[_LOW]), (_LOW_ITEMS, measures[_ITEMS]))
        else:
            values = tuple(enumerate(measures[: len(_TEAM_FIELDS)]))
        yield Row(size, end_us, (tenant, team), backfill, values)
