"""The input of every system: made traffic of a company in topics of an embedded broker, and what it comes to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Final

import polars as pl
import pyruhvro

from benchmarks.figures import Expected
from streams.agents.topics import admin
from streams.config import USAGE_TOPIC, Settings
from streams.events.schemas import latest
from streams.events.wire import HEADER_BYTES
from streams.local.traffic import Traffic, make_traffic
from streams.local.traffic.bad import bad_records
from streams.local.traffic.records import Record, records
from streams.publish.bulk import publish_records
from streams.windows.measures import PANE_US, TOKEN_BUCKETS

SEED: Final = 7
DAYS: Final = 2
EVENTS_PER_TEAM: Final = 10_000
"""700 requests a person and working day: people whose agents work beside them."""
_END_US: Final = int(datetime(2026, 11, 19, tzinfo=UTC).timestamp()) * 1_000_000
"""A Thursday: two ordinary working days, the same on any day."""


@dataclass(frozen=True, slots=True)
class Published:
    """`topics`: by number of usage events, the topic that holds the first so many. `expected`: what these come to. `records`: of both input topics."""

    topics: dict[int, str]
    expected: dict[int, Expected]
    records: int
    facts: dict[str, int]


def make(events: int) -> Traffic:
    """Two working days of a company in which every team makes EVENTS_PER_TEAM requests."""
    return make_traffic(seed=SEED, days=DAYS, teams=max(2, events // EVENTS_PER_TEAM), events=events, end_us=_END_US)


def publish(settings: Settings, traffic: Traffic, shares: Sequence[int], progress: Callable[[int], None]) -> Published:
    """Publish the traffic, late and repeated records included, to the input topics, and its first usage events to a topic for each of `shares`.

    Records that no worker can use are left out: no peer has a place for them. The input topics exist.
    """
    topics = {share: f"{USAGE_TOPIC}-{share}" for share in shares}
    if topics:
        with admin(settings) as client:
            client.create_topics(
                {name: {"num_partitions": settings.partitions, "replication_factor": 1} for name in topics.values()},
                wait_for_metadata=True,
            )
    seen: list[pl.DataFrame] = []
    usable = _usable(traffic, settings.partitions)
    count = publish_records(settings, chain.from_iterable(_with_shares(usable, topics, seen)), progress)
    events = pl.concat(seen)
    topics[len(events)] = USAGE_TOPIC
    return Published(
        topics,
        {share: expected(events.head(share)) for share in topics},
        count - sum(shares),
        {"usage_events": len(events), "work_item_events": count - sum(shares) - len(events), "teams": len(traffic.teams), "days": DAYS},
    )  # fmt: skip


def expected(events: pl.DataFrame) -> dict[str, int]:
    """What a right result is. `events`: columns work_item_id (null: none), team, tool, model, pane, tokens; one row is one record."""
    lines = events.drop_nulls("work_item_id")
    return {
        "records": len(events),
        "tokens": int(events["tokens"].sum()),
        "lines": lines.select("work_item_id", "team", "tool", "model").n_unique(),
        "panes": events.select("team", "tool", "model", "pane").n_unique(),
        "line_tokens": int(lines["tokens"].sum()),
        "pane_tokens": int(events["tokens"].sum()),
    }


def _usable(traffic: Traffic, partitions: int) -> Iterator[list[Record]]:
    bad = {record.value for _, record in bad_records(traffic.usage, traffic.items, partitions)}
    for chunk in records(traffic, partitions):
        yield [record for record in chunk if record.value not in bad]


def _with_shares(
    chunks: Iterator[list[Record]], topics: dict[int, str], seen: list[pl.DataFrame]
) -> Iterator[list[Record]]:
    """The chunks, followed by copies of usage events for the smaller topics; adds what the usage events are to `seen`."""
    schema = json.dumps(latest("usage_event"))
    count = 0
    for chunk in chunks:
        usage = [record for record in chunk if record.topic == USAGE_TOPIC]
        batch = pyruhvro.deserialize_array([record.value[HEADER_BYTES:] for record in usage if record.value], schema)
        seen.append(
            pl.from_arrow(batch).select(  # type: ignore[union-attr]  # a batch becomes a frame
                "work_item_id", "team", "tool", "model",
                pane=pl.col("occurred_at").to_physical() // PANE_US, tokens=pl.sum_horizontal(TOKEN_BUCKETS),
            )
        )  # fmt: skip
        yield chunk
        for share, name in topics.items():
            yield [record._replace(topic=name) for record in usage[: max(share - count, 0)]]
        count += len(usage)
