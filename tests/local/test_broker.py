"""Every kind of broker keeps what the workers and publishers build on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

from streams.errors import BrokerUnavailable, ConfigError, SetupError
from streams.local import broker as broker_module
from streams.local.broker import answers, missing_for_kafka, start_broker
from streams.local.process import reserve_port


@pytest.fixture
def topic(broker_address: str) -> str:
    return make_topic(broker_address)


def make_topic(address: str, partitions: int = 4) -> str:
    name = f"topic-{uuid4().hex}"
    with closing(KafkaAdminClient(bootstrap_servers=address)) as admin:
        admin.create_topics([NewTopic(name, partitions, 1)])
    return name


def produce(address: str, topic: str, count: int) -> list[tuple[int, int]]:
    """Partition and offset of each record, in order of sending."""
    producer = KafkaProducer(bootstrap_servers=address, acks="all", compression_type="lz4", linger_ms=5)
    try:
        sent = [
            producer.send(topic, key=f"key-{number % 50}".encode(), value=f"value-{number}".encode())
            for number in range(count)
        ]
        producer.flush()
        return [(done.partition, done.offset) for done in (future.get(timeout=30) for future in sent)]
    finally:
        producer.close()


async def consume(address: str, topic: str, count: int) -> dict[tuple[int, int], bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, partition) for partition in range(4)])
        records: dict[tuple[int, int], bytes] = {}
        while len(records) < count:
            for partition, batch in (await consumer.getmany(timeout_ms=10_000)).items():
                records |= {(partition.partition, record.offset): record.value for record in batch}
        return records
    finally:
        await consumer.stop()


async def test_records_come_back_in_order_with_dense_offsets(broker_address: str, topic: str) -> None:
    places = produce(broker_address, topic, 1000)
    records = await consume(broker_address, topic, 1000)
    assert {place: f"value-{number}".encode() for number, place in enumerate(places)} == records
    for partition in range(4):
        offsets = sorted(offset for part, offset in places if part == partition)
        assert offsets == list(range(len(offsets)))


async def test_a_group_keeps_its_position(broker_address: str, topic: str) -> None:
    group, place = f"group-{uuid4().hex}", TopicPartition(topic, 2)
    options = {"bootstrap_servers": broker_address, "group_id": group, "enable_auto_commit": False}
    member = AIOKafkaConsumer(topic, **options)
    await member.start()
    try:
        while place not in member.assignment():
            await member.getmany(timeout_ms=100)
        assert await member.committed(place) is None
        await member.commit({place: 7})
    finally:
        await member.stop()
    reader = AIOKafkaConsumer(**options)
    await reader.start()
    try:
        reader.assign([place])
        assert await reader.committed(place) == 7
    finally:
        await reader.stop()


def test_an_external_broker_must_answer(tansu_address: str, tmp_path: Path) -> None:
    broker = start_broker(tansu_address, tmp_path, tmp_path)
    broker.wait_until_ready()
    assert (broker.kind, broker.address, broker.child) == ("external", tansu_address, None)
    nobody = f"127.0.0.1:{reserve_port('x')}"
    with pytest.raises(BrokerUnavailable, match=nobody):
        start_broker(nobody, tmp_path, tmp_path).wait_until_ready()


def test_another_word_is_no_broker(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="redpanda"):
        start_broker("redpanda", tmp_path, tmp_path)


@pytest.mark.parametrize("kind", ["tansu", pytest.param("kafka", marks=pytest.mark.kafka)])
def test_a_taken_port_is_named(kind: str, tansu_address: str, tmp_path: Path) -> None:
    port = int(tansu_address.rpartition(":")[2])
    with pytest.raises(SetupError, match=f"port {port}") as raised:
        start_broker(kind, tmp_path, tmp_path, port=port)
    assert raised.value.remedy


def test_without_java_kafka_says_so_and_auto_takes_tansu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "no-java"))
    with pytest.raises(SetupError, match="Java was not found") as raised:
        start_broker("kafka", tmp_path, tmp_path)
    assert "tansu" in raised.value.remedy
    broker = start_broker("auto", tmp_path, tmp_path)
    assert broker.child is not None
    broker.child.stop()
    assert broker.kind == "tansu"


@pytest.mark.parametrize(
    ("shown", "complaint"),
    [
        ('openjdk version "11.0.2" 2019-01-15', "Java 11 is too old"),
        ('java version "1.8.0_292"', "Java 8 is too old"),
        ('openjdk version "17.0.15" 2025-04-15', "mvn was not found"),
    ],
)
def test_what_is_missing_is_named(shown: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho '{shown}' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert complaint in missing_for_kafka()


def test_a_failed_download_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mvn = tmp_path / "bin" / "mvn"
    mvn.parent.mkdir()
    mvn.write_text("#!/bin/sh\necho 'no route to host'; exit 1\n")
    mvn.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{mvn.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(broker_module, "missing_for_kafka", lambda: "")
    with pytest.raises(SetupError, match="no route to host") as raised:
        start_broker("kafka", tmp_path / "data", tmp_path)
    assert "tansu" in raised.value.remedy


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[broker_module.Broker]:
    broker = start_broker("kafka", tmp_path / "data", tmp_path)
    broker.wait_until_ready()
    yield broker
    assert broker.child is not None
    broker.child.stop()


@pytest.mark.kafka
async def test_kafka_keeps_records_over_kill_9_and_restart(own_kafka: broker_module.Broker, tmp_path: Path) -> None:
    address, child = own_kafka.address, own_kafka.child
    assert child is not None
    topic = make_topic(address)
    produce(address, topic, 500)
    child.kill()
    assert not answers(address)
    child.restart()
    own_kafka.wait_until_ready()
    produce(address, topic, 500)
    assert len(await consume(address, topic, 1000)) == 1000
    child.stop()
    again = start_broker("kafka", tmp_path / "data", tmp_path)  # another port over the same data
    try:
        again.wait_until_ready()
        assert len(await consume(again.address, topic, 1000)) == 1000
    finally:
        assert again.child is not None
        again.child.stop()


@pytest.mark.kafka
def test_kafka_creates_no_topic_by_itself(kafka_address: str) -> None:
    name = f"typo-{uuid4().hex}"
    with closing(KafkaAdminClient(bootstrap_servers=kafka_address)) as admin:
        admin.describe_topics([name])
        assert name not in admin.list_topics()
