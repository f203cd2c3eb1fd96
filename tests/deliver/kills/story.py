"""Episodes of a few teams as windows on value-windows, and what an engine that nobody kills makes of them."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from streams.config import WINDOWS_TOPIC, Settings
from streams.detect.engine import AlertEngine
from streams.detect.policy import AlertPolicy
from streams.events.keys import partition_of
from streams.publish.bulk import Record, publish_records
from streams.store.client import Client
from streams.store.sink import ClickHouseInserts, Sink
from streams.store.windows import window_rows
from streams.windows.families import WINDOW_SCHEMA
from streams.windows.measures import DAY_US, HOUR_US
from streams.windows.updates import pack_watermarks, pack_windows, told

SLIDE_US: Final = 300_000_000
TEAMS: Final = (("acme", "search"), ("acme", "ads"), ("other", "search"))
RULES: Final = '[spend_runaway]\nfor = "5m"\nkeep_firing_for = "10m"\n'
USUAL, BURNING = 10_000_000, 1_000_000_000
"""Micro-USD an hour."""
PAST_DAYS: Final = 16

Episode = tuple[str, int]
"""Fingerprint and begin (us) of an alert that fired."""


@dataclass(frozen=True)
class Story:
    """Windows by step: first those of the past, then one window end of all teams a step, up to now."""

    steps: Sequence[pl.DataFrame]
    episodes: frozenset[Episode]


def make_story(seed: int, ends: int) -> Story:
    """A story with `ends` window ends, after which every episode is over."""
    now_us = int(time.time()) * 1_000_000 // SLIDE_US * SLIDE_US
    begin_us = now_us - ends * SLIDE_US
    hour_us = begin_us // HOUR_US * HOUR_US
    past = [(end, who, USUAL) for end in range(hour_us - PAST_DAYS * DAY_US, hour_us + 1, HOUR_US) for who in TEAMS]
    burning = {who: _burning(random.Random(f"{seed}-{who}"), ends) for who in TEAMS}
    steps = [_rows(past)]
    for number in range(ends):
        end = begin_us + (number + 1) * SLIDE_US
        steps.append(_rows([(end, who, BURNING if number in burning[who] else USUAL) for who in TEAMS]))
    return Story(steps, _episodes(steps))


def tell(story: Story, step: int, settings: Settings, client: Client) -> None:
    """Store and publish the windows of a step, then say that they are final."""
    frame = story.steps[step]
    Sink(ClickHouseInserts(client), "story").rows("value_windows", window_rows(frame, step + 1, int(time.time() * 1e6)))
    final_us = _last(frame)
    rows: list[Record] = [
        (WINDOWS_TOPIC, key, value, partition_of(key.decode(), settings.partitions))
        for key, value in pack_windows(told(frame))
    ]
    mark = pack_watermarks([(0, 0, 0, final_us, final_us)])
    rows += [(WINDOWS_TOPIC, b"", mark, partition) for partition in range(settings.partitions)]
    publish_records(settings, rows)


def _burning(rng: random.Random, ends: int) -> set[int]:
    """Ends at which a team burns money: two to four in a row, some of them too short for an alert, and long pauses between them."""
    found: set[int] = set()
    at = rng.randint(0, 3)
    while at < ends - 10:
        length = rng.choice((1, 2, 3, 4))
        found.update(range(at, at + length))
        at += length + rng.randint(2, 9)
    return found


def _rows(told: Sequence[tuple[int, tuple[str, str], int]]) -> pl.DataFrame:
    """Final windows of an hour."""
    plain = {name: "" if dtype == pl.String else 0 for name, dtype in WINDOW_SCHEMA.items()}
    rows = [
        plain
        | {
            "tenant": tenant,
            "grouping": "team",
            "team": team,
            "size": "1h",
            "window_end": end,
            "status": "final",
            "standard_cost_micro_usd": spend,
            "requests": 1,
            "tokens": spend,
            "watermark": end,
        }
        for end, (tenant, team), spend in told
    ]
    schema = {name: pl.Int64 if dtype.is_temporal() else dtype for name, dtype in WINDOW_SCHEMA.items()}
    return pl.DataFrame(rows, schema=schema).cast(WINDOW_SCHEMA)


def _episodes(steps: Sequence[pl.DataFrame]) -> frozenset[Episode]:
    """What fires when nobody is killed. All of it must be over in the end."""
    engine, fired = AlertEngine(AlertPolicy.from_toml(RULES, "rules"), 0), set[Episode]()
    for frame in steps:
        changes = engine.on_windows(told(frame), _last(frame))
        fired |= {(change.fingerprint, change.started_at) for change in changes if change.state == "firing"}
    assert not engine.open_alerts
    return frozenset(fired)


def _last(frame: pl.DataFrame) -> int:
    last = frame["window_end"].cast(pl.Int64).max()
    assert isinstance(last, int)
    return last
