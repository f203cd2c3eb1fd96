"""What the publishers take arrives once, with the right key in the right partition; what does not arrive is said."""

from __future__ import annotations

import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kafka.errors import KafkaTimeoutError, TopicAuthorizationFailedError

import streams.publish as public
from streams.config import Settings
from streams.errors import BrokerUnavailable, ConfigError, SetupError
from streams.events.decode import decode, key_of
from streams.events.keys import partition_of
from streams.events.records import Records
from streams.events.schemas import shipped_id
from streams.events.wire import HEADER_BYTES, pack_header
from streams.publish import UsageEvent, UsagePublisher, WorkItemEvent, WorkItemPublisher
from streams.publish import producer as producer_module
from streams.publish.bulk import publish_records
from tests.publish.kafka_topic import make_topic, stored

NOON = datetime(2024, 1, 2, 12, tzinfo=UTC)
PARTITIONS = 3


def a_usage(number: int, **changes: Any) -> UsageEvent:
    needed: dict[str, Any] = {"event_id": f"u{number}", "occurred_at": NOON, "tenant": "acme"}
    return UsageEvent(**needed | {"work_item_id": f"PAY-{number % 7}"} | changes)


@pytest.fixture
def topic(broker_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The topic that both publishers write to in this test."""
    name = make_topic(broker_address, PARTITIONS)
    monkeypatch.setattr(UsagePublisher, "_topic", name)
    monkeypatch.setattr(WorkItemPublisher, "_topic", name)
    return name


def test_events_arrive_in_the_partition_of_their_key(broker_address: str, topic: str) -> None:
    """And a worker accepts every one of them there."""
    events = [a_usage(number) for number in range(500)] + [a_usage(500, work_item_id=None, session_id="s")]
    with UsagePublisher(Settings(kafka=broker_address)) as publisher:
        assert publisher.publish_many(events) == len(events)
    records = stored(broker_address, topic, PARTITIONS)
    assert sorted(record.value for record in records) == sorted(event.to_wire() for event in events)
    for partition in range(PARTITIONS):
        here = [record for record in records if record.partition == partition]
        assert all(record.partition == partition_of(record.key, PARTITIONS) for record in here)
        now = np.full(len(here), 2**62)
        values = [record.value for record in here]
        decoded = decode(
            "usage-events", Records.of(values), np.arange(len(here)), now, partition=partition, partitions=PARTITIONS
        )
        assert decoded.dead == []
        assert decoded.frame.select(key_of("usage_event")).to_series().to_list() == [record.key for record in here]


def test_usage_and_outcome_of_an_item_lie_side_by_side(broker_address: str, topic: str) -> None:
    """Order within a key is the order of publishing."""
    settings = Settings(kafka=broker_address)
    done = WorkItemEvent(event_id="w", occurred_at=NOON, tenant="acme", work_item_id="PAY-1", kind="completed")
    with UsagePublisher(settings) as usage, WorkItemPublisher(settings) as items:
        usage.publish(a_usage(1))
        usage.flush()
        items.publish(done)
    records = stored(broker_address, topic, PARTITIONS)
    assert [record.key for record in records] == ["acme/PAY-1", "acme/PAY-1"]
    assert [record.value for record in records] == [a_usage(1).to_wire(), done.to_wire()]


def test_leaving_the_block_flushes_also_after_an_error(broker_address: str, topic: str) -> None:
    """What was handed over before is not lost, and the error is the caller's own."""
    publisher = UsagePublisher(Settings(kafka=broker_address))

    def fail_half_way() -> None:
        with publisher:
            publisher.publish(a_usage(1))
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fail_half_way()
    assert len(stored(broker_address, topic, PARTITIONS)) == 1


def test_the_interpreters_exit_flushes(tansu_address: str) -> None:
    """A short script that forgets to close loses nothing."""
    topic = make_topic(tansu_address, PARTITIONS)
    script = f"""
from datetime import datetime, UTC
from streams.config import Settings
from streams.publish import UsageEvent, UsagePublisher
UsagePublisher._topic = {topic!r}
publisher = UsagePublisher(Settings(kafka={tansu_address!r}))
for number in range(50):
    publisher.publish(UsageEvent(event_id=str(number), occurred_at=datetime.now(UTC), tenant="acme"))
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert len(stored(tansu_address, topic, PARTITIONS)) == 50


def test_a_second_close_does_nothing(tansu_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A context manager and a caller may both close."""
    monkeypatch.setattr(UsagePublisher, "_topic", make_topic(tansu_address, 1))
    with UsagePublisher(Settings(kafka=tansu_address)) as publisher:
        publisher.close()


def test_the_schema_registry_gives_the_id(tansu_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that ask the same registry find the schema."""
    topic = make_topic(tansu_address, 1)
    monkeypatch.setattr(UsagePublisher, "_topic", topic)
    monkeypatch.setattr("streams.events.schemas.WriterSchemas._call", lambda *_: {"id": 4711})
    with UsagePublisher(Settings(kafka=tansu_address, schema_registry="http://registry")) as publisher:
        publisher.publish(a_usage(1))
    (record,) = stored(tansu_address, topic, 1)
    assert record.value[:HEADER_BYTES] == pack_header(4711)


def test_an_event_from_the_future_is_refused(tansu_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker would make it a dead letter."""
    monkeypatch.setattr(UsagePublisher, "_topic", make_topic(tansu_address, 1))
    with UsagePublisher(Settings(kafka=tansu_address)) as publisher:
        publisher.publish(a_usage(1, occurred_at=datetime.now(UTC) + timedelta(minutes=4)))
        with pytest.raises(ValueError, match="in the future"):
            publisher.publish(a_usage(1, occurred_at=datetime.now(UTC) + timedelta(minutes=6)))


def test_a_broker_that_is_down_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With the address, the setting, and no log lines around it."""
    monkeypatch.setattr(producer_module, "_CONNECT_MS", 300)
    settings = Settings(kafka="127.0.0.1:1")
    with caplog.at_level(logging.WARNING):
        for attempt in (lambda: UsagePublisher(settings), lambda: publish_records(settings, [("t", b"k", b"v", None)])):
            with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1 ") as caught:
                attempt()
            assert "TOKENWORTH_KAFKA" in caught.value.remedy
    assert caplog.records == []


def test_a_missing_topic_is_named(kafka_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not created by accident, with the wrong partition count. (Tansu creates what a producer asks for.)"""
    monkeypatch.setattr(producer_module, "_CONNECT_MS", 1000)
    monkeypatch.setattr(UsagePublisher, "_topic", "nobody-made-this")
    with pytest.raises(SetupError, match=r"missing at .*: topic nobody-made-this") as caught:
        UsagePublisher(Settings(kafka=kafka_address))
    assert "tokenworth init" in caught.value.remedy


def test_a_missing_topic_is_named_in_bulk(broker_address: str) -> None:
    """The same where records name their topics."""
    with pytest.raises(SetupError, match=r"missing at .*: topic nor-this") as caught:
        publish_records(Settings(kafka=broker_address), [("nor-this", b"k", b"v", None)])
    assert "tokenworth init" in caught.value.remedy


class Undelivered:
    """A future of kafka-python that has failed."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def add_errback(self, tell: Any) -> None:
        """Tell at once."""
        tell(self.error)


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (KafkaTimeoutError("late"), BrokerUnavailable, "no Kafka broker answers at"),
        (TopicAuthorizationFailedError(), SetupError, "refuses"),
    ],
)
def test_a_failed_delivery_is_raised_at_the_next_call(
    tansu_address: str, monkeypatch: pytest.MonkeyPatch, error: BaseException, expected: type[SetupError], message: str
) -> None:
    """With how many events are concerned, once."""
    monkeypatch.setattr(UsagePublisher, "_topic", make_topic(tansu_address, 1))
    with UsagePublisher(Settings(kafka=tansu_address)) as publisher:
        monkeypatch.setattr(publisher._producer._kafka, "send", lambda *_, **__: Undelivered(error))
        publisher.publish(a_usage(1))
        with pytest.raises(expected, match=f"1 events were not delivered to .*{message}"):
            publisher.publish(a_usage(2))
        monkeypatch.undo()
        publisher.flush()


def test_bulk_keeps_order_keys_partitions_and_null_values(broker_address: str) -> None:
    """A record with a partition of its own goes there, as the bad records of a test traffic must."""
    topic = make_topic(broker_address, PARTITIONS)
    records: list[tuple[str, bytes, bytes | None, int | None]] = [
        (topic, f"key-{number % 11}".encode(), f"{number:06}".encode() * 40, None) for number in range(30_000)
    ]
    records.append((topic, b"key-1", b"foreign", (partition_of("key-1", PARTITIONS) + 1) % PARTITIONS))
    records.append((topic, b"key-2", None, None))
    told: list[int] = []
    assert publish_records(Settings(kafka=broker_address), iter(records), told.append) == len(records)
    found = stored(broker_address, topic, PARTITIONS)
    for partition in range(PARTITIONS):
        expected = [
            (key.decode(), value)
            for _, key, value, chosen in records
            if (partition_of(key.decode(), PARTITIONS) if chosen is None else chosen) == partition
        ]
        assert [(record.key, record.value) for record in found if record.partition == partition] == expected
    assert told == sorted(told)
    assert told[-1] == len(records)


def test_the_public_names() -> None:
    """What a platform team imports."""
    for name in ("UsagePublisher", "WorkItemPublisher", "UsageEvent", "WorkItemEvent", "Pseudonyms"):
        assert name in public.__all__
    assert shipped_id("usage_event") != shipped_id("work_item_event")


class TestPseudonyms:
    """Keyed, stable, per namespace."""

    def test_the_same_person_is_the_same_word(self) -> None:
        """For every publisher with the key, and for nobody else."""
        one, same, other = public.Pseudonyms("k" * 16), public.Pseudonyms(b"k" * 16), public.Pseudonyms("l" * 16)
        assert one.of("github", "jane") == same.of("github", "jane")
        assert (
            len({one.of("github", "jane"), one.of("jira", "jane"), one.of("github", "joe"), other.of("github", "jane")})
            == 4
        )

    def test_it_is_hmac_sha256(self) -> None:
        """Computed by: printf 'github\\0jane' | openssl dgst -sha256 -hmac kkkkkkkkkkkkkkkk"""
        assert public.Pseudonyms("k" * 16).of("github", "jane") == "github:e9de1878ff6fc259114718d07e4bddc7"

    def test_an_event_takes_it(self) -> None:
        """The two fit together."""
        assert a_usage(1, actor=public.Pseudonyms("k" * 16).of("git.hub_1-x", "jané")).actor.startswith("git.hub_1-x:")
        assert public.Pseudonyms("k" * 16).of("github", "") == ""

    @pytest.mark.parametrize("namespace", ["", "GitHub", "a:b", "a b", "x" * 65])
    def test_a_namespace_is_a_short_word(self, namespace: str) -> None:
        """The colon separates."""
        with pytest.raises(ValueError, match="namespace"):
            public.Pseudonyms("k" * 16).of(namespace, "jane")

    @pytest.mark.parametrize("key", ["", "short"])
    def test_a_weak_key_is_refused(self, key: str) -> None:
        """Naming the setting."""
        with pytest.raises(ConfigError, match="TOKENWORTH_ACTOR_KEY"):
            public.Pseudonyms(key)
