"""The distinct texts of columns by number: what many rows share is looked at once, by checks, series and raw rows alike."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from streams.compiled import Number, compiled, given, inlined
from streams.events.avro import INLINE_BYTES, word
from streams.events.texts import Texts, which

Array = npt.NDArray[Any]

_A: Final = np.uint64(0x9E3779B97F4A7C15)
_B: Final = np.uint64(0xC2B2AE3D27D4EB4F)
_C: Final = np.uint64(0xBF58476D1CE4E5B9)
"""Odd numbers whose products spread what they are given over the high bits."""


class Codes(NamedTuple):
    """Texts by number: `numbers` [rows] uint16, and the row of each number's first appearance, [numbers] int64."""

    numbers: Array
    firsts: Array

    def at(self, rows: Array) -> Codes:
        """Of some rows; of a number may be no row then."""
        return Codes(given(self.numbers[rows]), self.firsts)


_CODE_BITS: Final = 11
_MOST_CODES: Final = 1 << _CODE_BITS
_SLOT_BITS: Final = 13
_LENGTH: Final = np.uint64(0xFFFFFFFF)
"""Of the first word of a view."""


def numbered(column: Texts) -> Codes | None:
    """The distinct texts of a column by number; None when they are more than 2,048."""
    halves = given(column.views.view(np.uint64))
    slots, firsts = np.zeros(1 << _SLOT_BITS, np.int32), np.empty(_MOST_CODES, np.int64)
    numbers = np.empty(len(halves), np.uint16)
    found = _number_texts(column.views, halves, column.data, slots, firsts, numbers)
    return None if found < 0 else Codes(given(numbers), given(firsts[:found]))


@compiled
def _number_texts(views: Array, halves: Array, data: Array, slots: Array, firsts: Array, numbers: Array) -> Number:
    """Returns how many there are, -1 if more than `firsts` has room for. `halves`: the views as two words each. `slots`: zeros."""
    found, shift = 0, np.uint64(64 - _SLOT_BITS)
    for i in range(len(views)):
        first, second = halves[i, 0], halves[i, 1]
        short = first & _LENGTH <= np.uint64(INLINE_BYTES)
        place = ((first * _A ^ second * _B) if short else _mixed(data, first, second)) * _C >> shift
        while True:
            key = slots[place] - 1
            if key < 0:
                if found == len(firsts):
                    return -1
                slots[place], firsts[found] = found + 1, i
                key = found
                found += 1
                break
            other = firsts[key]
            if halves[other, 0] == first and (
                halves[other, 1] == second if short else _same_long(data, first, second, halves[other, 1])
            ):
                break
            place = (place + np.uint64(1)) & np.uint64(len(slots) - 1)
        numbers[i] = key
    return found


@inlined
def _mixed(data: Array, head: Number, place: Number) -> Number:
    """All bytes of a text that does not stand in its view, mixed. `head`, `place`: the view."""
    at, out = place >> np.uint64(32), head * _A
    last = at + (head & _LENGTH) - np.uint64(8)
    while at < last:
        out = (out ^ word(data, at)) * _B
        out ^= out >> np.uint64(32)
        at += np.uint64(8)
    return out ^ word(data, last) * _A


@inlined
def _same_long(data: Array, head: Number, a: Number, b: Number) -> bool:
    """Whether two texts of the same length, which do not stand in their views, are equal. `a`, `b`: where they begin, as the views have it."""
    last, k = (head & _LENGTH) - np.uint64(8), np.uint64(0)
    a, b = a >> np.uint64(32), b >> np.uint64(32)
    while k < last:
        if word(data, a + k) != word(data, b + k):
            return False
        k += np.uint64(8)
    return bool(word(data, a + last) == word(data, b + last))


def together(columns: Sequence[Codes | None]) -> Codes | None:
    """The distinct rows of up to five columns by number, likewise."""
    held = [column.numbers for column in columns if column is not None]
    if len(held) < len(columns):
        return None
    assert len(held) * _CODE_BITS <= 64
    slots, firsts = np.zeros(1 << _SLOT_BITS, np.int32), np.empty(_MOST_CODES, np.int64)
    numbers = np.empty(len(held[0]), np.uint16)
    found = _number_rows(tuple(held), slots, firsts, np.empty(_MOST_CODES, np.uint64), numbers)
    return None if found < 0 else Codes(given(numbers), given(firsts[:found]))


@compiled
def _number_rows(columns: tuple[Array, ...], slots: Array, firsts: Array, keys: Array, numbers: Array) -> Number:
    """Likewise; `keys`: room for what is distinct."""
    found, shift = 0, np.uint64(64 - _SLOT_BITS)
    for i in range(len(numbers)):
        row = np.uint64(0)
        for k in range(len(columns)):
            row = row << np.uint64(_CODE_BITS) | np.uint64(columns[k][i])
        place = (row ^ row >> np.uint64(29)) * _C >> shift
        while True:
            key = slots[place] - 1
            if key < 0:
                if found == len(firsts):
                    return -1
                slots[place], firsts[found], keys[found] = found + 1, i, row
                key = found
                found += 1
                break
            if keys[key] == row:
                break
            place = (place + np.uint64(1)) & np.uint64(len(slots) - 1)
        numbers[i] = key
    return found


class TextColumns:
    """The text columns of a frame, each looked at once by all who read them."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame
        self._texts: dict[str, Texts] = {}
        self._codes: dict[str, Codes | None] = {}

    def texts(self, name: str) -> Texts:
        """A column, which has no nulls."""
        if name not in self._texts:
            chunks = self._arrow[name].chunks
            self._texts[name] = Texts.of_arrow(chunks[0]) if len(chunks) == 1 else Texts.of(self.frame[name])
        return self._texts[name]

    @cached_property
    def _arrow(self) -> pa.Table:
        """All columns at once, which costs no more than one."""
        return self.frame.to_arrow(compat_level=pl.CompatLevel.newest())

    def codes(self, name: str) -> Codes | None:
        """The distinct texts of a column by number; None when they are many."""
        if name not in self._codes:
            self._codes[name] = numbered(self.texts(name))
        return self._codes[name]

    def which(self, name: str, among: Array) -> Array:
        """`which` of a column."""
        texts, codes = self.texts(name), self.codes(name)
        if codes is None:
            return which(texts, among)
        return given(which(Texts(given(texts.views[codes.firsts]), texts.data), among)[codes.numbers])
