"""Reading a fetch as columns: one object per partition and fetch, never one per record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import aiokafka.consumer.fetcher as fetching
import numpy as np
import numpy.typing as npt
from aiokafka.errors import CorruptRecordException
from faust.types import TP

from streams.agents.answers import read_answers_in_place
from streams.agents.record_batch import Found, RawRecords
from streams.events.records import Records

LATEST_APPEND_MS: Final = 4_102_444_800_000
"""2100-01-01. Where the broker does not stamp records, a publisher can name any time; what lies outside 1970 to 2100 counts as the nearer end,
so that no event time exceeds what the columns of ClickHouse can hold (the first of them ends in 2106)."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The records of one Kafka record batch, with their offsets and append times (us)."""

    begin: int
    end: int
    records: Records
    offsets: npt.NDArray[np.int64]
    appended_at: npt.NDArray[np.int64]

    @property
    def offset(self) -> int:
        return self.end - 1


@dataclass(frozen=True)
class Batch:
    """What one fetch brought of one partition, or several that follow on each other: their chunks, which become one when somebody reads them.

    Covers the offsets from `begin` up to `end`, which may hold fewer records: control batches and compacted or aborted records are no values.
    Stamped, in the consumer thread, with the epoch and the group generation under which it was fetched.
    """

    tp: TP
    epoch: int
    generation: int
    chunks: tuple[Chunk, ...]

    @property
    def begin(self) -> int:
        return self.chunks[0].begin

    @property
    def end(self) -> int:
        return self.chunks[-1].end

    @cached_property
    def records(self) -> Records:
        return Records.joined([chunk.records for chunk in self.chunks])

    @cached_property
    def offsets(self) -> npt.NDArray[np.int64]:
        return np.concatenate([chunk.offsets for chunk in self.chunks])

    @cached_property
    def appended_at(self) -> npt.NDArray[np.int64]:
        """In us."""
        return np.concatenate([chunk.appended_at for chunk in self.chunks])

    @property
    def missing(self) -> int:
        """Offsets that hold no record."""
        return self.end - self.begin - sum(len(chunk.records) for chunk in self.chunks)

    @classmethod
    def joined(cls, batches: Sequence[Batch]) -> Batch:
        """Batches of one fetch after the other as one."""
        first = batches[0]
        return cls(first.tp, first.epoch, first.generation, tuple(chunk for batch in batches for chunk in batch.chunks))


class ChunkedRecords(fetching.PartitionRecords):  # type: ignore[misc]
    """aiokafka's reader of a fetch, yielding a chunk per record batch instead of an object per record."""

    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[Chunk]:
        records, begin = self._records, int(self.next_fetch_offset)
        while records.has_next():
            batch = records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"invalid CRC in {self._tp}")
            if self._skipped(batch):
                self.next_fetch_offset = max(self.next_fetch_offset, batch.next_offset)
                continue
            found = batch.read()
            self.next_fetch_offset = max(begin, batch.next_offset)
            chunk = _chunk(begin, self.next_fetch_offset, found)
            if len(chunk.records):
                yield chunk
                begin = self.next_fetch_offset
        if begin < self.next_fetch_offset:
            empty = np.empty(0, np.int64)
            yield Chunk(begin, self.next_fetch_offset, Records.of([]), empty, empty)

    def _skipped(self, batch: Any) -> bool:
        """Control batches and, under read_committed, records of aborted transactions."""
        if self._isolation_level == fetching.READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return bool(batch.is_control_batch)


def _chunk(begin: int, end: int, found: Found) -> Chunk:
    """The records with ascending offsets from `begin` up to `end`. Any other but an earlier one is there only if no broker looked."""
    records, offsets, times = found
    keep = (offsets >= np.maximum.accumulate(np.concatenate(([begin], offsets[:-1] + 1)))) & (offsets < end)
    if not keep.all():
        records, offsets, times = records.take(np.flatnonzero(keep)), offsets[keep], times[keep]
    return Chunk(begin, end, records, offsets, np.clip(times, 0, LATEST_APPEND_MS) * 1000)


def read_fetches_as_chunks() -> None:
    """Make aiokafka's consumers of this process read chunks: its fetcher has no other seam for it."""
    read_answers_in_place()
    fetching.MemoryRecords, fetching.PartitionRecords = RawRecords, ChunkedRecords
