"""Reading a fetch as columns: one object per partition and fetch, never one per record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import aiokafka.consumer.fetcher as fetching
import numpy as np
import numpy.typing as npt
from aiokafka.errors import CorruptRecordException
from faust.types import TP

LATEST_APPEND_MS: Final = 4_102_444_800_000
"""2100-01-01. Where the broker does not stamp records, a publisher can name any time; what lies outside 1970 to 2100 counts as the nearer end,
so that no event time exceeds what the columns of ClickHouse can hold (the first of them ends in 2106)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one fetch brought of one partition.

    Covers the offsets from `begin` up to `end`, which may hold fewer records: control batches and compacted or aborted records are no values.
    `appended_at` is in us. Stamped, in the consumer thread, with the epoch and the group generation under which it was fetched.
    """

    tp: TP
    epoch: int
    generation: int
    begin: int
    end: int
    values: list[bytes | None]
    offsets: npt.NDArray[np.int64]
    appended_at: npt.NDArray[np.int64]

    @property
    def missing(self) -> int:
        """Offsets that hold no record."""
        return self.end - self.begin - len(self.values)


@dataclass(frozen=True, slots=True)
class Chunk:
    """The records of one Kafka record batch."""

    begin: int
    end: int
    values: list[bytes | None]
    offsets: npt.NDArray[np.int64]
    appended_at: npt.NDArray[np.int64]

    @property
    def offset(self) -> int:
        return self.end - 1


class ChunkedRecords(fetching.PartitionRecords):  # type: ignore[misc]
    """aiokafka's reader of a fetch, yielding a chunk per record batch instead of an object per record (ENGINES.md §1: 4x faster)."""

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
            self.next_fetch_offset = max(begin, batch.next_offset)
            found, offsets = _within(list(batch), begin, self.next_fetch_offset)
            if found:
                yield _chunk(begin, self.next_fetch_offset, found, offsets)
                begin = self.next_fetch_offset
        if begin < self.next_fetch_offset:
            empty = np.empty(0, np.int64)
            yield Chunk(begin, self.next_fetch_offset, [], empty, empty)

    def _skipped(self, batch: Any) -> bool:
        """Control batches and, under read_committed, records of aborted transactions."""
        if self._isolation_level == fetching.READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return bool(batch.is_control_batch)


def _within(records: list[Any], begin: int, end: int) -> tuple[list[Any], npt.NDArray[np.int64]]:
    """The records with ascending offsets from `begin` up to `end`, and these. Any other but an earlier one is there only if no broker looked."""
    offsets = np.fromiter((record.offset for record in records), np.int64, len(records))
    keep = (offsets >= np.maximum.accumulate(np.concatenate(([begin], offsets[:-1] + 1)))) & (offsets < end)
    if keep.all():
        return records, offsets
    return [record for record, kept in zip(records, keep, strict=True) if kept], offsets[keep]


def _chunk(begin: int, end: int, records: list[Any], offsets: npt.NDArray[np.int64]) -> Chunk:
    n, first = len(records), records[0]
    if first.timestamp_type == 1:  # LogAppendTime: one time for the whole batch
        appended_at = np.full(n, first.timestamp, np.int64)
    else:
        appended_at = np.fromiter((r.timestamp for r in records), np.int64, n)
    return Chunk(begin, end, [r.value for r in records], offsets, np.clip(appended_at, 0, LATEST_APPEND_MS) * 1000)


def joined(tp: TP, epoch: int, generation: int, chunks: list[Chunk]) -> Batch:
    """The chunks of one fetch as a batch."""
    values = chunks[0].values if len(chunks) == 1 else [value for chunk in chunks for value in chunk.values]
    offsets = np.concatenate([chunk.offsets for chunk in chunks])
    appended_at = np.concatenate([chunk.appended_at for chunk in chunks])
    return Batch(tp, epoch, generation, chunks[0].begin, chunks[-1].end, values, offsets, appended_at)


def read_fetches_as_chunks() -> None:
    """Make aiokafka's consumers of this process read chunks: its fetcher has no other seam for it."""
    fetching.PartitionRecords = ChunkedRecords
