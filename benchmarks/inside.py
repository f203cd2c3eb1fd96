"""A worker's stages in process, without servers: what benchmarks/stages.py and benchmarks/growth measure."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

import numpy as np
import polars as pl
import pyarrow as pa
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from streams.config import ITEMS_TOPIC, USAGE_TOPIC
from streams.events.decode import decode
from streams.events.records import Records
from streams.join.flush import BOOKING_SCHEMA, Duplicates, FlushBuffer, PartitionFlush
from streams.join.keys import ACTOR_SCHEMA
from streams.join.partition import JoinPartition
from streams.store.native import Buffers, is_flat, native
from streams.store.sink import Inserts, Rows, Sink
from streams.value.prices import PriceBook
from streams.value.rules import Rules
from streams.windows.engine import WindowEngine
from streams.windows.families import WINDOW_SCHEMA
from streams.windows.measures import DAY_US, HOUR_US

T = TypeVar("T")

HORIZON_US: Final = 7 * DAY_US
LATENESS_US: Final = HOUR_US
_APPENDED_US: Final = 1_900_000_000_000_000
_PER_BATCH: Final = 2_000
_LZ4: Final = 3


class Clock:
    """CPU seconds of this process by stage, all its threads."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def time(self, stage: str, step: Callable[[], T]) -> T:
        began = time.process_time()
        result = step()
        self.seconds[stage] += time.process_time() - began
        return result

    def spent(self) -> float:
        """The sum of all stages since the last call, which begins them anew."""
        total = sum(self.seconds.values())
        self.seconds.clear()
        return total


class Nowhere:
    """Takes rows as ClickHouse takes them, and sends them nowhere."""

    def __init__(self) -> None:
        self._buffers = Buffers(1, 1 << 27)

    def insert(self, table: str, rows: Rows) -> None:
        if not isinstance(rows, pa.Table):
            return
        if is_flat(rows):
            self._buffers.give_back(native(rows, self._buffers)[0])
            return
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, rows.schema) as writer:
            writer.write_table(rows)


_NOWHERE: Final = Sink(Nowhere(), "benchmark")


class InsideWorker:
    """Join partitions that are flushed together, and the engine of their windows. `clock`: decode, apply, repeats, cut, rows, windows."""

    def __init__(
        self,
        clock: Clock,
        *,
        partitions: int = 1,
        horizon_us: int = HORIZON_US,
        lateness_us: int = LATENESS_US,
        inserts: Inserts | None = None,
    ) -> None:
        rules, prices = Rules.shipped(), PriceBook.shipped()
        self.clock, self.partitions = clock, partitions
        self.states = [JoinPartition(number, horizon_us, rules, prices) for number in range(partitions)]
        self.buffers = [FlushBuffer(state, 1) for state in self.states]
        self.sink = Sink(Nowhere() if inserts is None else inserts, "benchmark")
        self.engine = new_engine(lateness_us, horizon_us)

    @property
    def rows(self) -> int:
        """Records since the last flush."""
        return sum(buffer.rows for buffer in self.buffers)

    def items(self, values: list[bytes], partition: int = 0) -> None:
        """Apply work-item events; not timed."""
        frame = decode(
            ITEMS_TOPIC, Records.of(values), *places(len(values)), partition=partition, partitions=self.partitions
        ).frame
        self.states[partition].apply_items(frame)
        self.buffers[partition].add(False, frame, None, [], len(frame))

    def usage(self, values: Records, partition: int = 0) -> None:
        """Decode and apply one fetch."""
        offsets, appended = places(len(values))
        columns = self.clock.time(
            "decode",
            lambda: (
                decode(USAGE_TOPIC, values, offsets, appended, partition=partition, partitions=self.partitions).columns
            ),
        )
        state, buffer = self.states[partition], self.buffers[partition]
        new = self.clock.time("apply", lambda: state.apply_usage(columns)).to_numpy()
        repeats = self.clock.time("repeats", lambda: Duplicates.of(USAGE_TOPIC, columns.frame, new, offsets, values))
        packed = self.clock.time("rows", lambda: self.sink.pack_usage(buffer, columns, new))
        buffer.add_packed(packed, repeats, [], len(new))

    def flush(self) -> list[PartitionFlush]:
        """Cut all partitions and make the rows of their tables."""
        cut = [self.clock.time("cut", buffer.cut) for buffer in self.buffers]
        flushes = [flush for flush in cut if flush is not None]
        self.clock.time("rows", lambda: self.sink.write(flushes))
        return flushes

    def windows(self, flushes: Sequence[PartitionFlush], now_us: int) -> list[pl.DataFrame]:
        """Put what was flushed into the windows; those that must be written, also made into an insert."""
        return self.clock.time("windows", lambda: _windows(self.engine, flushes, now_us))


def new_engine(
    lateness_us: int,
    horizon_us: int,
    panes: pl.DataFrame | None = None,
    actors: pl.DataFrame | None = None,
    watermark_us: int | None = None,
) -> WindowEngine:
    """An engine over panes and actors, whose windows up to a watermark are written, though none is stored behind it."""
    engine = WindowEngine(
        lateness_us, horizon_us, lambda _: pl.DataFrame(schema=WINDOW_SCHEMA).head(0), _nothing_is_stored
    )
    bookings = pl.DataFrame(schema={**BOOKING_SCHEMA, "version": pl.UInt64})
    engine.load(
        pl.DataFrame() if panes is None else panes,
        bookings,
        pl.DataFrame(schema=ACTOR_SCHEMA) if actors is None else actors,
        {},
        watermark_us=watermark_us,
    )
    return engine


def _windows(engine: WindowEngine, flushes: Sequence[PartitionFlush], now_us: int) -> list[pl.DataFrame]:
    for flush in flushes:
        own = (pl.lit(flush.partition, pl.UInt16).alias("kpart"), pl.lit(flush.version, pl.UInt64).alias("version"))
        engine.apply_panes(flush.touched.panes.with_columns(*own))
        engine.apply_actors(flush.touched.actors.with_columns(*own))
        engine.apply_bookings(flush.bookings())
    return written(engine.advance(min(flush.usage.watermark for flush in flushes), now_us))


def written(frames: Iterator[pl.DataFrame]) -> list[pl.DataFrame]:
    """The frames, each of which has been made into what is sent for an insert."""
    made = []
    for frame in frames:
        _NOWHERE.rows("value_windows", frame)
        made.append(frame)
    return made


def _nothing_is_stored(*_: Any) -> Any:
    raise AssertionError("nothing is stored")


def fetch_of(values: list[bytes], keys: list[bytes] | None = None) -> bytes:
    """Record batches of the publishers' size, compressed as theirs."""
    out = []
    names: Sequence[bytes | None] = keys or [None] * len(values)
    for part in slices(list(zip(names, values, strict=True)), _PER_BATCH):
        builder = DefaultRecordBatchBuilder(2, _LZ4, 0, -1, -1, -1, 1 << 24)
        for offset, (key, value) in enumerate(part):
            builder.append(offset, 1_000, key, value, [])
        out.append(bytes(builder.build()))
    return b"".join(out)


def slices(values: list[T], size: int) -> Iterator[list[T]]:
    """Consecutive parts."""
    return (values[begin : begin + size] for begin in range(0, len(values), size))


def places(count: int) -> tuple[Any, Any]:
    """Offsets and append times of records."""
    return np.arange(count, dtype=np.int64), np.full(count, _APPENDED_US, np.int64)


def calibration_s() -> float:
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
