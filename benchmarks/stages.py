"""Each stage of the worker alone, in process and without servers: CPU microseconds per usage event, and how that compares to a calibration loop.

`python -m benchmarks.stages [--json FILE]`. The machine is shared and its speed changes from minute to minute: the calibration loop runs
between the stages, and what is kept and compared (benchmarks/results/stages.json, tests/benchmarks/test_stages.py) is a ratio to it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import numpy as np
import polars as pl
import pyarrow as pa
import typer
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from rich.console import Console
from rich.table import Table

from benchmarks.traffic import make
from streams.agents.record_batch import RawRecords
from streams.config import ITEMS_TOPIC, USAGE_TOPIC
from streams.events.decode import decode
from streams.events.records import Records
from streams.join.flush import BOOKING_SCHEMA, FlushBuffer, PartitionFlush
from streams.join.keys import ACTOR_SCHEMA
from streams.join.partition import JoinPartition
from streams.local.traffic.records import records
from streams.store.sink import Sink
from streams.value.prices import PriceBook
from streams.value.rules import Rules
from streams.windows.engine import WindowEngine
from streams.windows.families import WINDOW_SCHEMA
from streams.windows.measures import DAY_US, HOUR_US

T = TypeVar("T")

EVENTS: Final = 100_000
RUNS: Final = 3
STORED: Final = Path(__file__).parent / "results" / "stages.json"
STAGES: Final = ("read", "decode", "apply", "cut", "rows", "windows")
_PER_FETCH, _PER_FLUSH = 20_000, 100_000
_NOW_US: Final = 1_900_000_000_000_000
_LZ4: Final = 3


def measure(events: int = EVENTS, runs: int = RUNS) -> dict[str, Any]:
    """`calibration_ms`; by stage and for `all`: `us` per usage event and `ratio` to a millionth of the calibration loop. The least of all runs."""
    topics: dict[str, list[bytes]] = {USAGE_TOPIC: [], ITEMS_TOPIC: []}
    for chunk in records(make(events), 1):
        for record in chunk:
            if record.value is not None:
                topics[record.topic].append(record.value)
    fetches = [_batch(values) for values in _slices(topics[USAGE_TOPIC], _PER_FETCH)]
    _run(fetches[:1], topics[ITEMS_TOPIC][:100], _Clock())  # the first call of a loop compiles or loads it
    calibration, found = [_calibration_s()], []
    for _ in range(runs):
        clock = _Clock()
        _run(fetches, topics[ITEMS_TOPIC], clock)
        found.append(clock.seconds)
        calibration.append(_calibration_s())
    unit, count = min(calibration), len(topics[USAGE_TOPIC])
    least = {stage: min(run[stage] for run in found) for stage in STAGES}
    least["all"] = sum(least.values())
    stages = {
        name: {"us": round(1e6 * s / count, 3), "ratio": round(1e6 * s / count / unit, 2)} for name, s in least.items()
    }
    return {"events": count, "runs": runs, "calibration_ms": round(1e3 * unit, 2), "stages": stages}


class _Clock:
    """CPU seconds by stage."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)

    def time(self, stage: str, step: Callable[[], T]) -> T:
        began = time.process_time()
        result = step()
        self.seconds[stage] += time.process_time() - began
        return result


