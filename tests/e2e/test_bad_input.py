"""Records that cannot be applied, of every kind that the world sends: each is named, and nothing around it is lost."""

from __future__ import annotations

import json
import time
from typing import Any, NamedTuple

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from streams.agents.topics import end_offsets
from streams.config import DEAD_TOPIC, ITEMS_TOPIC, USAGE_TOPIC
from streams.events.keys import partition_of
from streams.events.wire import HEADER_BYTES, pack_header
from tests.e2e.system import System
from tests.events.records import value
from tests.strategies import item_event, usage_event

NOW = time.time_ns() // 1000
AT = NOW - 3600 * 1_000_000
DAY_US = 86_400_000_000
GOOD = usage_event("spoilt", AT, work_item_id="I-1")


class Bad(NamedTuple):
    """A record and the reason for which it is refused. `foreign`: sent to a partition that its key does not belong to."""

    topic: str
    value: bytes | None
    reason: str
    foreign: bool = False


def usage(**changes: Any) -> bytes:
    return value("usage_event", GOOD | changes)


def item(**changes: Any) -> bytes:
    return value("work_item_event", item_event("spoilt", AT, "completed") | changes)


BAD = {
    "truncated": Bad(USAGE_TOPIC, usage()[:-3], "truncated"),
    "truncated item": Bad(ITEMS_TOPIC, item()[:-3], "truncated"),
    "header alone": Bad(USAGE_TOPIC, usage()[:HEADER_BYTES], "truncated"),
    "trailing bytes": Bad(USAGE_TOPIC, usage() + b"\x00", "trailing_bytes"),
    "another record behind it": Bad(USAGE_TOPIC, usage() + usage(), "trailing_bytes"),
    "no Avro": Bad(USAGE_TOPIC, usage().replace(b"gateway", b"gate\xff\xfe\xfd"), "malformed"),
    "unknown schema": Bad(USAGE_TOPIC, pack_header(4_000_000_000) + usage()[HEADER_BYTES:], "unknown_schema"),
    "the other event": Bad(USAGE_TOPIC, item(), "unknown_schema"),
    "null value": Bad(USAGE_TOPIC, None, "null_value"),
    "null item": Bad(ITEMS_TOPIC, None, "null_value"),
    "wrong magic": Bad(USAGE_TOPIC, b"\x01" + usage()[1:], "wrong_magic"),
    "JSON": Bad(USAGE_TOPIC, json.dumps(GOOD).encode(), "wrong_magic"),
    "negative tokens": Bad(USAGE_TOPIC, usage(output_tokens=-1), "bad_tokens"),
    "too many tokens": Bad(USAGE_TOPIC, usage(input_tokens=10**9 + 1), "bad_tokens"),
    "reasoning above output": Bad(USAGE_TOPIC, usage(output_tokens=5, reasoning_tokens=6), "bad_reasoning"),
    "negative cost": Bad(USAGE_TOPIC, usage(cost_micro_usd=-1), "bad_cost"),
    "no requests": Bad(USAGE_TOPIC, usage(requests=0), "bad_requests"),
    "far future": Bad(USAGE_TOPIC, usage(occurred_at=AT + 3650 * DAY_US), "bad_time"),
    "a day ahead": Bad(USAGE_TOPIC, usage(occurred_at=AT + DAY_US), "bad_time"),
    "year 1970": Bad(USAGE_TOPIC, usage(occurred_at=0), "bad_time"),
    "item of 1970": Bad(ITEMS_TOPIC, item(occurred_at=1), "bad_time"),
    "empty id": Bad(USAGE_TOPIC, usage(event_id=""), "bad_id"),
    "empty tenant": Bad(USAGE_TOPIC, usage(tenant=""), "bad_id"),
    "id of 100 kB": Bad(USAGE_TOPIC, usage(event_id="x" * 100_000), "bad_id"),
    "work item of 100 kB": Bad(USAGE_TOPIC, usage(work_item_id="x" * 100_000), "bad_id"),
    "empty work item": Bad(ITEMS_TOPIC, item(work_item_id=""), "bad_id"),
    "text of 100 kB": Bad(USAGE_TOPIC, usage(model="x" * 100_000), "bad_text"),
    "unknown activity": Bad(USAGE_TOPIC, usage(activity="dance"), "bad_vocabulary"),
    "unknown kind": Bad(ITEMS_TOPIC, item(kind="celebrated"), "bad_vocabulary"),
    "unknown link": Bad(ITEMS_TOPIC, item(kind="linked", link_type="friend_of"), "bad_vocabulary"),
    "too many labels": Bad(ITEMS_TOPIC, item(labels=["x"] * 33), "bad_labels"),
    "a wrong partition": Bad(USAGE_TOPIC, usage(), "wrong_partition", foreign=True),
    "item in a wrong partition": Bad(ITEMS_TOPIC, item(), "wrong_partition", foreign=True),
}
ACCEPTED = {
    "no usable size": (ITEMS_TOPIC, item_event("odd-1", AT, "sized", size_milli=-5)),
    "a size that is too large": (ITEMS_TOPIC, item_event("odd-2", AT, "sized", size_milli=10**9)),
    "empty optional texts": (USAGE_TOPIC, usage_event("odd-3", AT, work_item_id="I-1", session_id="", prompt_fingerprint="")),
    "an unknown status": (USAGE_TOPIC, usage_event("odd-4", AT, work_item_id="I-1", status="on fire")),
    "an id of 256 bytes": (USAGE_TOPIC, usage_event("é" * 128, AT, work_item_id="I-1")),
    "four minutes ahead": (USAGE_TOPIC, usage_event("odd-5", NOW + 240_000_000, work_item_id="I-1")),
}  # fmt: skip
"""Odd, but a documented rule takes them."""

