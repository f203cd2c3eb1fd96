"""Bytes as a script: each read takes a few of them, and nothing but zeros follow their end. So every input of a fuzzer means something."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from streams.events.schemas import shipped_id
from streams.events.wire import pack_header

T = TypeVar("T")
Change = Callable[["Script", bytes], bytes]


class Script:
    """Decisions read from bytes."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def below(self, limit: int) -> int:
        """A number in 0..limit-1, of two bytes."""
        return int.from_bytes(self.bytes(2), "little") % limit

    def bytes(self, count: int) -> bytes:
        """The next bytes."""
        part = self._data[self._at : self._at + count]
        self._at += count
        return part.ljust(count, b"\0")

    def one_of(self, choices: Sequence[T]) -> T:
        """One of the choices; the first when the script has ended."""
        return choices[self.below(len(choices))]


HUGE_NUMBERS: Final = (
    b"\xff" * 9 + b"\x01", b"\xfe" + b"\xff" * 8 + b"\x01", b"\x80" * 9 + b"\x01", b"\x80" * 30, b"\xff" * 4 + b"\x0f",
    b"\xfe" + b"\xff" * 3 + b"\x0f", b"\x80\x80\x80\x80\x10", b"\xff" * 8 + b"\x80\x00", b"\x01", b"\x03\xff\xff\xff\xff\x0f",
)  # fmt: skip
"""Longs of Avro: the least, the greatest, endless ones, lengths of gigabytes."""


def cut(script: Script, value: bytes) -> bytes:
    return value[: script.below(len(value) + 1)]


def flip(script: Script, value: bytes) -> bytes:
    if not value:
        return value
    place = script.below(len(value))
    return value[:place] + bytes([value[place] ^ (1 << script.below(8))]) + value[place + 1 :]


def insert(script: Script, value: bytes) -> bytes:
    place = script.below(len(value) + 1)
    return value[:place] + script.bytes(script.below(9)) + value[place:]


def delete(script: Script, value: bytes) -> bytes:
    place = script.below(len(value) + 1)
    return value[:place] + value[place + 1 + script.below(20) :]


def huge(script: Script, value: bytes) -> bytes:
    place = script.below(len(value) + 1)
    return value[:place] + script.one_of(HUGE_NUMBERS) + value[place + script.below(3) :]


def twice(script: Script, value: bytes) -> bytes:
    return value + value[script.below(6) :]


def nested(script: Script, value: bytes) -> bytes:
    place = script.below(len(value) + 1)
    return value[:place] + script.one_of((b"\x02", b"\x01\x02", b"\x03", b"\x00")) * script.below(3000) + value[place:]


def other_header(script: Script, value: bytes) -> bytes:
    schema_id = script.one_of((0, 2**32 - 1, shipped_id("usage_event"), shipped_id("work_item_event"), 900))
    return pack_header(schema_id) + value[5:]


def other_magic(script: Script, value: bytes) -> bytes:
    return bytes([script.below(256)]) + value[1:]


def blob(script: Script, value: bytes) -> bytes:
    return value + script.bytes(1) * script.one_of((1_000, 100_000, 1_000_000))


def noise(script: Script, value: bytes) -> bytes:
    return value[:5] + script.bytes(script.below(200))


CHANGES: Final[tuple[Change, ...]] = (
    cut, flip, flip, insert, delete, huge, huge, twice, nested, other_header, other_magic, noise, blob,
)  # fmt: skip


def changed(script: Script, value: bytes) -> bytes:
    """The value after one to three changes."""
    for _ in range(1 + script.below(3)):
        value = script.one_of(CHANGES)(script, value)
    return value
