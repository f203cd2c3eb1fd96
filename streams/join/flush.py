"""What one flush moves out of one partition: the rows to store and the position that they lead to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from streams.events.dead_letter import DeadLetter
from streams.events.records import Records
from streams.events.texts import xxhash64_of
from streams.join.input import Input
from streams.join.partition import JoinPartition, Touched
from streams.windows.measures import OUTCOME_MEASURES

Mask = npt.NDArray[np.bool_]

EPOCH_SHIFT = 30
"""A row's version is epoch << 30 | flush number: a later tenure of a partition outranks every flush of an earlier one."""


BOOKING_KEY: Final = ("at", "kind", "team", "tool", "model", "work_class")
BOOKING_SCHEMA: Final[dict[str, Any]] = {
    "kpart": pl.UInt16,
    "tenant": pl.String,
    "work_item_id": pl.String,
    **dict.fromkeys(BOOKING_KEY, pl.String),
    "at": pl.Int64,
    **dict.fromkeys(OUTCOME_MEASURES, pl.Int64),
}


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Records that repeated an applied event: offset, appended_at, tenant, event_id, content_hash."""

    topic: str
    rows: pl.DataFrame

    @classmethod
    def of(
        cls, topic: str, frame: pl.DataFrame, new: Mask, offsets: npt.NDArray[np.int64], records: Records
    ) -> Duplicates | None:
        """Of decoded rows those that are not new; `offsets` and `records` are those of their batch. None: there are none."""
        if new.all():
            return None
        rows = frame.select("offset", "appended_at", "tenant", "event_id")[np.flatnonzero(~new)]
        places = np.searchsorted(offsets, rows["offset"].to_numpy())
        hashes = xxhash64_of(records.take(places))
        own = rows.with_columns(pl.col("tenant", "event_id") + "")  # texts of their own: few, of a large buffer
        return cls(topic, own.with_columns(content_hash=pl.Series(hashes)))


@dataclass(frozen=True, slots=True)
class PartitionFlush:
    """One partition's part of a flush."""

    partition: int
    epoch: int
    number: int
    usage: Input
    items: Input
    packed: list[Any]
    """Usage that was applied, as what is stored of it (store/sink.py); what was not packed is in `raw_usage`."""
    raw_usage: list[pl.DataFrame]
    raw_items: list[pl.DataFrame]
    dead: list[DeadLetter]
    duplicates: list[Duplicates]
    touched: Touched

    @property
    def version(self) -> int:
        return self.epoch << EPOCH_SHIFT | self.number

    def bookings(self) -> pl.DataFrame:
        """All bookings of the touched items, one row each: kpart, the item, BOOKING_KEY, OUTCOME_MEASURES and version."""
        rows = [
            (self.partition, item.tenant, item.work_item_id, *booking[:6], *booking.amounts)
            for item in self.touched.items
            for booking in item.bookings
        ]
        return pl.DataFrame(rows, schema=BOOKING_SCHEMA, orient="row").with_columns(
            version=pl.lit(self.version, pl.UInt64)
        )


class FlushBuffer:
    """Collects what arrives for one partition between two flushes."""

    def __init__(self, state: JoinPartition, epoch: int) -> None:
        self.state, self.epoch, self.number = state, epoch, 0
        self.rows = 0
        self.stored = 0
        """Version of the last flush that the store is known to hold."""
        self.waits_for_rebuild = False
        """Something was touched without a record, and is not cut yet."""
        self._clear()

    @property
    def next_version(self) -> int:
        """The version that the next flush will have."""
        return self.epoch << EPOCH_SHIFT | self.number + 1

    def _clear(self) -> None:
        self._packed: list[Any] = []
        self._usage: list[pl.DataFrame] = []
        self._items: list[pl.DataFrame] = []
        self._dead: list[DeadLetter] = []
        self._duplicates: list[Duplicates] = []
        self.rows = 0

    def add(
        self, usage: bool, applied: pl.DataFrame, duplicates: Duplicates | None, dead: list[DeadLetter], records: int
    ) -> None:
        """Add the fate of each record of a batch."""
        if not applied.is_empty():
            (self._usage if usage else self._items).append(applied)
        if duplicates is not None:
            self._duplicates.append(duplicates)
        self._dead += dead
        self.rows += records

    def add_packed(
        self, packed: list[Any], duplicates: Duplicates | None, dead: list[DeadLetter], records: int
    ) -> None:
        """Likewise of a batch of usage, of which the applied ones are packed."""
        self._packed += packed
        self.add(True, pl.DataFrame(), duplicates, dead, records)

    def touch(self) -> None:
        """Keys of the state were touched without a record: they are part of the next cut."""
        self.waits_for_rebuild = True

    @property
    def empty(self) -> bool:
        """Whether nothing came since the last cut."""
        return not self.rows and not self.waits_for_rebuild

    def cut(self) -> PartitionFlush | None:
        """Everything since the last cut; None when nothing came."""
        if self.empty:
            return None
        self.waits_for_rebuild = False
        self.number += 1
        state = self.state
        flush = PartitionFlush(
            state.partition, self.epoch, self.number, replace(state.usage), replace(state.items),
            self._packed, self._usage, self._items, self._dead, self._duplicates, state.cut(),
        )  # fmt: skip
        self._clear()
        return flush