Sent = tuple[str, int, int]
"""Topic, partition and offset."""


@pytest.fixture(scope="module")
def fates(system: System) -> dict[str, Sent]:
    """Publish every bad record between two good ones and let a worker apply all; returns where each bad record lies."""
    where: dict[str, Sent] = {}
    producer = KafkaProducer(
        bootstrap_servers=system.settings.kafka, acks="all", linger_ms=50, max_request_size=2 << 20
    )
    futures = {}
    for number, (name, bad) in enumerate(BAD.items()):
        for side in ("before", "after"):
            event = usage_event(f"good-{number}-{side}", AT, work_item_id=f"I-{number % 7}")
            send(producer, system, USAGE_TOPIC, event["work_item_id"], value("usage_event", event))
            if side == "before":
                own = partition_of("acme/I-1", system.settings.partitions)
                partition = (own + bad.foreign) % system.settings.partitions
                futures[name] = producer.send(bad.topic, bad.value, b"acme/I-1", partition=partition)
    for topic, event in ACCEPTED.values():
        send(producer, system, topic, "I-1", value("usage_event" if topic == USAGE_TOPIC else "work_item_event", event))
    producer.flush()
    for name, future in futures.items():
        sent = future.get()
        where[name] = (sent.topic, sent.partition, sent.offset)
    producer.close()
    worker = system.start_worker("worker-1")
    system.wait_until_applied()
    system.wait_until_windowed(AT)
    system.stop_worker(worker)
    return where


def send(producer: KafkaProducer, system: System, topic: str, work_item_id: str, record: bytes) -> None:
    key = f"acme/{work_item_id}"
    producer.send(topic, record, key.encode(), partition=partition_of(key, system.settings.partitions))


def test_every_bad_record_is_a_dead_letter_with_its_reason(system: System, fates: dict[str, Sent]) -> None:
    rows = system.client.query("SELECT topic, kpart, koff, reason, size_bytes FROM dead_letters FINAL").result_rows
    expected = {(*fates[name], bad.reason, len(bad.value or b"")) for name, bad in BAD.items()}
    assert set(rows) == expected
    assert len(rows) == len(BAD)


def test_the_dead_letters_topic_tells_the_same_and_no_payload(system: System, fates: dict[str, Sent]) -> None:
    told = [json.loads(message) for message in messages(system, DEAD_TOPIC)]
    assert {(t["topic"], t["partition"], t["offset"], t["reason"]) for t in told} == {
        (*fates[name], bad.reason) for name, bad in BAD.items()
    }
    assert len(told) == len(BAD)
    assert "spoilt" not in json.dumps(told)


def test_nothing_around_them_is_lost(system: System, fates: dict[str, Sent]) -> None:
    good = {f"good-{number}-{side}" for number in range(len(BAD)) for side in ("before", "after")}
    odd = [event["event_id"] for _, event in ACCEPTED.values()]
    ids = "SELECT event_id FROM usage_events FINAL UNION ALL SELECT event_id FROM work_item_events FINAL"
    stored = [row[0] for row in system.client.query(ids).result_rows]
    assert sorted(stored) == sorted([*good, *odd])
    requests = system.client.query("SELECT sum(requests) FROM work_item_usage FINAL").result_rows[0][0]
    assert requests == len(good) + sum(topic == USAGE_TOPIC for topic, _ in ACCEPTED.values())


def test_records_add_up_per_partition(system: System, fates: dict[str, Sent]) -> None:
    totals = system.assert_records_add_up()
    assert (totals["dead"], totals["applied"], totals["duplicates"]) == (len(BAD), 2 * len(BAD) + len(ACCEPTED), 0)
    system.assert_verified()


def messages(system: System, topic: str) -> list[bytes]:
    """All values of a topic."""
    ends = {place: end for place, end in end_offsets(system.settings, [topic]).items() if end}
    consumer = KafkaConsumer(bootstrap_servers=system.settings.kafka)
    places = [TopicPartition(*place) for place in ends]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    found: list[bytes] = []
    while any(consumer.position(place) < ends[place.topic, place.partition] for place in places):
        for records in consumer.poll(500).values():
            found += [record.value for record in records]
    consumer.close(autocommit=False)
    return found
