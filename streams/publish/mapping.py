"""A mapping says which events a row of somebody's table stands for. It is a TOML file; two ship with the package.

    tenant = "acme"
    privacy_floor = 0                   optional: people a group must have before it is shown
    [columns]                           optional: columns made of others, usable like them
    item = "{repo}#{number}"
    [[events]]                          a row makes each of these, unless occurred_at is blank or `when` fails
    event = "usage" or "work_item"
    when = { state = ["closed"] }       optional: columns and the cells that they must have
    event_id = "{item}/closed"          and so on: every field of UsageEvent or WorkItemEvent, as an expression

Instead of cost_micro_usd a mapping may give cost_usd, a decimal amount. An actor is written namespace:identity and
always becomes a pseudonym. Usage is of unknown quality where all its token cells are blank, and partial where those
of input or output are.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from streams.errors import ConfigError
from streams.events.bounds import TOKEN_FIELDS, USAGE_QUALITIES
from streams.events.usage import UsageEvent
from streams.events.work_item import WorkItemEvent
from streams.publish.expressions import Cells, Expression, parse_expression
from streams.publish.pseudonyms import Pseudonyms

_SHIPPED: Final = Path(__file__).with_name("mappings")
_MAKES: Final[dict[str, type[UsageEvent | WorkItemEvent]]] = {"usage": UsageEvent, "work_item": WorkItemEvent}
_WHOLE: Final = {*TOKEN_FIELDS, "requests", "cost_micro_usd", "size_milli"}
_LATER: Final = re.compile(r"(.+) \+ (\d+(?:\.\d+)?) s")
_EPOCH_SECONDS: Final = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class EventMapping:
    """One kind of event that a row makes."""

    makes: type[UsageEvent | WorkItemEvent]
    when: tuple[tuple[str, tuple[str, ...]], ...]
    fields: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class RowMapping:
    """Which events a row makes."""

    tenant: str
    privacy_floor: int | None
    columns: tuple[tuple[str, Expression], ...]
    events: tuple[EventMapping, ...]

    @property
    def reads(self) -> frozenset[str]:
        """The columns that a row must have: those that are read and not made of others before."""
        made: set[str] = set()
        reads: set[str] = set()
        for name, expression in self.columns:
            reads |= expression.columns - made
            made.add(name)
        for event in self.events:
            for _, expression in event.fields:
                reads |= expression.columns - made
            reads |= {column for column, _ in event.when} - made
        return frozenset(reads)

    @property
    def names_actors(self) -> bool:
        """Whether a key of pseudonyms is needed."""
        return any(field == "actor" for event in self.events for field, _ in event.fields)

    def events_of(self, row: Cells, pseudonyms: Pseudonyms | None) -> list[UsageEvent | WorkItemEvent]:
        """The events of a row with all columns of `reads`. Raises ValueError for a row that makes a bad event."""
        cells = dict(row)
        for name, expression in self.columns:
            cells[name] = expression(cells)
        return list(self._made(cells, pseudonyms))

    def _made(self, cells: Cells, pseudonyms: Pseudonyms | None) -> Iterator[UsageEvent | WorkItemEvent]:
        for mapping in self.events:
            if any(cells[column] not in allowed for column, allowed in mapping.when):
                continue
            texts = {field: expression(cells) for field, expression in mapping.fields}
            if not texts["occurred_at"]:
                continue
            values: dict[str, Any] = {"tenant": self.tenant, "event_id": ""}
            for field, text in texts.items():
                if text:
                    name, value = _value(field, text, pseudonyms)
                    values[name] = value
            if mapping.makes is UsageEvent:
                values["usage_quality"] = _quality(texts)
            yield mapping.makes(**values)


def load_mapping(name: str) -> RowMapping:
    """The mapping in a TOML file, or the one that ships under this name. Raises ConfigError for a bad one."""
    path = _SHIPPED / f"{name}.toml" if name in shipped_mappings() else Path(name)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        remedy = f"give a TOML file or one of: {', '.join(shipped_mappings())}"
        raise ConfigError("mapping", f"there is no {name}", remedy=remedy) from error
    except (OSError, ValueError) as error:
        raise ConfigError("mapping", f"cannot read {name}: {error}") from error
    try:
        return _parse(document)
    except (KeyError, TypeError, ValueError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ConfigError("mapping", f"{name}: {what}") from error


def shipped_mappings() -> list[str]:
    """Names of the mappings that ship with the package."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


