"""TOML documents of value rules and prices: exact decimals, UTC instants, errors that name the file and the entry."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from importlib.resources import files
from typing import Any, Final, NoReturn

from streams.errors import ConfigError

Row = dict[str, Any]
"""A row of a table by column name; instants are Int64 micro-seconds since the epoch, UTC."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_EVENT_US: Final = 1_420_070_400_000_000
"""2015-01-01, before which no event is accepted: what must cover every event is in force from here on."""
NOTICE_US: Final = 3_600_000_000
"""Workers read rules and prices again every 10 minutes; an hour's notice lets every one of them know a change before it counts."""


class Document:
    """A parsed TOML document. Every error raised through it is a ConfigError that names the file and the entry."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        try:
            self.table: dict[str, Any] = tomllib.loads(text, parse_float=Decimal)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(
                file, f"not valid TOML: {error}", remedy="correct that line; strings need quotes, lists brackets"
            ) from error

    def refuse(self, entry: str, problem: str, remedy: str) -> NoReturn:
        raise ConfigError(self.file, f"{entry}: {problem}", remedy=remedy)

    def only(self, table: Mapping[str, Any], entry: str, allowed: frozenset[str]) -> None:
        """Refuse names that nothing reads: a misspelt setting would otherwise be silently ignored."""
        for name in table:
            if name not in allowed:
                self.refuse(entry, f"unknown name {name!r}", f"use only {', '.join(sorted(allowed))}")

    def tables(self, name: str) -> list[dict[str, Any]]:
        value = self.table.get(name, [])
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            self.refuse(name, "is not a list of tables", f"write each entry below its own line [[{name}]]")
        return value

    def section(self, name: str) -> dict[str, Any]:
        value = self.table.get(name, {})
        if not isinstance(value, dict):
            self.refuse(name, "is not a table", f"write its entries below a line [{name}]")
        return value

    def text(self, table: Mapping[str, Any], name: str, entry: str, default: str | None = None) -> str:
        value = table.get(name, default)
        if not isinstance(value, str):
            self.refuse(entry, f"{name} is {'missing' if value is None else 'not a string'}", f'write {name} = "..."')
        return value

    def texts(self, table: Mapping[str, Any], name: str, entry: str) -> tuple[str, ...]:
        value = table.get(name, [])
        if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
            self.refuse(entry, f"{name} is not a list of strings", f'write {name} = ["...", "..."]')
        return tuple(value)

    def instant(self, table: Mapping[str, Any], name: str, entry: str) -> int:
        """An instant in micro-seconds. A date means its UTC midnight; a time must say its offset."""
        value = table.get(name)
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day, tzinfo=UTC)
        if not isinstance(value, datetime) or value.tzinfo is None:
            self.refuse(entry, f"{name} is not an instant", f"write {name} = 2026-01-31T00:00:00Z, without quotes")
        return (value - EPOCH) // timedelta(microseconds=1)

    def scaled(self, value: object, scale: int, entry: str, name: str) -> int:
        """`value` x `scale` as an exact integer; value is an integer, a decimal, or a string with one."""
        try:
            exact = (
                Decimal(value) * scale
                if isinstance(value, int | str | Decimal) and not isinstance(value, bool)
                else Decimal("NaN")
            )
        except InvalidOperation:
            exact = Decimal("NaN")
        if not exact.is_finite() or exact != int(exact):
            self.refuse(
                entry,
                f"{name} is not a number in steps of {Decimal(1) / scale:f}",
                f"write it in decimals, such as {name} = 0.5",
            )
        return int(exact)


def shipped(name: str) -> str:
    """Text of a data file of this package."""
    return (files("streams.value") / name).read_text("utf-8")


def show_instant(t_us: int) -> str:
    """For messages: 2026-01-31T00:00:00Z."""
    return (EPOCH + timedelta(microseconds=t_us)).strftime("%Y-%m-%dT%H:%M:%SZ")


def refuse_short_notice(what: str, effective_from: int, now_us: int) -> None:
    """ConfigError unless `effective_from` is at least an hour after `now_us`: what is already in force never changes."""
    if effective_from < now_us + NOTICE_US:
        raise ConfigError(
            what,
            f"effective_from {show_instant(effective_from)} is less than an hour ahead",
            remedy=f"set effective_from to {show_instant(now_us + 2 * NOTICE_US)} or later; changing the past is `tokenworth rebuild`",
        )
