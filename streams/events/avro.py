"""Avro datums to columns, one pass over the bytes: the loops of events/columns.py.

A datum is read by a program of one step per field of its writer's schema. Every byte is looked at before it counts: a record is good only if
it is exactly one datum, as the Avro specification lays it out, with texts in UTF-8.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streams.compiled import Number, compiled, inlined

Array = npt.NDArray[Any]

STRING: Final = 0
LONG: Final = 1
INT: Final = 2
BOOLEAN: Final = 3
FIXED_4: Final = 4
FIXED_8: Final = 5
STRINGS: Final = 6
"""An array of strings."""
OPTIONAL: Final = 8
"""Added to a kind: a union of null and it, in this order."""

INLINE_BYTES: Final = 12
"""Strings of up to this length stand in their view, as Arrow lays it out."""
_FAR: Final = np.uint64(1 << 62)
"""A place behind every end: what does not end well ends there."""
_ONE: Final = np.uint64(1)
_HALF: Final = np.uint64(32)
_NOT_ASCII: Final = np.uint64(0x8080808080808080)


@compiled
def read_datums(
    buffer: Array, starts: Array, stops: Array, header: Array, kinds: Array, slots: Array,
    views: Array, longs: Array, present: Array, counts: Array, members: Array, used: Array, held: Array, good: Array,
) -> None:  # fmt: skip
    """Read each record behind `header` into row i of the columns.

    `kinds`, `slots`: per field what it is and which column of its sort it fills (-1: none). `views`: [strings, records, 2] uint64, Arrow views
    into `buffer`. `longs`, `present`: [longs, records]. `counts`: [arrays, records]; `members`: [arrays, room, 2]
    uint64, the views of one array after the other; `used`, `held`: [arrays], zeros: `used` becomes how many members they have together, also
    those that had no room. `good`: [records], 0 or 1; columns of a record that is not good are zeroed.
    """
    for i in range(len(starts)):
        at, end = np.uint64(starts[i]), np.uint64(max(stops[i], starts[i]))
        for k in range(len(held)):
            held[k] = used[k]
        if _has_header(buffer, at, end, header):
            at += np.uint64(len(header))
        else:
            at = _FAR
        for field in range(len(kinds)):
            if at > end:
                break
            kind, slot = kinds[field], slots[field]
            if kind >= OPTIONAL:
                kind -= OPTIONAL
                branch, at = _long(buffer, at, end)
                if branch == 0 and at <= end:
                    if slot >= 0:
                        if kind == STRING:
                            views[slot, i, 0], views[slot, i, 1] = 0, 0
                        else:
                            longs[slot, i], present[slot, i] = 0, 0
                    continue
                if branch != 1 or at > end:
                    at = _FAR
                    break
            if kind == STRING:
                size, at = _long(buffer, at, end)
                if at > end or size < 0 or np.uint64(size) > end - at:
                    at = _FAR
                    break
                if slot >= 0:
                    well = _text(buffer, at, np.uint64(size), views, slot, i)
                else:
                    well = _is_text(buffer, at, at + np.uint64(size))
                at = at + np.uint64(size) if well else _FAR
            elif kind in (LONG, INT):
                value, at = _long(buffer, at, end)
                if kind == INT and (value < -2147483648 or value > 2147483647):
                    at = _FAR
                elif slot >= 0 and at <= end:
                    longs[slot, i], present[slot, i] = value, 1
            elif kind == BOOLEAN:
                at = at + _ONE if at < end and buffer[at] <= 1 else _FAR
            elif kind == FIXED_4:
                at += np.uint64(4)
            elif kind == FIXED_8:
                at += np.uint64(8)
            else:
                count, at, held_by = _strings(buffer, at, end, members, slot, held[slot] if slot >= 0 else 0)
                if slot >= 0 and at <= end:
                    counts[slot, i] = count
                    held[slot] = held_by
        good[i] = at == end
        if at == end:
            for k in range(len(held)):
                used[k] = held[k]
        else:
            views[:, i, :] = 0
            longs[:, i] = 0
            present[:, i] = 0
            counts[:, i] = 0


@inlined
def _has_header(buffer: Array, at: Number, end: Number, header: Array) -> bool:
    if end - at < np.uint64(len(header)):
        return False
    for k in range(len(header)):
        if buffer[at + np.uint64(k)] != header[k]:
            return False
    return True


@compiled
def _strings(
    buffer: Array, at: Number, end: Number, members: Array, slot: Number, held: Number
) -> tuple[Number, Number, Number]:
    """An array's number of strings, where it ends, and how many members are held with it."""
    total = 0
    while True:
        count, at = _long(buffer, at, end)
        if at > end or count == 0:
            return total, at, held
        if count < 0:
            size, at = _long(buffer, at, end)
            if at > end or size < 0 or count == -9223372036854775808:
                return 0, _FAR, held
            count = -count
        if np.uint64(count) > end - at:  # each takes a byte at least
            return 0, _FAR, held
        for _ in range(count):
            size, at = _long(buffer, at, end)
            if at > end or size < 0 or np.uint64(size) > end - at:
                return 0, _FAR, held
            if slot >= 0 and held < members.shape[1]:
                well = _text(buffer, at, np.uint64(size), members, slot, held)
            else:
                well = _is_text(buffer, at, at + np.uint64(size))
            if not well:
                return 0, _FAR, held
            held += 1
            at += np.uint64(size)
        total += count