def _parse(document: dict[str, Any]) -> RowMapping:
    _only(document, {"tenant", "privacy_floor", "columns", "events"}, "a mapping")
    columns = tuple((name, parse_expression(value)) for name, value in document.get("columns", {}).items())
    floor = document.get("privacy_floor")
    if floor is not None and (not isinstance(floor, int) or floor < 0):
        raise ValueError("privacy_floor must be an integer of at least 0")
    return RowMapping(str(document["tenant"]), floor, columns, tuple(_event(part) for part in document["events"]))


def _event(part: dict[str, Any]) -> EventMapping:
    kind = part["event"]
    if kind not in _MAKES:
        raise ValueError(f"event must be one of {', '.join(_MAKES)}")
    makes = _MAKES[kind]
    known = {field.name for field in dataclasses.fields(makes)} | ({"cost_usd"} if makes is UsageEvent else set())
    expressions = {name: value for name, value in part.items() if name not in {"event", "when"}}
    _only(expressions, known, f"a {kind} event")
    required = {"event_id", "occurred_at"} | ({"work_item_id", "kind"} if makes is WorkItemEvent else set())
    for name in sorted(required - set(expressions)):
        raise KeyError(name)
    when = tuple(
        (column, tuple(str(cell) for cell in (cells if isinstance(cells, list) else [cells])))
        for column, cells in part.get("when", {}).items()
    )
    return EventMapping(makes, when, tuple((name, _expression(name, value)) for name, value in expressions.items()))


def _expression(field: str, value: object) -> Expression:
    try:
        return parse_expression(value)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from error


def _only(document: dict[str, Any], known: set[str], what: str) -> None:
    for name in document:
        if name not in known:
            raise ValueError(f"{what} has no {name}")


def _value(field: str, text: str, pseudonyms: Pseudonyms | None) -> tuple[str, object]:
    """The event's field and its value for a text of the mapping."""
    if field == "occurred_at":
        return field, _time(text)
    if field == "cost_usd":
        return "cost_micro_usd", int((_number(field, text) * 1_000_000).to_integral_value(ROUND_HALF_UP))
    if field in _WHOLE:
        number = _number(field, text)
        if number != number.to_integral_value():
            raise ValueError(f"{field} is not a whole number")
        return field, int(number)
    if field == "labels":
        return field, tuple(label.strip() for label in text.split(",") if label.strip())
    if field == "actor":
        namespace, _, identity = text.partition(":")
        return field, pseudonyms.of(namespace, identity) if pseudonyms is not None else ""
    return field, text


def _number(field: str, text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"{field} is not a number") from error
    if not number.is_finite():
        raise ValueError(f"{field} is not a number")
    return number


def _time(text: str) -> datetime:
    later = _LATER.fullmatch(text)
    if later is not None:
        return _time(later.group(1)) + timedelta(microseconds=int(Decimal(later.group(2)) * 1_000_000))
    try:
        if _EPOCH_SECONDS.fullmatch(text):
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(Decimal(text) * 1_000_000))
        return datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise ValueError("occurred_at is neither an ISO 8601 time nor seconds since 1970") from error


def _quality(texts: dict[str, str]) -> str:
    """The worse of what the mapping declares and what the blank token cells say."""
    given = [bool(texts[field]) for field in TOKEN_FIELDS if field in texts]
    told = [bool(texts[field]) for field in ("input_tokens", "output_tokens") if field in texts]
    seen = "unknown" if not any(given) else "full" if all(told) else "partial"
    declared = texts.get("usage_quality") or "full"
    if declared not in USAGE_QUALITIES:
        raise ValueError(f"usage_quality must be one of {', '.join(USAGE_QUALITIES)}")
    return max(seen, declared, key=USAGE_QUALITIES.index)
