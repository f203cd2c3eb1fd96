"""The Kafka topics: what `init` creates, what a worker insists on, what `doctor` looks at.

All topics have the same partition count: usage and outcome of a work item must meet in one partition, and the count never changes under
running workers, because it decides where every key lies.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import BrokerResponseError, KafkaError, KafkaTimeoutError, TopicAlreadyExistsError

from streams.config import INPUT_TOPICS, TOPICS, Settings
from streams.errors import BrokerUnavailable, ConfigError, PartitionMismatch, SetupError

_TIMESTAMP_TYPE: Final = "message.timestamp.type"
_LOG_APPEND_TIME: Final = "LogAppendTime"
_DERIVED_MESSAGE_BYTES: Final = 16 << 20
"""One message of pane-updates holds all that a flush touched of a tenant; Kafka's default of 1 MiB would refuse it."""
_NO_ID: Final = "00000000-0000-0000-0000-000000000000"
_BOOTSTRAP_MS: Final = 5000
_FETCH_MS: Final = 10_000
_FETCH_WAIT_MS: Final = 20
_GONE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as the broker describes it. `replication`: the least over its partitions. `log_append_time`: None where nobody asked."""

    topic_id: str
    partitions: int
    replication: int
    log_append_time: bool | None = None


@contextmanager
def admin(settings: Settings) -> Iterator[Any]:
    """A kafka-python admin client. Raises BrokerUnavailable when no broker answers, ConfigError for an address that is none."""
    with _reaching(settings):
        client = KafkaAdminClient(bootstrap_servers=_addresses(settings), bootstrap_timeout_ms=_BOOTSTRAP_MS)
        try:
            yield client
        finally:
            client.close()


def create_topics(settings: Settings) -> list[str]:
    """Create the topics that are missing and return their names; those that are there stay as they are.

    Raises PartitionMismatch when some are there with other partition counts.
    """
    there = partition_counts(settings)
    wrong = {name: count for name, count in there.items() if count != settings.partitions}
    if wrong:
        raise PartitionMismatch(
            f"TOKENWORTH_PARTITIONS is {settings.partitions}, but {_counts(wrong)}",
            remedy=f"set TOKENWORTH_PARTITIONS={max(wrong.values())}, or delete the topics of an abandoned installation",
        )
    missing = {
        name: {
            "num_partitions": settings.partitions,
            "replication_factor": settings.replication,
            "configs": _configs(name, settings.replication),
        }
        for name in TOPICS
        if name not in there
    }
    if missing:
        with admin(settings) as client:
            try:
                client.create_topics(missing, wait_for_metadata=True)
            except TopicAlreadyExistsError:
                # Another `init` ran at the same time; it created the same topics or there is a mismatch to tell.
                return create_topics(settings)
    return list(missing)


def check_topics(settings: Settings) -> int:
    """The partition count that all topics share. Raises SetupError when one is missing, PartitionMismatch when they differ."""
    watch = TopicWatch(settings)
    try:
        return partitions_of(watch.look())
    finally:
        watch.close()


def partition_counts(settings: Settings) -> dict[str, int]:
    """Partition count of each topic that is there."""
    with admin(settings) as client:
        return {topic["name"]: len(topic["partitions"]) for topic in _found(client)}


def describe_topics(settings: Settings) -> dict[str, TopicState]:
    """State of each topic that is there. Asks for its configuration, which a worker's user need not be allowed to read."""
    with admin(settings) as client:
        found = _found(client)
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic["name"]) for topic in found]
        configs = client.describe_configs(resources, config_filter="all").get("topic", {}) if resources else {}
    return {
        topic["name"]: replace(
            _state(topic),
            log_append_time=configs.get(topic["name"], {}).get(_TIMESTAMP_TYPE, {}).get("value") == _LOG_APPEND_TIME,
        )
        for topic in found
    }


