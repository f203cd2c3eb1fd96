"""No record that is accepted can be refused by ClickHouse: extreme values of every field reach every table and come back.

See docs/decisions/0006-no-row-can-be-refused.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from streams.agents.batches import LATEST_APPEND_MS
from streams.events.bounds import (
    AHEAD_OF_APPEND_US,
    EARLIEST_US,
    MAX_COST_MICRO_USD,
    MAX_REQUESTS,
    MAX_SIZE_MILLI,
    MAX_TOKENS,
    TOKEN_FIELDS,
)
from streams.events.keys import partition_of
from streams.events.schemas import EventName
from tests.agents.watched import worker
from tests.e2e.system import System
from tests.events.naive import key_of
from tests.events.records import TOPIC, value
from tests.strategies import KINDS, LINK_TYPES, item_event, usage_event

TEXTS = (
    "\0", "a\0b", "\t", "a\nb", "\r\n", "'", "''", '"', "`", "\\", "\\'", "\\0", "\\N", "NULL", "[]", "{x:String}", "%s", "$1", ";--",
    "\x7f", "\x1b[0m", "\u0085", "\u2028", "\u202e", "\ufeff", "\ufffe", "\uffff", "\U0010ffff", "é", "e\u0301", "漢字", "👩‍👩‍👧", " ", "  x  ",
    "x" * 256, "漢" * 85, "\U0001d54f" * 64, "/", "session:", "event:", "*", "(small teams)", "\\xff", "0", "-1", "1e308", "nan",
)  # fmt: skip
"""Texts that a format between here and a column might stumble over; none has more than 256 bytes."""

USAGE_TEXTS = (
    "event_id", "tenant", "source", "team", "actor", "tool", "provider", "model", "operation", "work_item_id", "session_id",
    "prompt_fingerprint", "status",
)  # fmt: skip
ITEM_TEXTS = (
    "event_id", "tenant", "source", "work_item_id", "team", "actor", "source_type", "item_type", "parent_id", "link_value", "resolution",
)  # fmt: skip
LATEST_US = LATEST_APPEND_MS * 1000 + AHEAD_OF_APPEND_US


def usage(now: int) -> Iterator[dict[str, Any]]:
    """Usage with each text in each field, numbers at their bounds, and times in every month that is accepted."""
    for number, (field, text) in enumerate(product(USAGE_TEXTS, TEXTS)):
        yield usage_event(f"t{number}", now - number * 60_000_000, work_item_id=f"I-{number % 7}") | {field: text}
    most = dict.fromkeys(TOKEN_FIELDS, MAX_TOKENS) | {"requests": MAX_REQUESTS, "cost_micro_usd": MAX_COST_MICRO_USD}
    for number in range(300):
        basis = ("billed", "list", "estimated", "seat")[number % 4]
        yield usage_event(f"m{number}", now, work_item_id="I-most", cost_basis=basis, **most)
    for number in range(132):  # months apart: more table partitions than one insert may touch
        at = EARLIEST_US + number * (now - EARLIEST_US) // 132
        yield usage_event(
            f"old{number}", at, work_item_id=TEXTS[number % len(TEXTS)], prompt_fingerprint=TEXTS[number % len(TEXTS)]
        )


def items(now: int) -> Iterator[dict[str, Any]]:
    """Work-item events likewise; every kind and link."""
    for number, (field, text) in enumerate(product(ITEM_TEXTS, TEXTS)):
        kind = KINDS[number % len(KINDS)]
        yield item_event(f"t{number}", now - number * 60_000_000, kind, work_item_id=f"I-{number % 7}") | {field: text}
    for number, link in enumerate(LINK_TYPES):
        yield item_event(f"l{number}", now, "linked", link_type=link, link_value=TEXTS[number], labels=["漢" * 21] * 32)
    for number, size in enumerate((MAX_SIZE_MILLI, -(2**63), 2**63 - 1, None)):
        yield item_event(f"s{number}", now, "sized", size_milli=size, labels=[text[:16] for text in TEXTS[:32]])
    for number in range(40):
        at = EARLIEST_US + number * (now - EARLIEST_US) // 40
        for kind in ("started", "completed", "reopened"):
            yield item_event(f"old{number}-{kind}", at, kind, work_item_id=TEXTS[number], item_type="story")


@pytest.mark.usefixtures("system")
async def test_extreme_values_reach_every_table_and_come_back(system: System) -> None:
    now = int(time.time() * 1e6)
    records: list[tuple[EventName, dict[str, Any]]] = [("usage_event", fields) for fields in usage(now)] + [
        ("work_item_event", fields) for fields in items(now)
    ]
    late: dict[EventName, dict[str, Any]] = {
        "usage_event": usage_event("ahead", LATEST_US),
        "work_item_event": item_event("ahead", LATEST_US, "completed"),
    }
    producer = AIOKafkaProducer(bootstrap_servers=system.settings.kafka)
    await producer.start()

    async def send(event: EventName, fields: dict[str, Any], append_ms: int) -> None:
        partition = partition_of(key_of(event, fields), system.settings.partitions)
        await producer.send(TOPIC[event], value(event, fields), partition=partition, timestamp_ms=append_ms)

    with worker(system, "first") as found:
        found.wait_until_ready()
        for event, fields in records * 2:  # each once more: as a duplicate
            await send(event, fields, now // 1000)
        await producer.flush()
        system.wait_until_applied()
        system.wait_until_windowed(0)
        for append_ms in (
            0,
            1,
            LATEST_APPEND_MS + 10**9,
            2**62,
        ):  # named by a publisher: nobody stamps records on this broker
            for event, fields in late.items():
                await send(event, fields | {"event_id": f"ahead{append_ms}", "tenant": "future"}, append_ms)
        for event, fields in records:  # now older than what is deduplicated in memory: looked up by ids and prompts
            await send(event, fields, now // 1000)
        for event in late:
            await producer.send(TOPIC[event], b"junk", partition=0, timestamp_ms=2**62)
        await producer.flush()
        system.wait_until_applied()
        found.stop()
    await producer.stop()
    totals = system.assert_records_add_up()
    assert totals["applied"] == len(records) + 4
    with worker(system, "second") as found:  # all of it is read back, and late records are looked up
        found.wait_until_ready()
        system.wait_until_windowed(0)
        found.stop()
    system.assert_verified()
