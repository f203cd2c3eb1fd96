"""Checks of single field values, for the typed events: each raises with the field's name and what it may be."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from streams.events.bounds import EARLIEST_US, MAX_TEXT_BYTES

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_PSEUDONYM: Final = re.compile(r"[a-z0-9][a-z0-9_.-]*:[0-9a-f]{16,64}")


def check_text(field: str, value: str, low: int = 0, high: int = MAX_TEXT_BYTES) -> None:
    """`value` is a string of `low`..`high` UTF-8 bytes."""
    if value.__class__ is not str:
        raise TypeError(f"{field} must be a string, not {type(value).__name__}")
    size = len(value) if value.isascii() else len(value.encode())
    if not low <= size <= high:
        raise ValueError(f"{field} has {size} bytes, allowed is {low}..{high}")


def check_whole(field: str, value: int, low: int, high: int) -> None:
    """`value` is an integer in `low`..`high`."""
    if value.__class__ is not int:
        raise TypeError(f"{field} must be an integer, not {type(value).__name__}")
    if not low <= value <= high:
        raise ValueError(f"{field} is {value}, allowed is {low}..{high}")


def check_word(field: str, value: str, words: tuple[str, ...]) -> None:
    """`value` is one of `words`."""
    if value not in words:
        raise ValueError(f"{field} must be one of {', '.join(words)}")


def check_actor(field: str, value: str) -> None:
    """`value` is '' or a pseudonym: namespace, colon, 16 to 64 hex digits. A name or an address is refused."""
    check_text(field, value)
    if value and not _PSEUDONYM.fullmatch(value):
        raise ValueError(f"{field} must be a pseudonym such as streams.publish.Pseudonyms makes: namespace:hex")


def check_time(field: str, value: datetime) -> None:
    """`value` is a time with an offset, not before 2015."""
    if not isinstance(value, datetime):
        raise TypeError(f"{field} must be a datetime, not {type(value).__name__}")
    if value.utcoffset() is None:
        raise ValueError(f"{field} must have a UTC offset: datetime.now(UTC), or one that was parsed with its offset")
    if microseconds(value) < EARLIEST_US:
        raise ValueError(f"{field} is {value.isoformat()}, before 2015")


def microseconds(at: datetime) -> int:
    """Micro-seconds since epoch of a time with an offset; exact."""
    return (at - _EPOCH) // _MICROSECOND
