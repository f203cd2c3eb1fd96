"""Kafka's partitioner over a whole column of keys: the arithmetic of `keys.murmur2`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from streams.compiled import Number, compiled, inlined
from streams.events.avro import half_word, short_word
from streams.events.texts import SPARE, Texts, put_text, put_word

Array = npt.NDArray[Any]
Partitions = npt.NDArray[np.int64]

_SEED: Final = np.uint64(0x9747B28C)
_M: Final = np.uint64(0x5BD1E995)
"""Numbers of 32 bits become 64 in a compiled loop."""
_SESSION, _EVENT = np.frombuffer(b"session:event:\0\0", np.uint64)


def partitions_of(keys: pl.Series, partitions: int) -> Partitions:
    """The partition of each key among `partitions`. `keys`: String without nulls."""
    column, out = Texts.of(keys), np.empty(len(keys), np.int64)
    _partitions(column.views, column.data, _room(column), partitions, out)
    return out


def partitions_of_events(columns: Sequence[Texts], partitions: int) -> Partitions:
    """The partition of each event's key, as `keys.usage_key` makes it of tenant, item, session and event id; where all items are given, as
    `keys.work_item_key`."""
    tenants, items, sessions, events = columns
    out = np.empty(len(tenants.views), np.int64)
    _partitions_of_events(*tenants, *items, *sessions, *events, _SESSION, _EVENT, _room(*columns), partitions, out)
    return out


def _room(*columns: Texts) -> Array:
    """For one text of each column, and what stands between them."""
    return np.empty(sum(int(column.views[:, 0].max(initial=0)) for column in columns) + 2 * SPARE, np.uint8)


@compiled
def _partitions(views: Array, data: Array, key: Array, partitions: Number, out: Array) -> None:
    for i in range(len(out)):
        out[i] = _partition(key, put_text(views, data, i, key, 0), partitions)


@compiled
def _partitions_of_events(
    tenants: Array, tenant_data: Array, items: Array, item_data: Array, sessions: Array, session_data: Array,
    events: Array, event_data: Array, session: Number, event: Number, key: Array, partitions: Number, out: Array,
) -> None:  # fmt: skip
    for i in range(len(out)):
        at = put_text(tenants, tenant_data, i, key, 0)
        key[at] = 0x2F
        at += 1
        if items[i, 0]:
            at = put_text(items, item_data, i, key, at)
        elif sessions[i, 0]:
            put_word(key, at, session)
            at = put_text(sessions, session_data, i, key, at + 8)
        else:
            put_word(key, at, event)
            at = put_text(events, event_data, i, key, at + 6)
        out[i] = _partition(key, at, partitions)


@inlined
def _partition(key: Array, size: Number, partitions: Number) -> Number:
    return np.int64(_murmur2(key, np.uint64(0), np.uint64(size)) & np.uint64(0x7FFFFFFF)) % partitions


@inlined
def _murmur2(data: Array, at: Number, size: Number) -> Number:
    h = _SEED ^ size
    end = at + size
    while at + np.uint64(4) <= end:
        k = _times(half_word(data, at))
        h = _times(h) ^ _times(k ^ k >> np.uint64(24))
        at += np.uint64(4)
    if at < end:
        h = _times(h ^ short_word(data, at, end))
    h = _times(h ^ h >> np.uint64(13))
    return h ^ h >> np.uint64(15)


@inlined
def _times(bits: Number) -> Number:
    return bits * _M & np.uint64(0xFFFFFFFF)