class TopicWatch:
    """Describes the topics again and again over one connection. Blocking; for one thread at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Any = None

    def look(self) -> dict[str, TopicState]:
        """The topics that are there. Raises BrokerUnavailable; the next call connects again."""
        try:
            with _reaching(self._settings):
                if self._client is None:
                    self._client = KafkaAdminClient(
                        bootstrap_servers=_addresses(self._settings), bootstrap_timeout_ms=_BOOTSTRAP_MS
                    )
                return {topic["name"]: _state(topic) for topic in _found(self._client)}
        except BrokerUnavailable:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


def partitions_of(topics: Mapping[str, TopicState], expected: int | None = None) -> int:
    """The partition count that all topics share. Raises SetupError when one is missing, PartitionMismatch when counts are not as expected."""
    missing = [name for name in TOPICS if name not in topics]
    if missing:
        raise SetupError(f"missing in Kafka: topic {', '.join(missing)}", remedy="run: tokenworth init")
    counts = {name: topic.partitions for name, topic in topics.items()}
    if len(set(counts.values())) > 1:
        raise PartitionMismatch(
            f"the topics have different partition counts: {_counts(counts)}",
            remedy="usage and outcomes meet by partition: delete and re-create the topics that differ with `tokenworth init`",
        )
    found = next(iter(counts.values()))
    if expected is not None and found != expected:
        raise PartitionMismatch(
            f"the topics have {found} partitions, the installation was made with {expected}: keys lie elsewhere now",
            remedy="recreate the topics with the old count; `tokenworth rebuild --repartition` moves what is stored to another one",
        )
    return found


def members(settings: Settings) -> int:
    """How many workers the group has."""
    with admin(settings) as client:
        return len(client.describe_groups([settings.group])[settings.group]["members"])


def delete_topics(settings: Settings, names: Sequence[str]) -> None:
    """Delete topics with all their records, and the group with its positions; returns when they are gone. The group must have no members."""
    if not names:
        return
    with admin(settings) as client:
        client.delete_topics(list(names))
        began = time.monotonic()
        while left := {topic["name"] for topic in _found(client)} & set(names):
            if time.monotonic() - began > _GONE_S:
                raise SetupError(f"the broker has not deleted {', '.join(sorted(left))}", remedy="run it again")
            time.sleep(_FETCH_WAIT_MS / 1000)
        client.delete_groups([settings.group])


def end_offsets(settings: Settings, topics: Sequence[str] = INPUT_TOPICS) -> dict[tuple[str, int], int]:
    """The next offset of every partition of the topics, by (topic, partition)."""
    with _reaching(settings):
        consumer = KafkaConsumer(
            bootstrap_servers=_addresses(settings), bootstrap_timeout_ms=_BOOTSTRAP_MS, fetch_max_wait_ms=_FETCH_WAIT_MS
        )
        try:
            parts = [TopicPartition(topic, p) for topic in topics for p in consumer.partitions_for_topic(topic) or ()]
            consumer.assign(parts)
            for part, offset in consumer.end_offsets(parts).items():
                consumer.seek(part, offset)
            # What a fetch says is right; to the question itself Tansu answers with the second record of the last batch.
            began = time.monotonic()
            while any(consumer.highwater(part) is None for part in parts):
                if time.monotonic() - began > _FETCH_MS / 1000:
                    raise KafkaTimeoutError(f"no fetch came back within {_FETCH_MS} ms")
                consumer.poll(_FETCH_WAIT_MS)
            return {(part.topic, part.partition): consumer.highwater(part) for part in parts}
        finally:
            consumer.close(autocommit=False)


def _state(topic: dict[str, Any]) -> TopicState:
    topic_id = str(topic.get("topic_id") or "")
    return TopicState(
        topic_id="" if topic_id == _NO_ID else topic_id,
        partitions=len(topic["partitions"]),
        replication=min((len(part["replica_nodes"]) for part in topic["partitions"]), default=0),
    )


def _configs(name: str, replication: int) -> dict[str, str]:
    # With acks=all an event survives the loss of a broker only when at least two have it before the publisher hears so.
    configs = {"min.insync.replicas": str(max(1, replication - 1))}
    if name in INPUT_TOPICS:
        configs[_TIMESTAMP_TYPE] = _LOG_APPEND_TIME
    else:
        configs["max.message.bytes"] = str(_DERIVED_MESSAGE_BYTES)
    return configs


def _found(client: Any) -> list[dict[str, Any]]:
    return [topic for topic in client.describe_topics(list(TOPICS)) if not topic["error_code"]]


@contextmanager
def _reaching(settings: Settings) -> Iterator[None]:
    noise = logging.getLogger("kafka")
    level = noise.level
    noise.setLevel(logging.CRITICAL)  # the one message below says it
    try:
        yield
    except BrokerResponseError as error:
        raise SetupError(
            f"Kafka at {settings.kafka} refuses: {error.message} ({error.description})",
            remedy="check the user's rights, TOKENWORTH_REPLICATION and the number of brokers",
        ) from error
    except KafkaError as error:
        raise BrokerUnavailable(
            f"no Kafka broker answers at {settings.kafka} ({type(error).__name__})",
            remedy="start it, or set TOKENWORTH_KAFKA to where one listens; `tokenworth up` starts an embedded one",
        ) from error
    finally:
        noise.setLevel(level)


def _addresses(settings: Settings) -> list[str]:
    addresses = [address.strip() for address in settings.kafka.split(",") if address.strip()]
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise ConfigError("TOKENWORTH_KAFKA", f"{address!r} is no address", remedy="write host:port[,host:port]")
    if not addresses:
        raise ConfigError("TOKENWORTH_KAFKA", "is empty", remedy="write host:port[,host:port]")
    return addresses


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} has {count}" for name, count in sorted(counts.items()))
