"""Kafka's partitioner over a whole column of keys: the arithmetic of `keys.murmur2`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from streams.compiled import Number, compiled, given
from streams.events.avro import INLINE_BYTES, short_word
from streams.events.texts import Texts

Array = npt.NDArray[Any]

_SEED: Final = np.uint64(0x9747B28C)
_M: Final = np.uint64(0x5BD1E995)
"""Numbers of 32 bits become 64 in a compiled loop."""


def murmur2_column(keys: pl.Series) -> npt.NDArray[np.uint32]:
    """murmur2 of each key's UTF-8 bytes. `keys`: String without nulls."""
    column, out = Texts.of(keys), np.empty(len(keys), np.uint32)
    _murmur2s(column.views, given(column.views.reshape(-1).view(np.uint8)), column.data, out)
    return out


def partitions_of(keys: pl.Series, partitions: int) -> npt.NDArray[np.int64]:
    """The partition of each key among `partitions`. `keys`: String without nulls."""
    return (murmur2_column(keys) & np.uint32(0x7FFFFFFF)).astype(np.int64) % partitions


@compiled
def _murmur2s(views: Array, inline: Array, data: Array, out: Array) -> None:
    for i in range(len(views)):
        size = np.uint64(views[i, 0])
        if size <= np.uint64(INLINE_BYTES):
            out[i] = _murmur2(inline, np.uint64(16 * i + 4), size)
        else:
            out[i] = _murmur2(data, np.uint64(views[i, 3]), size)


@compiled
def _murmur2(data: Array, at: Number, size: Number) -> Number:
    h = _SEED ^ size
    end = at + size
    while at + np.uint64(4) <= end:
        k = _times(short_word(data, at, at + np.uint64(4)))
        h = _times(h) ^ _times(k ^ k >> np.uint64(24))
        at += np.uint64(4)
    if at < end:
        h = _times(h ^ short_word(data, at, end))
    h = _times(h ^ h >> np.uint64(13))
    return h ^ h >> np.uint64(15)


@compiled
def _times(bits: Number) -> Number:
    return bits * _M & np.uint64(0xFFFFFFFF)
