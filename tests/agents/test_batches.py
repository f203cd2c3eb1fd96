"""Chunks of a fetch hold exactly what aiokafka's own reader gives, on real topics: every codec, gaps, transactions, and seeks into a batch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any
from uuid import uuid4

import aiokafka.consumer.fetcher as fetching
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from streams.agents.app import fetch_bytes
from streams.agents.batches import LATEST_APPEND_MS, Batch, Chunk, ChunkedRecords
from streams.agents.record_batch import RawRecords

CODECS = (None, "gzip", "snappy", "lz4", "zstd")
BATCHES: tuple[list[bytes | None], ...] = (
    [b"first"], [b"", None, b"x" * 5000], [b"%d" % i for i in range(300)], [None], [b"\0" * 10], [b"last", b"of all"],
)  # fmt: skip
RECORDS = sum(len(batch) for batch in BATCHES)
Row = tuple[int, int, bytes | None]


def new_topic(address: str, **configs: str) -> TopicPartition:
    """The one partition of a new topic."""
    name = f"t-{uuid4().hex}"
    client = KafkaAdminClient(bootstrap_servers=address)
    client.create_topics(
        {name: {"num_partitions": 1, "replication_factor": 1, "configs": configs}}, wait_for_metadata=True
    )
    client.close()
    return TopicPartition(name, 0)


@asynccontextmanager
async def producer(address: str, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    """A started producer."""
    found = AIOKafkaProducer(bootstrap_servers=address, max_batch_size=1 << 20, **options)
    await found.start()
    try:
        yield found
    finally:
        await found.stop()


async def send(
    found: AIOKafkaProducer, tp: TopicPartition, values: Sequence[bytes | None], *, keys: bool = False
) -> None:
    """Send the values as one record batch. Each record is a second later than the one before it."""
    batch = found.create_batch()
    now_ms = int(time.time() * 1000) - 1000 * len(values)
    for i, value in enumerate(values):
        assert batch.append(key=b"%d" % (i % 5) if keys else None, value=value, timestamp=now_ms + 1000 * i) is not None
    await (await found.send_batch(batch, tp.topic, partition=tp.partition))


@asynccontextmanager
async def consumer(address: str, tp: TopicPartition, isolation: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of the partition."""
    found = AIOKafkaConsumer(
        bootstrap_servers=address, isolation_level=isolation, auto_offset_reset="earliest", fetch_max_wait_ms=100
    )
    await found.start()
    try:
        found.assign([tp])
        yield found
    finally:
        await found.stop()


async def read(address: str, tp: TopicPartition, begin: int, end: int, isolation: str) -> list[Any]:
    """What a consumer delivers from `begin` until its position is `end`."""
    found: list[Any] = []
    async with consumer(address, tp, isolation) as reader:
        reader.seek(tp, begin)
        deadline = time.monotonic() + 30
        while await reader.position(tp) < end:
            assert time.monotonic() < deadline, f"at {await reader.position(tp)} of {end}"
            for part in (await reader.getmany(timeout_ms=200)).values():
                found += part
    return found


async def end_of(address: str, tp: TopicPartition) -> int:
    """The log's end, as a fetch tells it: Tansu answers the question itself wrongly."""
    async with consumer(address, tp, "read_uncommitted") as reader:
        while (known := reader.highwater(tp)) is None:
            await reader.getmany(timeout_ms=100, max_records=1)
            await asyncio.sleep(0.02)
        return int(known)


async def assert_equal(
    address: str, tp: TopicPartition, begins: Sequence[int], isolation: str = "read_uncommitted"
) -> list[Row]:
    """From each of the offsets on, both readers give the same records. Returns those from the first offset on."""
    end, answers = await end_of(address, tp), []
    for begin in begins:
        stock = [
            (r.offset, min(max(r.timestamp, 0), LATEST_APPEND_MS) * 1000, r.value)
            for r in await read(address, tp, begin, end, isolation)
        ]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fetching, "PartitionRecords", ChunkedRecords)
            patch.setattr(fetching, "MemoryRecords", RawRecords)
            chunks: list[Chunk] = await read(address, tp, begin, end, isolation)
        assert chunks[0].begin == begin
        assert chunks[-1].end == end
        assert all(a.end == b.begin for a, b in pairwise(chunks))
        batch = Batch.joined([Batch(tp, 7, 3, (chunk,)) for chunk in chunks])
        rows: list[Row] = list(zip(batch.offsets.tolist(), batch.appended_at.tolist(), batch.records, strict=True))
        assert rows == stock
        assert (batch.begin, batch.end, batch.missing) == (begin, end, end - begin - len(stock))
        answers.append(rows)
    return answers[0]


