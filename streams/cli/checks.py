"""What `doctor` looks at. A check never raises: what it cannot see is a problem with a remedy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from streams.agents.topics import check_topics, describe_topics, end_offsets
from streams.config import INPUT_TOPICS, TOPICS, Settings
from streams.errors import TokenworthError
from streams.events.schemas import EVENT_NAMES, WriterSchemas, check_history, schema, shipped_id, versions
from streams.store.client import connect
from streams.store.installation import check_partitions
from streams.store.migrations import shipped

MAX_SKEW_S: Final = 5.0
"""Events may lie five minutes ahead of their append time; a clock that is off by seconds already eats into that."""
SILENT_S: Final = 120.0
MANY_DEAD: Final = 0.01


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report. `remedy` '' when all is well."""

    name: str
    ok: bool
    finding: str
    remedy: str = ""


def run_checks(settings: Settings) -> Iterator[Check]:
    """All checks, cheapest first. What depends on a part that is away is left out."""
    broker = _broker(settings)
    yield broker
    if broker.ok:
        yield _guarded("partition counts", lambda: f"all topics have {check_topics(settings)}")
        yield _append_time(settings)
    store, client = _clickhouse(settings)
    yield store
    if client is not None:
        try:
            yield _guarded("migrations", lambda: _migrations(client))
            if broker.ok:
                yield _guarded("installation", lambda: _installation(settings, client))
            yield _guarded("clock", lambda: _clock(client))
            yield _guarded("records", lambda: _records(client))
            if broker.ok:
                yield _guarded("workers", lambda: _workers(settings, client))
        finally:
            client.close()
    yield _guarded("schemas", lambda: _schemas(settings))


class _FindingError(TokenworthError):
    """A finding that is not in order."""


def _guarded(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except TokenworthError as error:
        return Check(name, False, error.message, error.remedy)
    except Exception as error:  # noqa: BLE001 - a report with one unreadable line is worth more than none
        return Check(name, False, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}", "run: tokenworth init")


def _broker(settings: Settings) -> Check:
    def look() -> str:
        there = describe_topics(settings)
        missing = [name for name in TOPICS if name not in there]
        if missing:
            raise _FindingError(
                f"{settings.kafka} answers, but lacks {', '.join(missing)}", remedy="run: tokenworth init"
            )
        least = min(state.replication for state in there.values())
        return f"{settings.kafka} answers and has all topics, {least} {'copy' if least == 1 else 'copies'} of each"

    return _guarded("broker", look)


def _append_time(settings: Settings) -> Check:
    def look() -> str:
        wrong = [
            name
            for name, state in describe_topics(settings).items()
            if name in INPUT_TOPICS and not state.log_append_time
        ]
        if wrong:
            raise _FindingError(
                f"{', '.join(wrong)} keep the publisher's time, so a wrong clock there decides which events count as too early",
                remedy="set message.timestamp.type=LogAppendTime on them",
            )
        return "the broker's clock stamps the input topics"

    return _guarded("append time", look)


def _clickhouse(settings: Settings) -> tuple[Check, Any]:
    try:
        client = connect(settings.clickhouse)
    except TokenworthError as error:
        return Check("clickhouse", False, error.message, error.remedy), None
    return Check("clickhouse", True, f"version {client.server_version} answers"), client


def _migrations(client: Any) -> str:
    applied = {row[0] for row in client.query("SELECT number FROM migrations FINAL").result_rows}
    missing = [f"{m.number:04d}_{m.name}" for m in shipped() if m.number not in applied]
    if missing:
        raise _FindingError(f"not applied: {', '.join(missing)}", remedy="run: tokenworth init")
    return f"{len(applied)} applied, none missing"


def _installation(settings: Settings, client: Any) -> str:
    partitions = check_topics(settings)
    check_partitions(client, partitions)
    return f"topics and ClickHouse agree on {partitions} partitions"


def _clock(client: Any) -> str:
    before = time.time()
    there = client.query("SELECT toUnixTimestamp64Micro(now64(6))").result_rows[0][0] / 1e6
    skew = there - (before + time.time()) / 2
    if abs(skew) > MAX_SKEW_S:
        raise _FindingError(f"this machine and ClickHouse differ by {skew:+.1f} s", remedy="let NTP set both clocks")
    return f"{abs(skew) * 1000:.0f} ms from ClickHouse's"


def _records(client: Any) -> str:
    counts = client.query(
        "SELECT sum(usage_applied + items_applied), sum(usage_duplicates + items_duplicates), sum(usage_dead + items_dead) FROM checkpoints FINAL"
    ).result_rows[0]
    applied, duplicate, dead = (int(count) for count in counts)
    told = f"{applied:,} applied, {duplicate:,} duplicate, {dead:,} dead"
    if dead > MANY_DEAD * (applied + duplicate + dead):
        raise _FindingError(told, remedy="SELECT topic, reason, count() FROM dead_letters GROUP BY ALL shows why")
    return told


def _workers(settings: Settings, client: Any) -> str:
    rows = client.query(
        "SELECT kpart, bitAnd(usage_next, 0xFFFFFFFFFF), bitAnd(items_next, 0xFFFFFFFFFF), toUnixTimestamp64Micro(flushed_at) FROM checkpoints FINAL"
    ).result_rows
    ends = end_offsets(settings)
    reached = {
        (topic, part): offset for part, *offsets, _ in rows for topic, offset in zip(INPUT_TOPICS, offsets, strict=True)
    }
    lag = sum(max(end - reached.get(place, 0), 0) for place, end in ends.items())
    if not lag:
        return "nothing waits to be applied"
    silent_s = time.time() - max((at for *_, at in rows), default=0) / 1e6
    if not rows or silent_s > SILENT_S:
        since = f"for {silent_s / 60:,.0f} min" if rows else "ever"
        raise _FindingError(
            f"{lag:,} records wait, and no worker has flushed {since}", remedy="start one: tokenworth worker"
        )
    return f"{lag:,} records wait; the last flush was {silent_s:.0f} s ago"


def _schemas(settings: Settings) -> str:
    for event in EVENT_NAMES:
        check_history([schema(event, version) for version in versions(event)])
    if not settings.schema_registry:
        return "every version is compatible with every earlier one; ids are the shipped ones"
    known = WriterSchemas(settings.schema_registry)
    for event in EVENT_NAMES:
        known.find(event, shipped_id(event))
    return f"every version is compatible with every earlier one; the registry at {settings.schema_registry} answers"
