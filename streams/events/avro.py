"""Avro datums to columns, one pass over the bytes: the loops of events/columns.py.

A datum is read by a program of one step per field of its writer's schema. Every byte is looked at before it counts: a record is good only if
it is exactly one datum, as the Avro specification lays it out, with texts in UTF-8.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streams.compiled import Number, compiled

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
_BAD: Final = -1


@compiled
def read_datums(
    buffer: Array, starts: Array, stops: Array, header: Array, kinds: Array, slots: Array,
    views: Array, longs: Array, present: Array, counts: Array, members: Array, good: Array,
) -> Number:  # fmt: skip
    """Read each record behind `header` into row i of the columns; returns how many members the arrays have together, also those that had no room.

    `kinds`, `slots`: per field what it is and which column of its sort it fills (-1: none). `views`: [strings, records, 4] uint32, Arrow views
    into `buffer`. `longs`, `present`: [longs, records]. `counts`: [arrays, records]; `members`: [arrays, room, 4]
    uint32, the views of one array after the other. `good`: [records], 0 or 1; columns of a record that is not good are zeroed.
    """
    used = np.zeros(len(members), np.int64)
    held = np.zeros(len(members), np.int64)
    for i in range(len(starts)):
        at, end = starts[i], stops[i]
        for k in range(len(held)):
            held[k] = used[k]
        well = _has_header(buffer, at, end, header)
        at += len(header)
        field = 0
        while well and field < len(kinds):
            kind, slot = kinds[field], slots[field]
            field += 1
            given = True
            if kind >= OPTIONAL:
                kind -= OPTIONAL
                branch, at = _long(buffer, at, end)
                if at < 0 or branch < 0 or branch > 1:
                    well = False
                    break
                given = branch == 1
            if not given:
                if slot >= 0:
                    if kind == STRING:
                        views[slot, i, :] = 0
                    else:
                        longs[slot, i] = 0
                        present[slot, i] = 0
            elif kind == STRING:
                size, at = _long(buffer, at, end)
                if at < 0 or size < 0 or size > end - at or not _is_text(buffer, at, at + size):
                    well = False
                    break
                if slot >= 0:
                    _view(buffer, at, size, views[slot, i])
                at += size
            elif kind in (LONG, INT):
                value, at = _long(buffer, at, end)
                if at < 0 or (kind == INT and (value < -2147483648 or value > 2147483647)):
                    well = False
                    break
                if slot >= 0:
                    longs[slot, i] = value
                    present[slot, i] = 1
            elif kind == BOOLEAN:
                if at >= end or buffer[at] > 1:
                    well = False
                    break
                at += 1
            elif kind == FIXED_4:
                at += 4
            elif kind == FIXED_8:
                at += 8
            else:
                count, at, held_by = _strings(buffer, at, end, members, slot, held[slot] if slot >= 0 else 0)
                if at < 0:
                    well = False
                    break
                if slot >= 0:
                    counts[slot, i] = count
                    held[slot] = held_by
        if well and at == end:
            good[i] = 1
            for k in range(len(held)):
                used[k] = held[k]
        else:
            good[i] = 0
            views[:, i, :] = 0
            longs[:, i] = 0
            present[:, i] = 0
            counts[:, i] = 0
    most = 0
    for k in range(len(used)):
        most = max(most, used[k])
    return most


@compiled
def _has_header(buffer: Array, at: Number, end: Number, header: Array) -> bool:
    if end - at < len(header):
        return False
    for k in range(len(header)):
        if buffer[at + k] != header[k]:
            return False
    return True


@compiled
def _strings(
    buffer: Array, at: Number, end: Number, members: Array, slot: Number, held: Number
) -> tuple[Number, Number, Number]:
    """An array's number of strings, where it ends (-1: it is not well), and how many members are held with it."""
    total = 0
    while True:
        count, at = _long(buffer, at, end)
        if at < 0:
            return 0, _BAD, held
        if count == 0:
            return total, at, held
        if count < 0:
            size, at = _long(buffer, at, end)
            if at < 0 or size < 0 or count == -9223372036854775808:
                return 0, _BAD, held
            count = -count
        if count > end - at:  # each takes a byte at least
            return 0, _BAD, held
        for _ in range(count):
            size, at = _long(buffer, at, end)
            if at < 0 or size < 0 or size > end - at or not _is_text(buffer, at, at + size):
                return 0, _BAD, held
            if slot >= 0:
                if held < members.shape[1]:
                    _view(buffer, at, size, members[slot, held])
                held += 1
            at += size
        total += count


@compiled
def _long(buffer: Array, at: Number, end: Number) -> tuple[Number, Number]:
    """A zig-zag number and where it ends; -1: it does not end, or has more than 64 bits."""
    shift, bits = np.uint64(0), np.uint64(0)
    while at < end:
        byte = np.uint64(buffer[at])
        at += 1
        if shift == np.uint64(63) and byte > np.uint64(1):
            return 0, _BAD
        bits |= (byte & np.uint64(0x7F)) << shift
        if byte < np.uint64(0x80):
            return np.int64(bits >> np.uint64(1)) ^ -np.int64(bits & np.uint64(1)), at
        shift += np.uint64(7)
    return 0, _BAD


@compiled
def _view(buffer: Array, at: Number, size: Number, view: Array) -> None:
    """Arrow's view of a string: its length, then itself if it is short, else its first four bytes, the number of the buffer and the place there."""
    view[0] = size
    if size > INLINE_BYTES:
        view[1] = _word(buffer, at, 4)
        view[2] = 0
        view[3] = at
    else:
        view[1] = _word(buffer, at, min(size, 4))
        view[2] = _word(buffer, at + 4, min(size - 4, 4))
        view[3] = _word(buffer, at + 8, min(size - 8, 4))


@compiled
def _word(buffer: Array, at: Number, size: Number) -> Number:
    """The next bytes, not more than four, the first of them the lowest."""
    word = np.uint32(0)
    for k in range(size):
        word |= np.uint32(buffer[at + k]) << np.uint32(8 * k)
    return word


@compiled
def _is_text(buffer: Array, at: Number, end: Number) -> bool:
    """Whether bytes are UTF-8 (RFC 3629, section 4)."""
    seen = np.uint8(0)
    for k in range(at, end):
        seen |= buffer[k]
    if seen < 0x80:
        return True
    while at < end:
        first = buffer[at]
        low, high = 0x80, 0xBF
        if first < 0x80:
            at += 1
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
        if more >= end - at:
            return False
        for k in range(1, more + 1):
            if buffer[at + k] < low or buffer[at + k] > high:
                return False
            low, high = 0x80, 0xBF
        at += more + 1
    return True
