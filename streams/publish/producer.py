"""The Kafka producer behind the publishers: an event that was taken is delivered, or its failure is raised."""

from __future__ import annotations

import atexit
from functools import lru_cache
from typing import Any, Final

from kafka import KafkaProducer
from kafka.errors import BrokerResponseError, KafkaError, KafkaTimeoutError, UnknownTopicOrPartitionError

from streams.config import Settings
from streams.errors import BrokerUnavailable, ConfigError, SetupError, TokenworthError
from streams.events.keys import partition_of
from streams.publish.quiet import quiet

_CONNECT_MS: Final = 10_000
_DELIVERY_MS: Final = 60_000
_CLOSE_S: Final = 2.0
_LINGER_MS: Final = 20
_BATCH_BYTES: Final = 256 << 10
_UNACKNOWLEDGED: Final = 50_000
"""Events handed over between two waits for the broker: kafka-python's own buffer has no limit."""

_cached_partition = lru_cache(1 << 16)(partition_of)
"""kafka-python hashes a key in Python, byte by byte, for longer than all else takes; keys repeat."""


class Producer:
    """Sends records of one topic. Thread-safe. Delivers what is left at the interpreter's exit."""

    def __init__(self, settings: Settings, topic: str) -> None:
        """Connects. Raises BrokerUnavailable when no broker answers, SetupError when the topic is missing."""
        self._settings, self._topic = settings, topic
        self._failure: BaseException | None = None
        self._failed = self._sent = 0
        with quiet("kafka"):
            try:
                self._kafka: Any = KafkaProducer(
                    bootstrap_servers=settings.kafka.split(","),
                    bootstrap_timeout_ms=_CONNECT_MS,
                    max_block_ms=_CONNECT_MS,
                    acks="all",
                    enable_idempotence=True,
                    compression_type="lz4",
                    linger_ms=_LINGER_MS,
                    batch_size=_BATCH_BYTES,
                    delivery_timeout_ms=_DELIVERY_MS,
                    allow_auto_create_topics=False,
                    metrics_enabled=False,
                )
            except ValueError as error:
                raise ConfigError("TOKENWORTH_KAFKA", str(error), remedy="write host:port[,host:port]") from error
            except (KafkaError, OSError) as error:
                raise self._explained(error) from error
            try:
                self.partitions = len(self._kafka.partitions_for(topic))
            except (KafkaTimeoutError, UnknownTopicOrPartitionError) as error:  # it answered before
                self._disconnect()
                raise SetupError(
                    f"missing at {settings.kafka}: topic {topic}", remedy="run: tokenworth init"
                ) from error
            except (KafkaError, OSError) as error:
                self._disconnect()
                raise self._explained(error) from error
        self._closed = False
        atexit.register(self.close)

    def send(self, key: str, value: bytes) -> None:
        """Hand a record over. Blocks only while the broker is behind; raises what an earlier delivery came to."""
        if self._failure is not None:
            self._raise()
        try:
            future = self._kafka.send(
                self._topic, value, key.encode(), partition=_cached_partition(key, self.partitions)
            )
        except (KafkaError, OSError) as error:
            raise self._explained(error) from error
        future.add_errback(self._fail)
        self._sent += 1
        if self._sent % _UNACKNOWLEDGED == 0:
            self.flush()

    def flush(self) -> None:
        """Block until all in-sync replicas have every record that was handed over; raises when one failed."""
        try:
            self._kafka.flush(timeout=_DELIVERY_MS / 1000)
        except (KafkaError, OSError) as error:
            raise self._explained(error) from error
        if self._failure is not None:
            self._raise()

    def close(self) -> None:
        """Flush and disconnect. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        try:
            self.flush()
        finally:
            self._disconnect()

    def _disconnect(self) -> None:
        with quiet("kafka"):
            self._kafka.close(timeout=_CLOSE_S)

    def _fail(self, error: BaseException) -> None:
        self._failed += 1
        self._failure = self._failure or error

    def _raise(self) -> None:
        error, count = self._failure, self._failed
        self._failure, self._failed = None, 0
        assert error is not None
        explained = self._explained(error)
        raise type(explained)(
            f"{count} events were not delivered to {self._topic}: {explained.message}", remedy=explained.remedy
        ) from error

    def _explained(self, error: BaseException) -> TokenworthError:
        if isinstance(error, BrokerResponseError):
            return SetupError(
                f"Kafka at {self._settings.kafka} refuses: {error.message} ({error.description})",
                remedy="check the publisher's rights, and that `tokenworth init` made the topics",
            )
        return BrokerUnavailable(
            f"no Kafka broker answers at {self._settings.kafka} ({type(error).__name__})",
            remedy="start it, or set TOKENWORTH_KAFKA to where one listens; publish again what was not delivered",
        )
