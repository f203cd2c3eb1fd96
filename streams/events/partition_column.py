"""Kafka's partitioner over a whole column of keys: the arithmetic of `keys.murmur2`, one word of all keys at a time."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

_SEED: Final = np.uint32(0x9747B28C)
_M: Final = np.uint32(0x5BD1E995)
_TAIL_MASK: Final = np.array([0, 0xFF, 0xFFFF, 0xFFFFFF], dtype=np.uint32)


def murmur2_column(keys: pl.Series) -> npt.NDArray[np.uint32]:
    """murmur2 of each key's UTF-8 bytes. `keys`: String without nulls."""
    arrow: Any = keys.to_arrow(compat_level=pl.CompatLevel.oldest())
    n = len(arrow)
    if n == 0:
        return np.empty(0, np.uint32)
    _, offset_buffer, data_buffer = arrow.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64)[arrow.offset : arrow.offset + n + 1]
    # Four bytes of padding let the last key read a whole word; little-endian words at any byte position.
    data = np.zeros(offsets[-1] + 4, np.uint8)
    data[: offsets[-1]] = np.frombuffer(data_buffer, np.uint8)[: offsets[-1]]
    word_at = np.ndarray(shape=(data.size - 3,), dtype="<u4", buffer=data.data, strides=(1,))

    lengths = (offsets[1:] - offsets[:-1]).astype(np.uint32)
    # Longest first: the keys that still have an i-th word are then a prefix.
    order = np.argsort(lengths, kind="stable")[::-1]
    length, start = lengths[order], offsets[:-1][order]
    words = length >> 2
    h = _SEED ^ length
    alive = np.searchsorted(-words.astype(np.int64), -np.arange(int(words[0])), side="left")
    for i, count in enumerate(alive):
        k = word_at[start[:count] + 4 * i] * _M
        k ^= k >> np.uint32(24)
        k *= _M
        h[:count] *= _M
        h[:count] ^= k
    rest = length & np.uint32(3)
    tail = word_at[start + (words.astype(np.int64) << 2)] & _TAIL_MASK[rest]
    h = np.where(rest > 0, (h ^ tail) * _M, h)
    h ^= h >> np.uint32(13)
    h *= _M
    h ^= h >> np.uint32(15)
    result = np.empty(n, np.uint32)
    result[order] = h
    return result


def partitions_of(keys: pl.Series, partitions: int) -> npt.NDArray[np.int64]:
    """The partition of each key among `partitions`. `keys`: String without nulls."""
    return (murmur2_column(keys) & np.uint32(0x7FFFFFFF)).astype(np.int64) % partitions
