"""Curves of the join, in process: decode, apply, cut and rows of usage events against what a partition holds and what events are like.

A point fills the state, then times stretches of events, each of which ends with a flush; the least stretch counts.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from typing import Final

import numpy as np
import polars as pl
import psutil  # type: ignore[import-untyped]

from benchmarks.growth.curve import Point, Scale, decades
from benchmarks.growth.made import BEGIN_US, PER_DAY, Maker, decoded, fetches
from benchmarks.inside import HORIZON_US, Clock, InsideWorker
from streams.join.flush import PartitionFlush
from streams.windows.measures import DAY_US, HOUR_US, PANE_US

PER_FETCH: Final = 20_000
PER_FILL: Final = 200_000
STAGES: Final = ("decode", "apply", "repeats", "cut", "rows")
LATE_US: Final = (PANE_US, 3 * DAY_US)


def items(scale: Scale) -> Iterator[Point]:
    """x distinct work items in memory, a ledger line of each; then events that name any of them."""
    for x in decades(3, 7, scale):
        maker, worker, before = Maker(items=x), InsideWorker(Clock()), _resident()
        order = np.random.default_rng(2).permutation(x)
        for begin in range(0, x, PER_FILL):
            chosen = order[begin : begin + PER_FILL]
            _fill(worker, maker.events(np.full(len(chosen), BEGIN_US), chosen))
        gc.collect()
        held, nbytes, grown = worker.states[0].size, worker.states[0].nbytes, _resident() - before
        yield {
            "x": x,
            **_timed(worker, [maker.stretch(scale.stretch, *_hours(n)) for n in range(scale.runs)]),
            "line_bytes": nbytes["lines"] / held["lines"],
            "state_mib": sum(nbytes.values()) / 2**20,
            "resident_mib": max(grown, 0) / 2**20,
        }


def teams(scale: Scale) -> Iterator[Point]:
    """Events of x teams, each of which uses every tool and model."""
    for x in decades(1, 5, scale):
        maker, worker = Maker(teams=x, items=20 * x), InsideWorker(Clock())
        yield {"x": x, **_timed(worker, [maker.stretch(scale.stretch, *_hours(n)) for n in range(scale.runs)])}


def partitions(scale: Scale) -> Iterator[Point]:
    """The same events over x partitions of one worker."""
    for x in (1, 4, 16, 64)[: 4 - scale.smaller]:
        maker, worker = Maker(), InsideWorker(Clock(), partitions=x)
        yield {"x": x, **_timed(worker, [maker.stretch(scale.stretch, *_hours(n)) for n in range(scale.runs)])}


def duplicates(scale: Scale) -> Iterator[Point]:
    """Records of which x percent repeat an earlier one."""
    for x in (0, 10, 25, 50):
        maker, worker = Maker(), InsideWorker(Clock())
        frames = [maker.stretch(scale.stretch, *_hours(n)) for n in range(scale.runs)]
        yield {"x": x, **_timed(worker, [maker.with_repeats(frame, x / 100) for frame in frames])}


def late(scale: Scale) -> Iterator[Point]:
    """A minute's events a flush, of which x percent happened five minutes to three days ago; then the windows that these change."""
    for x in (0, 5, 10, 20):
        maker, worker = Maker(teams=20), InsideWorker(Clock(), lateness_us=600_000_000)
        begin = BEGIN_US + 3 * DAY_US
        _fill_windows(worker, maker.stretch(5 * scale.stretch, BEGIN_US, begin), begin)
        found, rows = dict[str, float](), 0
        for minute in range(scale.runs):
            at = begin + minute * 60_000_000
            frame = maker.with_late(maker.stretch(scale.stretch // 5, at, at + 60_000_000), x / 100, *LATE_US)
            took, flushes = _stretch(worker, frame)
            windows = worker.windows(flushes, at + 61_000_000)
            took["windows_us"] = 1e6 * worker.clock.spent() / len(frame)
            if not found or took["us"] + took["windows_us"] < found["us"] + found["windows_us"]:
                found, rows = took, sum(len(window) for window in windows)
        yield {"x": x, **found, "windows_per_event": rows / (scale.stretch // 5)}


def horizon(scale: Scale) -> Iterator[Point]:
    """x identities in the dedup index, a week of them; then events that are new to it."""
    for x in decades(5, 7, scale):
        maker, worker, rng = Maker(), InsideWorker(Clock()), np.random.default_rng(3)
        index, began = worker.states[0].dedup.usage, time.process_time()
        for begin in range(0, x, PER_FILL):
            count = min(PER_FILL, x - begin)
            ids = rng.integers(0, 1 << 64, (count, 2), dtype=np.uint64)
            index.add(ids, BEGIN_US - HORIZON_US + np.arange(begin, begin + count) * HORIZON_US // x)
        filled = time.process_time() - began
        id_bytes = index.nbytes / len(index)
        yield {
            "x": x,
            **_timed(worker, [maker.stretch(scale.stretch, *_hours(n)) for n in range(scale.runs)]),
            "fill_us": 1e6 * filled / x,
            "id_bytes": id_bytes,
            "state_mib": index.nbytes / 2**20,
        }


def events(scale: Scale) -> Iterator[Point]:
    """The cost of the next events after x have been applied and flushed, a million a day with new items every day and a horizon of three days."""
    worker, applied, number = InsideWorker(Clock(), horizon_us=3 * DAY_US), 0, 0
    maker = Maker()
    for x in decades(5, 7, scale):
        while applied < x:
            count = min(scale.stretch, x - applied)
            frame = _stretch_of_days(maker, applied, count)
            number += 1
            _fill(worker, frame, settle=number)
            applied += count
        state = worker.states[0]
        held, nbytes = state.size, state.nbytes
        frames = [_stretch_of_days(maker, applied + n * scale.stretch, scale.stretch) for n in range(scale.runs)]
        timed = _timed(worker, frames)
        applied, number = applied + scale.runs * scale.stretch, number + scale.runs
        yield {
            "x": x, **timed, "lines": held["lines"], "identities": held["identities"], "state_mib": sum(nbytes.values()) / 2**20,
        }  # fmt: skip


def warm() -> None:
    """The first call of a loop compiles or loads it: not in a point."""
    maker, worker = Maker(), InsideWorker(Clock())
    for number in range(2):
        _, flushes = _stretch(worker, maker.with_repeats(maker.stretch(2_000, *_hours(number)), 0.1))
        worker.windows(flushes, BEGIN_US)


def _stretch_of_days(maker: Maker, first: int, count: int) -> pl.DataFrame:
    """Events number `first` and on, PER_DAY a day, of a tenth as many items, which are all new after a day."""
    numbers = np.arange(first, first + count)
    rng = np.random.default_rng(first)
    chosen = (numbers + rng.integers(0, PER_DAY, count)) // 10
    return maker.events(BEGIN_US + numbers * (DAY_US // PER_DAY), chosen)


def _hours(number: int) -> tuple[int, int]:
    """Begin and end (us) of a stretch: an hour, one after the other."""
    return BEGIN_US + number * HOUR_US, BEGIN_US + (number + 1) * HOUR_US


def _fill(worker: InsideWorker, frame: pl.DataFrame, settle: int = 0) -> None:
    """Apply events and forget what they touched. `settle`: the number of this cut, after which what is idle may go."""
    state = worker.states[0]
    state.apply_usage(decoded(frame))
    cut = state.cut()
    if settle:
        state.settle(state.usage.watermark, state.items.watermark, cut.number)


def _fill_windows(worker: InsideWorker, frame: pl.DataFrame, now_us: int) -> None:
    for partition, values in fetches(frame, PER_FILL):
        worker.usage(values, partition)
    worker.windows(worker.flush(), now_us)
    worker.clock.spent()


def _timed(worker: InsideWorker, frames: list[pl.DataFrame]) -> dict[str, float]:
    """CPU us per record of the stretch that took least, by stage and together (`us`)."""
    return min((_stretch(worker, frame)[0] for frame in frames), key=lambda took: took["us"])


def _stretch(worker: InsideWorker, frame: pl.DataFrame) -> tuple[dict[str, float], list[PartitionFlush]]:
    """CPU us per record of one stretch, and what was flushed at its end."""
    given = fetches(frame, min(PER_FETCH * worker.partitions, len(frame)), worker.partitions)
    worker.clock.spent()
    for partition, values in given:
        worker.usage(values, partition)
    flushes = worker.flush()
    took = {f"{stage}_us": 1e6 * worker.clock.seconds[stage] / len(frame) for stage in STAGES}
    return {"us": 1e6 * worker.clock.spent() / len(frame), **took}, flushes


def _resident() -> int:
    """Bytes of memory of this process."""
    return int(psutil.Process().memory_info().rss)
