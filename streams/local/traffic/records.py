"""The traffic as Kafka records in the order in which its publishers send them: both topics merged by time, some late, some twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import polars as pl

from streams.config import ITEMS_TOPIC, USAGE_TOPIC
from streams.local.traffic import Traffic
from streams.local.traffic.bad import bad_records
from streams.local.traffic.episodes import MINUTE_US
from streams.local.traffic.rhythm import Ints
from streams.publish.columns import Record, encode
from streams.windows.measures import DAY_US

__all__ = ["Record", "records"]

SECOND_US: Final = 1_000_000
LATE_SESSIONS: Final = 0.012
"""Laptops that were off line report a whole session up to a day later."""
LATE_EVENTS: Final = 0.004
TWICE: Final = 0.02
"""Publishers send again what was acknowledged too late."""
_CHUNK_ROWS: Final = 20_000


def records(traffic: Traffic, partitions: int) -> Iterator[list[Record]]:
    """Everything to publish, in chunks of `_CHUNK_ROWS`; the same for the same traffic."""
    rng = np.random.default_rng([traffic.seed, 1])
    usage, items = traffic.usage, traffic.items
    usage_sent, usage_rows = _sent(rng, usage["occurred_at"].to_numpy(), usage["session_id"])
    items_sent, items_rows = _sent(rng, items["occurred_at"].to_numpy(), items["work_item_id"])
    bad = bad_records(usage, items, partitions)
    sent = np.concatenate((usage_sent, items_sent, np.array([at for at, _ in bad], dtype=np.int64)))
    topic = np.repeat((0, 1, 2), (len(usage_sent), len(items_sent), len(bad)))
    row = np.concatenate((usage_rows, items_rows, np.arange(len(bad))))
    order = np.argsort(sent, kind="stable")
    topic, row = topic[order], row[order]
    for begin in range(0, len(order), _CHUNK_ROWS):
        kind, rows = topic[begin : begin + _CHUNK_ROWS], row[begin : begin + _CHUNK_ROWS]
        streams = (
            iter(_usage_records(usage[rows[kind == 0]])),
            iter(_item_records(items[rows[kind == 1]])),
            iter([bad[k][1] for k in rows[kind == 2]]),
        )
        yield [next(streams[k]) for k in kind]


def _sent(rng: np.random.Generator, occurred_at: Ints, session: pl.Series) -> tuple[Ints, Ints]:
    """Times of publishing and the rows published then: every row once, and some a second time."""
    count = len(occurred_at)
    sent = occurred_at + (rng.exponential(1.5, count) * SECOND_US).astype(np.int64)
    of = session.fill_null("").rank("dense").to_numpy().astype(np.int64)
    names = int(of.max(initial=0)) + 1
    off_line = np.where(rng.random(names) < LATE_SESSIONS, np.minimum(rng.exponential(0.2, names), 1.0) * DAY_US, 0.0)
    held = np.where(rng.random(count) < LATE_EVENTS, rng.exponential(8.0, count) * MINUTE_US, 0.0)
    sent += (off_line[of] + held).astype(np.int64)
    again = np.flatnonzero(rng.random(count) < TWICE)
    later = sent[again] + (np.clip(rng.lognormal(2.5, 2.2, len(again)), 0.1, 86_400) * SECOND_US).astype(np.int64)
    return np.concatenate((sent, later)), np.concatenate((np.arange(count), again))


def _usage_records(frame: pl.DataFrame) -> list[Record]:
    key = (
        pl.when(pl.col("work_item_id").is_not_null())
        .then(pl.format("{}/{}", "tenant", "work_item_id"))
        .otherwise(pl.format("{}/session:{}", "tenant", "session_id"))
    )
    return _records(USAGE_TOPIC, frame.select(key).to_series(), encode(frame, "usage_event"))


def _item_records(frame: pl.DataFrame) -> list[Record]:
    key = frame.select(pl.format("{}/{}", "tenant", "work_item_id")).to_series()
    return _records(ITEMS_TOPIC, key, encode(frame, "work_item_event"))


def _records(topic: str, keys: pl.Series, values: list[bytes]) -> list[Record]:
    return [Record(topic, key.encode(), value) for key, value in zip(keys, values, strict=True)]