@pytest.mark.parametrize("codec", CODECS)
async def test_every_codec_empty_values_and_seeks_into_a_batch(broker_address: str, codec: str | None) -> None:
    tp = new_topic(broker_address)
    async with producer(broker_address, compression_type=codec) as out:
        for values in BATCHES:
            await send(out, tp, values)
    rows = await assert_equal(broker_address, tp, [0, 1, 2, 3, 4, 150, 303, 304, RECORDS - 1])
    assert [value for *_, value in rows] == [value for values in BATCHES for value in values]


@pytest.mark.parametrize("stamped", [False, True])
async def test_append_times(kafka_address: str, stamped: bool) -> None:
    tp = new_topic(kafka_address, **{"message.timestamp.type": "LogAppendTime" if stamped else "CreateTime"})
    async with producer(kafka_address) as out:
        for values in BATCHES:
            await send(out, tp, values)
    rows = await assert_equal(kafka_address, tp, [0, 100])
    times = [at for _, at, _ in rows[4:304]]
    assert len(set(times)) == (1 if stamped else 300)


async def test_times_that_no_broker_stamped(broker_address: str) -> None:
    """A publisher may name any: what no column could hold counts as the nearest that it can."""
    tp = new_topic(
        broker_address, **{"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": str(2**63 - 1)}
    )
    async with producer(broker_address) as out:
        for at in (-1, 0, 1, LATEST_APPEND_MS, LATEST_APPEND_MS + 1, 2**62):
            batch = out.create_batch()
            batch.append(key=None, value=b"v", timestamp=at)
            await (await out.send_batch(batch, tp.topic, partition=0))
    rows = await assert_equal(broker_address, tp, [0])
    latest = LATEST_APPEND_MS * 1000
    assert [at for _, at, _ in rows] == [0, 0, 1000, latest, latest, latest]


@pytest.mark.parametrize("codec", [None, "lz4"])
async def test_aborted_transactions_and_control_batches(kafka_address: str, codec: str | None) -> None:
    tp = new_topic(kafka_address)
    async with (
        producer(kafka_address, compression_type=codec, transactional_id=uuid4().hex) as out,
        producer(kafka_address, compression_type=codec) as plain,
    ):
        for number, values in enumerate(BATCHES * 2):
            await out.begin_transaction()
            await send(out, tp, values)
            if number % 4 == 2:
                await send(plain, tp, [b"between"])  # of another producer, inside an aborted transaction
            await (out.abort_transaction() if number % 2 else out.commit_transaction())
    end = await end_of(kafka_address, tp)
    begins = [0, 1, 2, 3, 200, end // 2, end - 1]
    uncommitted = await assert_equal(kafka_address, tp, begins)
    committed = await assert_equal(kafka_address, tp, begins, "read_committed")
    assert len(uncommitted) == 2 * RECORDS + 3
    assert len(committed) == sum(len(values) for values in (BATCHES * 2)[::2]) + 3
    assert end == len(uncommitted) + 2 * len(BATCHES)


async def test_compacted_gaps(kafka_address: str) -> None:
    tp = new_topic(
        kafka_address,
        **{
            "cleanup.policy": "compact",
            "segment.ms": "100",
            "min.cleanable.dirty.ratio": "0.001",
            "delete.retention.ms": "0",
        },
    )
    async with producer(kafka_address) as out:
        for number in range(6):
            await send(out, tp, [b"%d-%d" % (number, i) for i in range(20)], keys=True)
            await asyncio.sleep(0.2)
        await out.send_and_wait(
            tp.topic, b"roll", key=b"roll"
        )  # into a segment of its own: the cleaner leaves the last one alone
        await asyncio.sleep(0.2)
        await out.send_and_wait(tp.topic, b"end", key=b"end")
    end, deadline = await end_of(kafka_address, tp), time.monotonic() + 60
    while len(found := await read(kafka_address, tp, 0, end, "read_uncommitted")) > 60:
        assert time.monotonic() < deadline, f"{len(found)} records: the cleaner did not come"
        await asyncio.sleep(1)
    rows = await assert_equal(kafka_address, tp, [0, 1, 17, 50, 99, 119])
    assert 7 <= len(rows) < 122 == end


@pytest.mark.parametrize("partitions", [1, 4, 8, 16, 64, 1000])
def test_fetches_of_all_partitions_together_are_bounded(partitions: int) -> None:
    assert fetch_bytes(partitions) == max(1 << 20, min(8 << 20, (64 << 20) // partitions))
    assert partitions * fetch_bytes(partitions) <= max(64 << 20, partitions << 20)
