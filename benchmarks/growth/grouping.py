"""The cost of windows against the number of groups, in process: a live stream of one tenant, a second of it at a time.

The engine holds two hours of panes of every series and one pane of each of the 27 days before. Then, second after second, RATE events fall on
series drawn at random, their panes change, and the engine is asked for the windows to write, as the window agent does.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import psutil  # type: ignore[import-untyped]

from benchmarks.growth.curve import Point, Scale, decades
from benchmarks.growth.made import BEGIN_US, PEOPLE
from benchmarks.inside import HORIZON_US, new_engine, written
from streams.detect.engine import AlertEngine
from streams.detect.policy import AlertPolicy
from streams.windows.engine import WindowEngine
from streams.windows.measures import DAY_US, HOUR_US, PANE_US, USAGE_MEASURES
from streams.windows.updates import TOLD_SIZES, pack_windows, told, unpack

RATE: Final = 1_000
TOOLS, MODELS = 2, 4
PER_TEAM: Final = TOOLS * MODELS
LATENESS_US: Final = 600_000_000
SECONDS: Final = {"full": 120, "quick": 60}
"""In the middle of them a day's windows, and with these some of every size, become final."""
_SECOND_US: Final = 1_000_000
_PANES_HELD: Final = 24
_DAYS_HELD: Final = 27

Numbers = npt.NDArray[np.int64]


def groups(scale: Scale) -> Iterator[Point]:
    """x series (team, tool, model) of one tenant under RATE events a second. A quick run goes as far: the plan past one machine rests on it."""
    for x in decades(1, 4, replace(scale, fewer=0)):
        yield {"x": x, **_lived(x, SECONDS.get(scale.name, 3))}


def _lived(series: int, seconds: int) -> Point:
    rng, midnight = np.random.default_rng(4), BEGIN_US + 30 * DAY_US
    now = midnight + LATENESS_US - seconds // 2 * _SECOND_US
    held = sorted(
        [now - pane * PANE_US for pane in range(_PANES_HELD)] + [now - day * DAY_US for day in range(1, _DAYS_HELD)]
    )
    everything = np.arange(series)
    panes = pl.concat([_panes(rng, everything, at, 1) for at in held])
    actors = pl.concat([_actors(rng, everything, at) for at in held])
    engine, pane_row_bytes, actor_row_bytes = _held(panes, actors, now)
    written(engine.advance(now, now, flush=True))
    spent, unpacked, rows, touched, told_bytes, alerting = 0.0, 0.0, 0, 0, 0, list[pl.DataFrame]()
    for second in range(seconds):
        now += _SECOND_US
        chosen = np.unique(rng.integers(series, size=RATE))
        panes, actors = _panes(rng, chosen, now, second + 2), _actors(rng, chosen, now)
        began = time.process_time()
        engine.apply_panes(panes)
        engine.apply_actors(actors)
        frames = written(engine.advance(now, now))
        spent += time.process_time() - began
        touched, rows = touched + len(chosen), rows + sum(len(frame) for frame in frames)
        messages = [value for frame in frames for _, value in pack_windows(told(frame))]
        began = time.process_time()
        alerting += [unpack(value)[1] for value in messages]
        unpacked += time.process_time() - began
        told_bytes += sum(len(value) for value in messages)
    all_told = pl.concat(alerting)
    return {
        "us": 1e6 * spent / rows,
        "cores": spent / seconds,
        "windows_per_s": rows / seconds,
        "series_per_s": touched / seconds,
        "told_per_end": len(all_told) / len(TOLD_SIZES),  # a window of each ends at midnight
        "told_bytes": told_bytes / len(all_told),
        "unpack_us": 1e6 * unpacked / len(all_told),
        "alert_us": _judged_us(all_told, now),
        "state_rows": engine.rows_kept,
        "pane_row_bytes": pane_row_bytes,
        "actor_row_bytes": actor_row_bytes,
    }


def _held(panes: pl.DataFrame, actors: pl.DataFrame, now_us: int) -> tuple[WindowEngine, float, float]:
    """An engine that holds panes and actors, and by how many bytes the process grows for a row of either that is held."""
    began = _resident()
    only_actors = new_engine(LATENESS_US, HORIZON_US, None, actors, now_us)
    of_actors, actor_rows = _resident() - began, only_actors.rows_kept
    engine = new_engine(LATENESS_US, HORIZON_US, panes, actors, now_us)
    of_panes, pane_rows = _resident() - began - 2 * of_actors, engine.rows_kept - actor_rows
    del only_actors
    return engine, max(of_panes, 0) / pane_rows, max(of_actors, 0) / actor_rows


def _resident() -> int:
    """Bytes of memory of this process."""
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def _judged_us(final: pl.DataFrame, now_us: int) -> float:
    """CPU us of judging a final window, with four weeks of windows like it behind it."""
    if final.is_empty():
        return 0.0
    alerts = AlertEngine(AlertPolicy(), LATENESS_US)
    ends = pl.col("window_end")
    alerts.load_history(pl.concat([final.with_columns(ends - pl.duration(days=day)) for day in range(1, _DAYS_HELD)]))
    alerts.on_windows(final.clear(), now_us - HOUR_US)
    began = time.process_time()
    alerts.on_windows(final, now_us)
    return 1e6 * (time.process_time() - began) / len(final)


def _panes(rng: np.random.Generator, chosen: Numbers, at_us: int, version: int) -> pl.DataFrame:
    """Totals of the pane of a time, of some series."""
    amounts = rng.integers(1, 10_000, size=len(chosen))
    return _keys(chosen, at_us).with_columns(
        *(pl.Series(name, amounts) for name in USAGE_MEASURES), version=pl.lit(version, pl.UInt64)
    )


def _actors(rng: np.random.Generator, chosen: Numbers, at_us: int) -> pl.DataFrame:
    """One actor of each series in the pane of a time."""
    people = (chosen // PER_TEAM * PEOPLE + rng.integers(PEOPLE, size=len(chosen))).astype(np.uint64)
    return _keys(chosen, at_us).with_columns(pl.Series("actor_hash", people))


def _keys(chosen: Numbers, at_us: int) -> pl.DataFrame:
    text = [
        pl.Series(numbers).cast(pl.String)
        for numbers in (chosen // PER_TEAM, chosen % TOOLS, chosen % PER_TEAM // TOOLS)
    ]
    return pl.DataFrame(
        {
            "team": "team-" + text[0],
            "tool": "tool-" + text[1],
            "model": "model-" + text[2],
            "pane_start": np.full(len(chosen), at_us // PANE_US * PANE_US),
        }
    ).with_columns(kpart=pl.lit(0, pl.UInt16), tenant=pl.lit("acme"))