def _run(fetches: list[bytes], items: list[bytes], clock: _Clock) -> None:
    """All work items first, then the usage, flushed as a worker does that catches up."""
    state = JoinPartition(0, 7 * DAY_US, Rules.shipped(), PriceBook.shipped())
    buffer, sink = FlushBuffer(state, 1), Sink(_Nowhere(), "benchmark")
    engine = WindowEngine(HOUR_US, 7 * DAY_US, lambda _: pl.DataFrame(schema=WINDOW_SCHEMA).head(0), _nothing)
    bookings = pl.DataFrame(schema={**BOOKING_SCHEMA, "version": pl.UInt64})
    engine.load(pl.DataFrame(), bookings, pl.DataFrame(schema=ACTOR_SCHEMA), {}, watermark_us=None)
    frame = decode(ITEMS_TOPIC, Records.of(items), *_places(len(items)), partition=0, partitions=1).frame
    state.apply_items(frame)
    buffer.add(False, frame, None, [], len(frame))
    for number, fetch in enumerate(fetches):
        found = clock.time("read", lambda data=fetch: list(_read(data)))  # type: ignore[misc]
        values = Records.joined(found)
        offsets, appended = _places(len(values))
        frame = clock.time(
            "decode",
            lambda v=values, o=offsets, a=appended: decode(USAGE_TOPIC, v, o, a, partition=0, partitions=1).frame,  # type: ignore[misc]
        )
        new = clock.time("apply", lambda f=frame: state.apply_usage(f))  # type: ignore[misc]
        buffer.add(True, frame.filter(new), None, [], len(frame))
        if buffer.rows >= _PER_FLUSH or number == len(fetches) - 1:
            flush = clock.time("cut", buffer.cut)
            assert flush is not None
            clock.time("rows", lambda f=flush: sink.write([f]))  # type: ignore[misc]
            clock.time("windows", lambda f=flush: _windows(engine, f))  # type: ignore[misc]


def _read(data: bytes) -> Iterator[Records]:
    found = RawRecords(data)
    while found.has_next():
        batch = found.next_batch()
        assert batch.validate_crc()
        yield batch.read().records


def _windows(engine: WindowEngine, flush: PartitionFlush) -> None:
    own = (pl.lit(0, pl.UInt16).alias("kpart"), pl.lit(flush.version, pl.UInt64).alias("version"))
    engine.apply_panes(flush.touched.panes.with_columns(*own))
    engine.apply_actors(flush.touched.actors.with_columns(*own))
    engine.apply_bookings(flush.bookings())
    for windows in engine.advance(flush.usage.watermark, _NOW_US):
        windows.to_arrow(compat_level=pl.CompatLevel.oldest())


def _nothing(*_: Any) -> Any:
    raise AssertionError("nothing is stored")


class _Nowhere:
    """Takes rows as Arrow's file format, as the client sends them."""

    def insert(self, table: str, rows: pa.Table) -> None:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, rows.schema) as writer:
            writer.write_table(rows)


def _batch(values: list[bytes]) -> bytes:
    """Record batches of the publishers' size, compressed as theirs."""
    out = []
    for part in _slices(values, 2_000):
        builder = DefaultRecordBatchBuilder(2, _LZ4, 0, -1, -1, -1, 1 << 24)
        for offset, value in enumerate(part):
            builder.append(offset, 1_000, None, value, [])
        out.append(bytes(builder.build()))
    return b"".join(out)


def _slices(values: list[bytes], size: int) -> Iterator[list[bytes]]:
    return (values[begin : begin + size] for begin in range(0, len(values), size))


def _places(count: int) -> tuple[Any, Any]:
    return np.arange(count, dtype=np.int64), np.full(count, _NOW_US, np.int64)


def _calibration_s() -> float:
    """CPU seconds of a loop of fixed work, a part of it in the interpreter and a part over memory. The least of five."""
    numbers = np.random.default_rng(1).integers(0, 1 << 62, 400_000)
    least = 1e9
    for _ in range(5):
        began = time.process_time()
        np.sort(numbers)
        numbers[numbers & 0xFFFF].sum()
        sum(number * number for number in range(200_000))
        least = min(least, time.process_time() - began)
    return least


def main(
    events: Annotated[int, typer.Option(help="usage events")] = EVENTS,
    runs: Annotated[int, typer.Option(help="the least of so many runs counts")] = RUNS,
    json_file: Annotated[Path | None, typer.Option("--json", help="where to write the result")] = None,
) -> None:
    """Each stage of the worker alone: CPU microseconds per usage event."""
    result = measure(events, runs)
    table = Table("stage", "us of CPU per event", "ratio to the calibration loop")
    for name, figures in result["stages"].items():
        table.add_row(name, f"{figures['us']:.3f}", f"{figures['ratio']:.1f}")
    Console().print(table)
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
