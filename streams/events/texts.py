"""Columns of text as loops read them, and hashes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from streams.compiled import Number, compiled, given, inlined
from streams.events.avro import INLINE_BYTES, half_word, word
from streams.events.records import Records

Array = npt.NDArray[Any]
Hashes = npt.NDArray[np.uint64]


class Texts(NamedTuple):
    """Strings as Arrow lays them out: `views` [n, 4] uint32, a length and then the text itself if it is short, else its place in `data`."""

    views: Array
    data: Array

    @classmethod
    def of(cls, column: pl.Series) -> Texts:
        """Of a String column without nulls; copies only text that lies in more than one buffer."""
        return cls.of_arrow(column.to_arrow(compat_level=pl.CompatLevel.newest()))

    @classmethod
    def of_arrow(cls, arrow: Any) -> Texts:
        """Of string views, likewise."""
        _, views, *parts = arrow.buffers()
        n, first = len(arrow), arrow.offset
        found = np.frombuffer(views, np.uint32)[4 * first : 4 * (first + n)].reshape(n, 4) if n else _NO_VIEWS
        data = [np.frombuffer(part, np.uint8) for part in parts]
        if len(data) > 1:
            begins = np.cumsum([0, *(len(part) for part in data)])
            if begins[-1] >= 1 << 32:  # a place has 32 bits
                return cls.of(pl.Series(arrow.to_pylist(), dtype=pl.String))
            found, long = found.copy(), found[:, 0] > INLINE_BYTES
            found[long, 3] += begins[found[long, 2]].astype(np.uint32)
            found[long, 2] = 0
            data = [np.concatenate(data)]
        return cls(given(found), given(data[0]) if data else _NO_DATA)


def text_column(texts: Texts) -> pl.Series:
    """The same as a column, which goes on using the buffer."""
    views, data = arrow_buffer(np.ascontiguousarray(texts.views)), arrow_buffer(texts.data)
    return pl.Series(pa.Array.from_buffers(pa.string_view(), len(texts.views), [None, views, data]))


def arrow_buffer(array: Any) -> pa.Buffer:
    """The bytes of an array, not copied."""
    return pa.py_buffer(array)


_NO_VIEWS: Final = np.empty((0, 4), np.uint32)
_NO_DATA: Final = given(np.zeros(1, np.uint8))


def words(*texts: str) -> Array:
    """Short texts as their views, to compare others with: [texts, 4] uint32."""
    out = np.zeros((len(texts), 16), np.uint8)
    for row, text in zip(out, texts, strict=True):
        encoded = text.encode()
        assert len(encoded) <= INLINE_BYTES
        row[0] = len(encoded)
        row[4 : 4 + len(encoded)] = np.frombuffer(encoded, np.uint8)
    return given(out.view(np.uint32))


def which(column: Texts, among: Array) -> Array:
    """For each text its place among `words`, as uint8; their number where it is none of them."""
    out = np.empty(len(column.views), np.uint8)
    _which(column.views, among, out)
    return given(out)


@compiled
def _which(views: Array, among: Array, out: Array) -> None:
    for i in range(len(views)):
        found = len(among)
        for k in range(len(among)):
            if (
                views[i, 0] == among[k, 0]
                and views[i, 1] == among[k, 1]
                and views[i, 2] == among[k, 2]
                and views[i, 3] == among[k, 3]
            ):
                found = k
                break
        out[i] = found


SPARE: Final = 16
"""Bytes behind its end that `put_text` may write."""


@inlined
def put_word(out: Array, at: Number, bits: Number) -> None:
    """Eight bytes, the lowest first."""
    for k in range(8):
        out[at + k] = bits >> np.uint64(8 * k) & np.uint64(0xFF)


@inlined
def put_text(views: Array, data: Array, i: Number, out: Array, at: Number) -> Number:
    """Copy the bytes of a text to `at`; returns where they end."""
    size = np.int64(views[i, 0])
    if size <= INLINE_BYTES:
        put_word(out, at, np.uint64(views[i, 1]) | np.uint64(views[i, 2]) << np.uint64(32))
        put_word(out, at + 8, np.uint64(views[i, 3]))
    else:
        begin, k = np.uint64(views[i, 3]), 0
        while k + 8 < size:
            put_word(out, at + k, word(data, begin + np.uint64(k)))
            k += 8
        put_word(out, at + size - 8, word(data, begin + np.uint64(size - 8)))
    return at + size


# --- 128-bit hashes ---------------------------------------------------------------------------------------------------------------------
# Two different keys would have to agree in all 128 bits to be mistaken. Stable within a version of this file only, so never stored.

_A: Final = np.uint64(0x9E3779B97F4A7C15)
_B: Final = np.uint64(0xC2B2AE3D27D4EB4F)
_C: Final = np.uint64(0xBF58476D1CE4E5B9)
_D: Final = np.uint64(0x94D049BB133111EB)


def hashes(*columns: Texts | Array) -> Hashes:
    """128 bits for each row of texts and whole numbers: [n, 2] uint64. The order of the columns counts, and where one text ends."""
    first = columns[0]
    begin = np.empty((len(first.views if isinstance(first, Texts) else first), 2), np.uint64)
    begin[:, 0], begin[:, 1] = _A, _B
    return _mixed(begin, columns)


def mixed(ids: Hashes, *columns: Texts | Array) -> Hashes:
    """Hashes of what was hashed before and of further columns."""
    return _mixed(ids.copy(), columns)


def _mixed(out: Hashes, columns: Sequence[Texts | Array]) -> Hashes:
    for column in columns:
        if isinstance(column, Texts):
            _mix_texts(column.views, column.data, out)
        else:
            _mix_numbers(given(column.view(np.int64)), out)
    _finish_all(out)
    return out


@compiled
def _mix_texts(views: Array, data: Array, out: Array) -> None:
    before_high = before_low = high = low = np.uint64(0)
    for i in range(len(views)):
        if i and before_high == out[i, 0] and before_low == out[i, 1] and same_short(views, i, i - 1):
            out[i, 0], out[i, 1] = high, low
            continue
        before_high, before_low = out[i, 0], out[i, 1]
        high, low = take_text(*take(before_high, before_low, np.uint64(views[i, 0])), views, data, i)
        out[i, 0], out[i, 1] = high, low


@inlined
def same_short(views: Array, a: Number, b: Number) -> bool:
    """Whether two texts are short and equal, as in many a column most are to the one before."""
    return bool(
        views[a, 0] == views[b, 0]
        and views[a, 1] == views[b, 1]
        and views[a, 2] == views[b, 2]
        and views[a, 3] == views[b, 3]
        and views[a, 0] <= np.uint32(INLINE_BYTES)
    )


@inlined
def take_text(high: Number, low: Number, views: Array, data: Array, i: Number) -> tuple[Number, Number]:
    """Go on hashing with the bytes of a text, eight by eight, after its length: so no two rows of texts are hashed alike."""
    size = views[i, 0]
    if size <= np.uint32(INLINE_BYTES):
        high, low = take(high, low, np.uint64(views[i, 1]) | np.uint64(views[i, 2]) << np.uint64(32))
        if size > np.uint32(8):
            high, low = take(high, low, np.uint64(views[i, 3]))
        return high, low
    at, end = np.uint64(views[i, 3]), np.uint64(views[i, 3]) + np.uint64(size)
    while at + np.uint64(8) <= end:
        high, low = take(high, low, word(data, at))
        at += np.uint64(8)
    if at < end:  # of the last eight bytes those that are left, without bytes of another text
        high, low = take(high, low, word(data, end - np.uint64(8)) >> (np.uint64(8) - (end - at) << np.uint64(3)))
    return high, low


@compiled
def _mix_numbers(values: Array, out: Array) -> None:
    for i in range(len(values)):
        out[i, 0], out[i, 1] = take(out[i, 0], out[i, 1], np.uint64(values[i]))


@inlined
def take(high: Number, low: Number, bits: Number) -> tuple[Number, Number]:
    """Go on hashing with eight bytes."""
    high ^= bits * _A
    high = (high << np.uint64(27) | high >> np.uint64(37)) * _C + _B
    low ^= bits * _B
    low = (low << np.uint64(31) | low >> np.uint64(33)) * _D + _A
    return high, low


@compiled
def _finish_all(out: Array) -> None:
    for i in range(len(out)):
        out[i, 0], out[i, 1] = finish(out[i, 0], out[i, 1])


@inlined
def finish(high: Number, low: Number) -> tuple[Number, Number]:
    """End what was hashed: every bit depends on all of it."""
    high, low = scrambled(high), scrambled(low)
    return high + low, low ^ (high << np.uint64(32) | high >> np.uint64(32))


@inlined
def scrambled(bits: Number) -> Number:
    """64 bits so that each of them depends on each of these."""
    bits = np.uint64(bits)
    bits ^= bits >> np.uint64(30)
    bits *= _C
    bits ^= bits >> np.uint64(27)
    bits *= _D
    return bits ^ bits >> np.uint64(31)


# --- xxHash64: the same as ClickHouse's (xxhash_spec.md of the xxHash project) ----------------------------------------------------------

_P1: Final = np.uint64(11400714785074694791)
_P2: Final = np.uint64(14029467366897019727)
_P3: Final = np.uint64(1609587929392839161)
_P4: Final = np.uint64(9650029242287828579)
_P5: Final = np.uint64(2870177450012600261)


def xxhash64(column: Texts) -> Hashes:
    """xxHash64 of the UTF-8 bytes of each text."""
    out = np.empty(len(column.views), np.uint64)
    _xxhash64s(column.views, given(column.views.reshape(-1).view(np.uint8)), column.data, out)
    return out


def xxhash64_of(records: Records) -> Hashes:
    """xxHash64 of the bytes of each record; of a null record that of no bytes."""
    out = np.empty(len(records), np.uint64)
    _xxhash64_slices(records.buffer, given(records.starts), given(records.stops), out)
    return out


@compiled
def _xxhash64_slices(data: Array, starts: Array, stops: Array, out: Array) -> None:
    for i in range(len(starts)):
        out[i] = _xxhash64(data, np.uint64(starts[i]), np.uint64(max(stops[i] - starts[i], 0)))


@compiled
def _xxhash64s(views: Array, inline: Array, data: Array, out: Array) -> None:
    for i in range(len(views)):
        size = np.uint64(views[i, 0])
        if size <= np.uint64(INLINE_BYTES):
            out[i] = _xxhash64(inline, np.uint64(16 * i + 4), size)
        else:
            out[i] = _xxhash64(data, np.uint64(views[i, 3]), size)


@inlined
def _xxhash64(data: Array, at: Number, size: Number) -> Number:
    end = at + size
    if size >= np.uint64(32):
        a, b, c, d = _P1 + _P2, _P2, np.uint64(0), np.uint64(0) - _P1
        while at + np.uint64(32) <= end:
            a = _round(a, word(data, at))
            b = _round(b, word(data, at + np.uint64(8)))
            c = _round(c, word(data, at + np.uint64(16)))
            d = _round(d, word(data, at + np.uint64(24)))
            at += np.uint64(32)
        h = _left(a, 1) + _left(b, 7) + _left(c, 12) + _left(d, 18)
        h = _merge(_merge(_merge(_merge(h, a), b), c), d)
    else:
        h = _P5
    h += size
    while at + np.uint64(8) <= end:
        h = _left(h ^ _round(np.uint64(0), word(data, at)), 27) * _P1 + _P4
        at += np.uint64(8)
    if at + np.uint64(4) <= end:
        h = _left(h ^ half_word(data, at) * _P1, 23) * _P2 + _P3
        at += np.uint64(4)
    while at < end:
        h = _left(h ^ np.uint64(data[at]) * _P5, 11) * _P1
        at += np.uint64(1)
    h = (h ^ h >> np.uint64(33)) * _P2
    h = (h ^ h >> np.uint64(29)) * _P3
    return h ^ h >> np.uint64(32)


@inlined
def _left(bits: Number, by: Number) -> Number:
    return bits << np.uint64(by) | bits >> np.uint64(64 - by)


@inlined
def _round(lane: Number, bits: Number) -> Number:
    return _left(lane + bits * _P2, 31) * _P1


@inlined
def _merge(h: Number, lane: Number) -> Number:
    return (h ^ _round(np.uint64(0), lane)) * _P1 + _P4
