"""Many encoded records at once: for traffic that is there already, where a call per record costs more than all else.

Needs the worker extra: aiokafka builds record batches in compiled code, at a tenth of kafka-python's cost per record.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.config import Settings
from streams.errors import BrokerUnavailable, SetupError
from streams.events.keys import murmur2
from streams.publish.quiet import quiet

Record = tuple[str, bytes, bytes | None, int | None]
"""Topic, key, value, and the partition; None: the one that Kafka's default partitioner gives the key."""

_BATCH_BYTES: Final = 512 << 10
_IN_FLIGHT: Final = 16
_SEND_ALL_EVERY: Final = 10_000
"""Records after which no batch waits for more: the topic with few events would arrive long after the other one."""
_murmur2 = lru_cache(1 << 16)(murmur2)


def publish_records(
    settings: Settings, records: Iterable[Record], progress: Callable[[int], None] = lambda _: None
) -> int:
    """Publish all records and return their number once all are acknowledged. Order is kept within a partition. Blocks.

    `progress` is told now and then how many were handed over. At least once: when a broker goes away in between, some
    may be stored twice. Raises BrokerUnavailable when no broker answers, SetupError when a topic is missing. Not to be
    called inside a running event loop.
    """
    with quiet("aiokafka"):
        return asyncio.run(_publish(settings, records, progress))


async def _publish(settings: Settings, records: Iterable[Record], progress: Callable[[int], None]) -> int:
    # Not idempotent: Tansu refuses aiokafka a producer id, and the worker recognises what comes twice.
    producer: Any = AIOKafkaProducer(
        bootstrap_servers=settings.kafka, acks="all", compression_type="lz4", max_batch_size=_BATCH_BYTES
    )
    try:
        await producer.start()
        cluster = await producer.client.fetch_all_metadata()
        counts = {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in cluster.topics()}
        return await _send_all(settings, producer, counts, records, progress)
    except (KafkaError, OSError) as error:
        raise BrokerUnavailable(
            f"no Kafka broker answers at {settings.kafka} ({type(error).__name__})",
            remedy="start it, or set TOKENWORTH_KAFKA to where one listens",
        ) from error
    finally:
        await producer.stop()


async def _send_all(
    settings: Settings,
    producer: Any,
    counts: Mapping[str, int],
    records: Iterable[Record],
    progress: Callable[[int], None],
) -> int:
    filling: dict[tuple[str, int], Any] = {}
    flying: deque[asyncio.Future[Any]] = deque()
    count = 0

    async def send(place: tuple[str, int]) -> None:
        batch = filling.pop(place)
        batch.close()
        flying.append(await producer.send_batch(batch, place[0], partition=place[1]))
        if len(flying) > _IN_FLIGHT:
            await flying.popleft()
        progress(count)

    for topic, key, value, chosen in records:
        if topic not in counts:
            raise SetupError(f"missing at {settings.kafka}: topic {topic}", remedy="run: tokenworth init")
        partition = (_murmur2(key) & 0x7FFFFFFF) % counts[topic] if chosen is None else chosen
        place = topic, partition
        batch = filling.get(place)
        now = time.time_ns() // 1_000_000
        if batch is None or batch.append(key=key, value=value, timestamp=now) is None:
            if batch is not None:
                await send(place)
            batch = filling[place] = producer.create_batch()
            batch.append(key=key, value=value, timestamp=now)
        count += 1
        if count % _SEND_ALL_EVERY == 0:
            for waiting in list(filling):
                await send(waiting)
    for place in list(filling):
        await send(place)
    await asyncio.gather(*flying)
    progress(count)
    return count