@inlined
def _long(buffer: Array, at: Number, end: Number) -> tuple[Number, Number]:
    """A zig-zag number and where it ends: far if it does not, or has more than 64 bits."""
    if at < end and buffer[at] < 0x80:
        return np.int64(buffer[at] >> 1) ^ -np.int64(buffer[at] & 1), at + _ONE
    shift, bits = np.uint64(0), np.uint64(0)
    while at < end:
        byte = np.uint64(buffer[at])
        at += _ONE
        if shift == np.uint64(63) and byte > _ONE:
            break
        bits |= (byte & np.uint64(0x7F)) << shift
        if byte < np.uint64(0x80):
            return np.int64(bits >> _ONE) ^ -np.int64(bits & _ONE), at
        shift += np.uint64(7)
    return np.int64(0), _FAR


@inlined
def _text(buffer: Array, at: Number, size: Number, views: Array, slot: Number, row: Number) -> bool:
    """Lay out Arrow's view of a string: its length, then itself if it is short, else its first four bytes, the number of the buffer and the place
    there. False: it is not UTF-8."""
    if size > np.uint64(INLINE_BYTES):
        first, seen = word(buffer, at), np.uint64(0)
        end, k = at + size, at
        while k + np.uint64(8) <= end:
            seen |= word(buffer, k)
            k += np.uint64(8)
        seen |= word(buffer, end - np.uint64(8))
        views[slot, row, 0], views[slot, row, 1] = size | first << _HALF, at << _HALF
    else:
        first, second = _sixteen(buffer, at, size)
        seen = first | second
        views[slot, row, 0], views[slot, row, 1] = size | first << _HALF, first >> _HALF | second << _HALF
    return seen & _NOT_ASCII == np.uint64(0) or _is_text(buffer, at, at + size)


@inlined
def _sixteen(buffer: Array, at: Number, size: Number) -> tuple[Number, Number]:
    """Up to sixteen bytes, the first of them the lowest of the first word; nothing behind them is read into it."""
    if at + np.uint64(16) > np.uint64(len(buffer)):
        half = at + min(size, np.uint64(8))
        return short_word(buffer, at, half), short_word(buffer, half, at + size)
    first, second = word(buffer, at), word(buffer, at + np.uint64(8))
    if size < np.uint64(8):
        return first & ((_ONE << (size << np.uint64(3))) - _ONE), np.uint64(0)
    return first, second & ((_ONE << ((size - np.uint64(8)) << np.uint64(3))) - _ONE)


@inlined
def word(data: Array, at: Number) -> Number:
    """Eight bytes, the first of them the lowest."""
    one = np.uint64(1)
    return (
        np.uint64(data[at])
        | np.uint64(data[at + one]) << np.uint64(8)
        | np.uint64(data[at + np.uint64(2)]) << np.uint64(16)
        | np.uint64(data[at + np.uint64(3)]) << np.uint64(24)
        | np.uint64(data[at + np.uint64(4)]) << np.uint64(32)
        | np.uint64(data[at + np.uint64(5)]) << np.uint64(40)
        | np.uint64(data[at + np.uint64(6)]) << np.uint64(48)
        | np.uint64(data[at + np.uint64(7)]) << np.uint64(56)
    )


@inlined
def half_word(data: Array, at: Number) -> Number:
    """Four bytes, likewise."""
    return (
        np.uint64(data[at])
        | np.uint64(data[at + np.uint64(1)]) << np.uint64(8)
        | np.uint64(data[at + np.uint64(2)]) << np.uint64(16)
        | np.uint64(data[at + np.uint64(3)]) << np.uint64(24)
    )


@inlined
def short_word(data: Array, at: Number, end: Number) -> Number:
    """The bytes from `at` up to `end`, fewer than eight, the first of them the lowest."""
    out, shift = np.uint64(0), np.uint64(0)
    while at < end:
        out |= np.uint64(data[at]) << shift
        shift += np.uint64(8)
        at += np.uint64(1)
    return out


@compiled
def _is_text(buffer: Array, at: Number, end: Number) -> bool:
    """Whether bytes are UTF-8 (RFC 3629, section 4)."""
    while at < end:
        first = buffer[at]
        low, high = 0x80, 0xBF
        if first < 0x80:
            at += _ONE
            continue
        if 0xC2 <= first <= 0xDF:
            more = 1
        elif 0xE0 <= first <= 0xEF:
            more = 2
            if first == 0xE0:
                low = 0xA0
            elif first == 0xED:
                high = 0x9F
        elif 0xF0 <= first <= 0xF4:
            more = 3
            if first == 0xF0:
                low = 0x90
            elif first == 0xF4:
                high = 0x8F
        else:
            return False
        if np.uint64(more) >= end - at:
            return False
        for k in range(1, more + 1):
            byte = buffer[at + np.uint64(k)]
            if byte < low or byte > high:
                return False
            low, high = 0x80, 0xBF
        at += np.uint64(more + 1)
    return True
