"""Cells of one team summed into the final windows that the window agent would write, as rows of value_windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl

from benchmarks.detection.teams import CELL_US, T0_US, Ints
from streams.detect.observed import SIZE_US, SLIDE_US
from streams.windows.updates import WINDOW_COLUMNS

TENANT: Final = "acme"
_MATCHED: Final = "matched_standard_cost_micro_usd_credited"
_COLUMNS: Final[dict[str, dict[str, str]]] = {
    "": {
        "standard_cost_micro_usd": "spend",
        "unattributed_standard_cost_micro_usd": "unattributed",
        "enabling_standard_cost_micro_usd": "enabling",
        _MATCHED: "matched",
        "abandoned_standard_cost_micro_usd_booked": "abandoned",
        "items_completed": "items",
        "repeated_prompts": "repeated",
        "value_credited_milli": "core_value",
        "requests": "requests",
        "tokens": "tokens",
    },
    "core": {_MATCHED: "matched_core", "value_credited_milli": "core_value"},
    "low_value": {_MATCHED: "matched_low", "items_completed": "low_items"},
}
"""Column of a row of a work class (none: of the team) -> measure of a cell."""
_TEXT: Final = ("tenant", "grouping", "team", "work_class", "size", "status")
SCHEMA: Final = {name: pl.String if name in _TEXT else pl.Int64 for name in WINDOW_COLUMNS}


def windows(team: str, cells: Mapping[str, Ints], backfill: Sequence[tuple[int, int]]) -> pl.DataFrame:
    """All windows that are not empty, with ends up to the end of the cells. `backfill`: spans of cells whose windows came late."""
    frames = []
    for size, slide_us in SLIDE_US.items():
        slide, count = slide_us // CELL_US, SIZE_US[size] // slide_us
        sums = {name: _rolled(measure, slide, count) for name, measure in cells.items()}
        slides = len(cells["spend"]) // slide
        last_cell = np.arange(1, slides + 1) * slide - 1
        late = np.zeros(slides, np.int64)
        for begin, end in backfill:
            late[(begin <= last_cell) & (last_cell < end)] = 1
        ends = T0_US + (last_cell + 1) * CELL_US
        for work_class, columns in _COLUMNS.items():
            there = np.any([sums[measure] != 0 for measure in columns.values()], axis=0)
            frames.append(
                pl.DataFrame(
                    {
                        "window_end": ends[there],
                        "backfill": late[there],
                        **{name: sums[measure][there] for name, measure in columns.items() if name in SCHEMA},
                    }
                ).select(
                    pl.col(name) if name in ("window_end", "backfill") or name in columns
                    else pl.lit(_text(name, team, work_class, size) if name in _TEXT else 0, SCHEMA[name]).alias(name)
                    for name in SCHEMA
                )
            )  # fmt: skip
    return pl.concat(frames)


def _rolled(measure: Ints, slide: int, count: int) -> Ints:
    """Sums of the last `count` slides at the end of each slide."""
    total = np.cumsum(measure[: len(measure) // slide * slide].reshape(-1, slide).sum(axis=1))
    before = np.zeros_like(total)
    before[count:] = total[: max(len(total) - count, 0)]
    out: Ints = total - before
    return out


def _text(name: str, team: str, work_class: str, size: str) -> str:
    grouping = "team_class" if work_class else "team"
    return {
        "tenant": TENANT,
        "grouping": grouping,
        "team": team,
        "work_class": work_class,
        "size": size,
        "status": "final",
    }[name]
