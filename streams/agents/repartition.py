"""Another partition count: stored events are published again, each to the partition that its key has now, and counted into a new database.

The old database stays as it is. Everything may be done again after a failure at any step: what was already published is recognised as repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from streams.agents.topics import create_topics, delete_topics, describe_topics, end_offsets, members, partitions_of
from streams.config import TOPICS, Settings
from streams.errors import SetupError, StoreUnavailable
from streams.events.decode import EVENT_OF_TOPIC, key_of
from streams.publish.bulk import publish_records
from streams.publish.columns import Record, encode
from streams.store.client import connect, database_of, ensure_database, quoted
from streams.store.installation import fact, fix_partitions, record_fact, stored_partitions
from streams.store.migrations import migrate
from streams.store.moving import CARRIED, events_by_hour, hours_with_events
from streams.store.positions import SIDE, incarnations, mirrors
from streams.store.reading import ClickHouseStored, Stored

_MOVED_FROM: Final = "moved_from"
_TOPIC: Final = {event: topic for topic, event in EVENT_OF_TOPIC.items()}
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a move would do. `resumed`: it was begun before; it may have come to the topics or not."""

    old: Settings
    new: Settings
    was: int
    rows: int
    resumed: bool


def plan(settings: Settings, partitions: int) -> Plan:
    """Look at everything that could forbid the move, and change nothing. Blocks for seconds.

    Raises SetupError: there is nothing to move, workers still run, or records are not stored yet.
    """
    client = connect(settings.clickhouse)
    try:
        was = stored_partitions(client)
        if was is None:
            raise SetupError("there is nothing to move", remedy="run: tokenworth init")
        if was == partitions:
            raise SetupError(f"the installation has {was} partitions already", remedy="name another count")
        new = settings.model_copy(
            update={"partitions": partitions, "clickhouse": _moved(settings.clickhouse, was, partitions)}
        )
        resumed = _begun(new, settings)
        topics = describe_topics(settings)
        if not resumed or all(name in topics and topics[name].partitions == was for name in TOPICS):
            _check_stored(settings, ClickHouseStored(client), was)
        if count := members(settings):
            raise SetupError(
                f"group {settings.group} has {count} members",
                remedy="stop the workers; they start again after the move",
            )
        rows = sum(rows for _, rows in hours_with_events(ClickHouseStored(client)))
        return Plan(settings, new, was, rows, resumed)
    finally:
        client.close()


def move(chosen: Plan, progress: Progress = lambda _: None) -> int:
    """Carry the plan out and return the number of events published. Blocks for as long as that takes; may be repeated.

    Where it came from is recorded before the first topic is deleted: after that the topics no longer fit to the old database.
    """
    old, new = chosen.old, chosen.new
    ensure_database(new.clickhouse, new.clickhouse_cluster)
    source, target = connect(old.clickhouse), connect(new.clickhouse)
    try:
        migrate(target, new.clickhouse_cluster)
        fix_partitions(target, new.partitions)
        for table in CARRIED:
            target.command(f"INSERT INTO {table} SELECT * FROM {quoted(database_of(old.clickhouse))}.{table}")
        record_fact(target, _MOVED_FROM, database_of(old.clickhouse))
        delete_topics(new, [name for name, found in describe_topics(new).items() if found.partitions != new.partitions])
        create_topics(new)
        return publish_records(new, _records(ClickHouseStored(source), chosen.was), progress)
    finally:
        source.close()
        target.close()


def _records(stored: Stored, partitions: int) -> Iterator[Record]:
    for event, frame in events_by_hour(stored, partitions):
        keys = frame.select(key_of(event)).to_series()
        for key, value in zip(keys, encode(frame, event), strict=True):
            yield Record(_TOPIC[event], key.encode(), value)


def _check_stored(settings: Settings, stored: Stored, partitions: int) -> None:
    """Raises SetupError when the topics hold a record that no flush has stored."""
    found, lives = mirrors(stored, range(partitions)), incarnations(stored, range(partitions))
    topics, ends = describe_topics(settings), end_offsets(settings)
    partitions_of(topics, partitions)
    for topic in EVENT_OF_TOPIC:
        for p in range(partitions):
            end, position = ends.get((topic, p), 0), found[p].offset(topic) if p in found else 0
            known = getattr(lives[p][-1], f"{SIDE[topic]}_topic_id") if lives[p] else ""
            if end != position or (known and known != topics[topic].topic_id):
                raise SetupError(
                    f"{topic}[{p}] ends at {end}, stored are the records up to {position}",
                    remedy="stop the publishers, let the workers read to the end, then stop them: what they have not read would be lost",
                )


def _moved(url: str, was: int, partitions: int) -> str:
    """The URL of the database that the events move to: its name ends with the new count."""
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path.rstrip('/').removesuffix(f'_{was}')}_{partitions}").geturl()


def _begun(new: Settings, old: Settings) -> bool:
    """Whether this move was begun before. Raises SetupError when the database that it would make is somebody else's."""
    try:
        client = connect(new.clickhouse)
    except StoreUnavailable:
        return False
    try:
        if stored_partitions(client) is None:
            return False
        if fact(client, _MOVED_FROM) != database_of(old.clickhouse):
            raise SetupError(
                f"ClickHouse has a database {database_of(new.clickhouse)!r} already", remedy="drop or rename it"
            )
        return True
    finally:
        client.close()
