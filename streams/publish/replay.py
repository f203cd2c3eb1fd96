"""Publishes a table of the past: rows of a CSV or JSON-lines file become events through a mapping, in time order."""

from __future__ import annotations

import csv
import gzip
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from streams.config import Settings
from streams.errors import ConfigError
from streams.events.usage import UsageEvent
from streams.events.work_item import WorkItemEvent
from streams.publish.mapping import RowMapping
from streams.publish.pseudonyms import Pseudonyms
from streams.publish.publishers import UsagePublisher, WorkItemPublisher

_PROGRESS_EVERY = 1000


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row that made no event. `number` counts rows from 1, without the header; the reason names no content."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Table:
    """The events of a file, ascending by occurred_at, and what became of its rows."""

    rows: int
    events: list[UsageEvent | WorkItemEvent]
    skipped: list[Skipped]

    @property
    def usage_events(self) -> int:
        """How many of the events are usage events."""
        return sum(isinstance(event, UsageEvent) for event in self.events)

    @property
    def work_item_events(self) -> int:
        """How many of the events are work-item events."""
        return len(self.events) - self.usage_events

    @property
    def reasons(self) -> Counter[str]:
        """Skipped rows by reason."""
        return Counter(row.reason for row in self.skipped)


def read_table(path: Path, mapping: RowMapping, pseudonyms: Pseudonyms | None = None) -> Table:
    """Make the events of a whole file (.csv, .jsonl or .ndjson, each also with .gz). A bad row is skipped whole.

    `pseudonyms`: needed where the mapping names actors. Raises ConfigError for a file that cannot be read and a
    column that it lacks.
    """
    if mapping.names_actors and pseudonyms is None:
        raise ConfigError(
            "TOKENWORTH_ACTOR_KEY", "is empty, and the mapping names actors", remedy="set the secret key of pseudonyms"
        )
    events: list[UsageEvent | WorkItemEvent] = []
    skipped = []
    missing = set(mapping.reads)
    number = 0
    for number, row in enumerate(_rows(path), 1):
        if isinstance(row, str):
            skipped.append(Skipped(number, row))
            continue
        missing -= row.keys()
        # A JSON object leaves out what it has no value for; a column that no row has is a mistake in the mapping.
        cells = dict.fromkeys(mapping.reads, "") | row
        try:
            events += mapping.events_of(cells, pseudonyms)
        except ValueError as error:
            skipped.append(Skipped(number, str(error)))
    if number and missing:
        raise ConfigError("mapping", f"{path.name} has no column {', '.join(sorted(missing))}")
    events.sort(key=lambda event: event.occurred_at)
    return Table(number, events, skipped)


def replay(
    settings: Settings, table: Table, *, speed: float | None = None, progress: Callable[[int], None] = lambda _: None
) -> None:
    """Publish a table's events and wait until all are acknowledged. Blocks.

    `speed`: event-time seconds per second; None: as fast as it goes. `progress` is told how many events were handed
    over, now and then. Raises what the publishers raise.
    """
    with ExitStack() as stack:
        usage = stack.enter_context(UsagePublisher(settings)) if table.usage_events else None
        items = stack.enter_context(WorkItemPublisher(settings)) if table.work_item_events else None
        began = time.monotonic()
        for count, event in enumerate(table.events):
            if speed is not None:
                due = began + (event.occurred_at - table.events[0].occurred_at).total_seconds() / speed
                time.sleep(max(due - time.monotonic(), 0))
            if count % _PROGRESS_EVERY == 0 or speed is not None:
                progress(count)
            if isinstance(event, UsageEvent):
                assert usage is not None
                usage.publish(event)
            else:
                assert items is not None
                items.publish(event)
    progress(len(table.events))


def _rows(path: Path) -> Iterator[dict[str, str] | str]:
    """The rows of a file; a text in the place of a row says why there is none."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    zipped = suffixes[-1:] == [".gz"]
    kind = suffixes[-2:-1] if zipped else suffixes[-1:]
    if kind not in ([".csv"], [".jsonl"], [".ndjson"]):
        raise ConfigError("file", f"{path.name} is none of .csv, .jsonl, .ndjson (or one of them with .gz)")
    try:
        with (gzip.open if zipped else open)(path, "rt", encoding="utf-8-sig", newline="") as lines:
            yield from _csv_rows(lines) if kind == [".csv"] else _json_rows(lines)
    except (OSError, EOFError, csv.Error, UnicodeDecodeError) as error:
        raise ConfigError("file", f"cannot read {path}: {error}") from error


def _csv_rows(lines: IO[Any]) -> Iterator[dict[str, str] | str]:
    for row in csv.DictReader(lines):
        if None in row:
            yield "more cells than the header"
        else:
            yield {column: cell or "" for column, cell in row.items()}


def _json_rows(lines: IO[Any]) -> Iterator[dict[str, str] | str]:
    for line in lines:
        if not line.strip():
            continue
        try:
            document = json.loads(line, parse_float=str)
        except ValueError:
            yield "not a JSON document"
            continue
        yield dict(_flat(document)) if isinstance(document, dict) else "not a JSON object"


def _flat(document: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Members as cells, those of nested objects as outer.inner; null is blank, a list is its members with commas."""
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            yield prefix + name, ",".join(map(str, value))
        else:
            yield prefix + name, "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
