"""TOML documents of rules and prices: exact decimals, UTC instants, errors that name the file, the line where it is known, and the entry."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
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

Place = tuple[str | int, ...]
"""Names of tables and positions in arrays of tables from the top of a document down, such as ("override", 0, "spend_runaway")."""
_NAME: Final = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_NAMES: Final = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_HEAD: Final = re.compile(rf"\s*(\[\[?)\s*({_NAMES})\s*\]")
_KEY: Final = re.compile(rf"\s*({_NAMES})\s*=")


def lines_of(text: str) -> dict[Place, int]:
    """Line, from 1, of each table and key that stands at the beginning of one. tomllib keeps no positions."""
    lines: dict[Place, int] = {}
    arrays: dict[Place, int] = {}
    head: Place = ()
    for number, line in enumerate(text.splitlines(), 1):
        if found := _HEAD.match(line):
            head = ()
            names = _parts(found[2])
            for name in names[:-1]:
                head = _inside((*head, name), arrays)
            head = (*head, names[-1])
            if found[1] == "[[":
                arrays[head] = arrays.get(head, -1) + 1
                head = (*head, arrays[head])
            lines.setdefault(head, number)
        elif found := _KEY.match(line):
            place = head
            for name in _parts(found[1]):
                place = (*place, name)
                lines.setdefault(place, number)
    return lines


def _parts(names: str) -> list[str]:
    return [name.strip("\"'") for name in re.findall(_NAME, names)]


def _inside(place: Place, arrays: Mapping[Place, int]) -> Place:
    return (*place, arrays[place]) if place in arrays else place


def line_of(lines: Mapping[Place, int], place: Place) -> int:
    """Line of what is at this place, or of what it is in."""
    return next((lines[place[:length]] for length in range(len(place), 0, -1) if place[:length] in lines), 1)


class Document:
    """A parsed TOML document. Every error raised through it is a ConfigError that names the file and the entry.

    An entry that is given as a place is named with its line.
    """

    def __init__(self, text: str, file: str) -> None:
        self.file, self._text = file, text
        try:
            self.table: dict[str, Any] = tomllib.loads(text, parse_float=Decimal)
        except tomllib.TOMLDecodeError as error:
            told = re.search(r"at line (\d+)", str(error))
            line = told[1] if told else len(text.splitlines())
            raise ConfigError(
                f"{file}:{line}",
                f"not valid TOML: {error}",
                remedy="correct that line; strings need quotes, lists brackets",
            ) from error

    def refuse(self, entry: str | Place, problem: str, remedy: str, name: str = "") -> NoReturn:
        """Raise the error. `name`: the key of the entry that is meant."""
        if isinstance(entry, str):
            raise ConfigError(self.file, f"{entry}: {problem}", remedy=remedy)
        line = line_of(lines_of(self._text), (*entry, name))
        shown = "".join(f" {part + 1}" if isinstance(part, int) else f", {part}" for part in entry).removeprefix(", ")
        raise ConfigError(f"{self.file}:{line}", f"{shown}: {problem}" if shown else problem, remedy=remedy)

    def only(self, table: Mapping[str, Any], entry: str | Place, allowed: Collection[str]) -> None:
        """Refuse names that nothing reads: a misspelt setting would otherwise be silently ignored."""
        for name in table:
            if name not in allowed:
                self.refuse(entry, f"unknown name {name!r}", f"use only {', '.join(sorted(allowed))}", name)

    def tables(self, name: str) -> list[dict[str, Any]]:
        value = self.table.get(name, [])
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            self.refuse((name,), "is not a list of tables", f"write each entry below its own line [[{name}]]")
        return value

    def section(self, name: str) -> dict[str, Any]:
        value = self.table.get(name, {})
        if not isinstance(value, dict):
            self.refuse((name,), "is not a table", f"write its entries below a line [{name}]")
        return value

    def text(self, table: Mapping[str, Any], name: str, entry: str | Place, default: str | None = None) -> str:
        value = table.get(name, default)
        if not isinstance(value, str):
            self.refuse(
                entry, f"{name} is {'missing' if value is None else 'not a string'}", f'write {name} = "..."', name
            )
        return value

    def texts(self, table: Mapping[str, Any], name: str, entry: str | Place) -> tuple[str, ...]:
        value = table.get(name, [])
        if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
            self.refuse(entry, f"{name} is not a list of strings", f'write {name} = ["...", "..."]', name)
        return tuple(value)

    def instant(self, table: Mapping[str, Any], name: str, entry: str) -> int:
        """An instant in micro-seconds. A date means its UTC midnight; a time must say its offset."""
        value = table.get(name)
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day, tzinfo=UTC)
        if not isinstance(value, datetime) or value.tzinfo is None:
            self.refuse(entry, f"{name} is not an instant", f"write {name} = 2026-01-31T00:00:00Z, without quotes")
        return (value - EPOCH) // timedelta(microseconds=1)

    def scaled(self, value: object, scale: int, entry: str | Place, name: str) -> int:
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
                name,
            )
        return int(exact)


def shipped(name: str, room: str = "value") -> str:
    """Text of a data file of a room of this package."""
    return (files(f"streams.{room}") / name).read_text("utf-8")


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
