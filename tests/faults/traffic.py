"""Endless made traffic: the same months again and again, with times and ids of their own; published at a pace, and counted outside of the system."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl
import xxhash

from streams.config import INPUT_TOPICS, Settings
from streams.errors import BrokerUnavailable, TokenworthError
from streams.events.usage import UsageEvent
from streams.events.wire import HEADER_BYTES
from streams.local.traffic import Traffic, make_traffic
from streams.local.traffic.bad import bad_records
from streams.local.traffic.records import Record, records
from streams.publish.bulk import publish_records
from streams.publish.publishers import UsagePublisher

DAYS = 28
BLOCK_EVENTS = 1_000_000
TENANTS = ("acme", "globex")
FIRST_DAY = datetime(2018, 1, 1, tzinfo=UTC)
"""A Monday long enough ago for a hundred months, late enough for the bad record from ten years ahead to be from the future."""
SLICE = 50_000
SLICE_S = 0.5
AGAIN_S = 0.3
_IDS = [("usage", ("event_id", "work_item_id", "session_id")), ("items", ("event_id", "work_item_id", "parent_id", "link_value"))]  # fmt: skip


class Months:
    """Records of one month after the other, in the order of publishing; `now` is the event time that has been reached."""

    def __init__(self, seed: int, block_events: int, partitions: int, blocks: int | None) -> None:
        """`blocks`: how many months; None: as many as are taken. Each has `block_events` usage events and their work items."""
        self._partitions, self._blocks = partitions, blocks
        end = FIRST_DAY + timedelta(days=DAYS)
        self._made = make_traffic(seed=seed, days=DAYS, teams=12, events=block_events, end_us=_us(end))
        self._bad: set[Record] = set()
        self._begin = self.now = FIRST_DAY

    @property
    def end(self) -> datetime:
        """The event time before which everything so far has happened."""
        return self._begin + timedelta(days=DAYS)

    def __iter__(self) -> Iterator[Record]:
        for block in itertools.count() if self._blocks is None else range(self._blocks):
            self._begin = FIRST_DAY + timedelta(days=DAYS * block)
            month = self._month(block)
            self._bad |= {record for _, record in bad_records(month.usage, month.items, self._partitions)}
            done, total = 0, len(month.usage) + len(month.items)
            for chunk in records(month, self._partitions):
                yield from chunk
                done += len(chunk)
                self.now = self._begin + min(done / total, 1.0) * timedelta(days=DAYS)

    def bad(self, record: Record) -> bool:
        """Whether it was made to end as a dead letter."""
        return record in self._bad

    def _month(self, block: int) -> Traffic:
        later = block * DAYS * 86_400_000_000
        frames = {
            name: getattr(self._made, name).with_columns(
                pl.col("occurred_at") + later,
                pl.lit(TENANTS[block % len(TENANTS)]).alias("tenant"),
                *(pl.format("{}.{}", pl.col(column), pl.lit(block)).alias(column) for column in columns),
            )
            for name, columns in _IDS
        }
        return replace(self._made, usage=frames["usage"], items=frames["items"])


class Ids:
    """What was produced, per topic: distinct ids by hashes of them, read from the very bytes that were acknowledged."""

    def __init__(self) -> None:
        self._hashes: dict[str, list[npt.NDArray[np.uint64]]] = {topic: [] for topic in INPUT_TOPICS}
        self._lock = threading.Lock()

    def add(self, topic: str, ids: list[bytes]) -> None:
        """Count what has been acknowledged; the same id may come again."""
        found = np.unique(np.fromiter(map(xxhash.xxh64_intdigest, ids), np.uint64, len(ids)))
        with self._lock:
            self._hashes[topic].append(found)

    def distinct(self, topic: str) -> int:
        """Distinct ids so far."""
        with self._lock:
            found = self._hashes[topic] or [np.empty(0, np.uint64)]
            merged = np.unique(np.concatenate(found))
            self._hashes[topic] = [merged]
        return len(merged)


class Publishing:
    """Two publishers in the background: the bulk of the traffic through `publish_records`, and a few events a second through the idempotent
    UsagePublisher. What a broker that is away does not acknowledge is published again, as publishers do.
    """

    def __init__(self, settings: Settings, months: Months, allowed: Callable[[], float]) -> None:
        """`allowed()`: how many records may have been published by now."""
        self._settings, self._months, self._allowed = settings, months, allowed
        self._finishing, self._stopping = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._guarded, args=(run,), daemon=True) for run in (self._bulk, self._few)
        ]
        self._error: BaseException | None = None
        self.ids = Ids()
        self.bad = self.repeated = 0
        self._of_bulk = self._of_few = 0

    @property
    def records(self) -> int:
        """Records acknowledged so far; of those published again, once."""
        return self._of_bulk + self._of_few

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def check(self) -> None:
        """Raise what publishing came to."""
        if self._error is not None:
            raise self._error

    def finish(self, *, rest: bool) -> None:
        """Publish the rest as fast as it goes, or nothing more; returns when all is acknowledged."""
        self._finishing.set()
        if not rest:
            self._stopping.set()
        self._threads[0].join()
        self._stopping.set()
        self._threads[1].join()
        self.check()

    def _guarded(self, run: Callable[[], None]) -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that asks
            self._error = error

    def _bulk(self) -> None:
        stream = iter(self._months)
        while not self._stopping.is_set():
            free = SLICE if self._finishing.is_set() else min(int(self._allowed()) - self._of_bulk, SLICE)
            if free <= 0:
                self._stopping.wait(SLICE_S / 5)
                continue
            piece = list(itertools.islice(stream, free))
            if not piece:
                return
            self._deliver(piece)
            if len(piece) < SLICE:
                self._stopping.wait(SLICE_S)

    def _deliver(self, piece: list[Record]) -> None:
        while True:
            try:
                publish_records(self._settings, piece)
                break
            except BrokerUnavailable:
                self.repeated += 1
                time.sleep(AGAIN_S)
        good = [record for record in piece if not self._months.bad(record)]
        for topic in INPUT_TOPICS:
            self.ids.add(topic, [event_id(record.value) for record in good if record.topic == topic and record.value])
        self._of_bulk += len(piece)
        self.bad += len(piece) - len(good)

    def _few(self) -> None:
        number = 0
        while not self._stopping.wait(SLICE_S):
            now = self._months.now
            events = [
                UsageEvent(event_id=f"few-{number + i}", occurred_at=now, tenant="few", team="ops", output_tokens=number + i)
                for i in range(5)
            ]  # fmt: skip
            while True:
                try:
                    with UsagePublisher(self._settings) as usage:
                        usage.publish_many(events)
                    break
                except TokenworthError:
                    self.repeated += 1
                    time.sleep(AGAIN_S)
            number += len(events)
            self.ids.add(INPUT_TOPICS[0], [event.event_id.encode() for event in events])
            self._of_few += len(events)


def event_id(value: bytes) -> bytes:
    """The id of an encoded event, first field of both schemas: a zigzag length, then the bytes. It is read by hand: this count shares nothing with the system."""
    length, shift, at = 0, 0, HEADER_BYTES
    while True:
        byte = value[at]
        at += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return value[at : at + length // 2]


def _us(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000
