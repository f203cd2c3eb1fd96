"""A topic of a test's own, and what lies in it."""

from __future__ import annotations

from contextlib import closing
from typing import NamedTuple
from uuid import uuid4

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic


class Stored(NamedTuple):
    """One record as a consumer sees it."""

    partition: int
    key: str
    value: bytes


def make_topic(address: str, partitions: int) -> str:
    """The name of a new topic."""
    name = f"topic-{uuid4().hex}"
    with closing(KafkaAdminClient(bootstrap_servers=address)) as admin:
        admin.create_topics([NewTopic(name, partitions, 1)])
    return name


def stored(address: str, topic: str, partitions: int) -> list[Stored]:
    """Everything in the topic, by partition and offset."""
    places = [TopicPartition(topic, partition) for partition in range(partitions)]
    with closing(KafkaConsumer(bootstrap_servers=address, enable_auto_commit=False)) as consumer:
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        found: dict[TopicPartition, list[Stored]] = {place: [] for place in places}
        # The end as a fetch reports it: Tansu answers the question for the end offset with one too low.
        while any(consumer.position(place) != consumer.highwater(place) for place in places):
            for place, batch in consumer.poll(timeout_ms=1000).items():
                found[place] += [Stored(place.partition, record.key.decode(), record.value) for record in batch]
    return [record for place in places for record in found[place]]
