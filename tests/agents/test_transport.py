"""The batch transport on a real broker: credit, seats and epochs, and commits that the group refuses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from faust.types import TP
from kafka.admin import KafkaAdminClient

from streams.agents.batches import Batch
from streams.agents.transport import CREDIT, SCHEME, Consumer, Seat
from streams.config import Settings
from streams.errors import Fenced

PATIENCE_S = 60.0
EPOCH = 40


class Owner:
    """Gives seats, as the agents do: offset 0, or what a test has put into `offsets`; a new epoch at each rebalance."""

    def __init__(self) -> None:
        self.epoch = EPOCH
        self.offsets: dict[TP, int] = {}
        self.asked = 0

    def seats(self, assigned: Any) -> dict[TP, Seat]:
        self.asked += 1
        self.epoch += 1
        return {tp: Seat(self.offsets.get(tp, 0), self.epoch) for tp in assigned}


class Member:
    """A running app with one agent, which keeps what it is given and is done with it when the test says so."""

    def __init__(self, address: str, topic: str, data: Path) -> None:
        self.app = faust.App(
            f"g-{topic}", broker=f"{SCHEME}://{address}", datadir=data, key_serializer="raw", value_serializer="raw", web_enabled=False,
            topic_allow_declare=False, topic_disable_leader=True, stream_wait_empty=False, table_standby_replicas=0,
            consumer_auto_offset_reset="earliest", consumer_max_fetch_size=1 << 14, broker_session_timeout=6.0,
            broker_heartbeat_interval=0.5, broker_max_poll_records=4, worker_redirect_stdouts=False,
        )  # fmt: skip
        self.owner = self.app.ownership = Owner()
        self.app.context = SimpleNamespace(settings=Settings(kafka=address))
        self.batches: list[Batch] = []
        self.go_on = asyncio.Event()

        async def consume(stream: Any) -> None:
            async for event in stream.events():
                self.batches.append(event.value)
                await self.go_on.wait()
                self.consumer.finished(event.value)

        self.app.agent(self.app.topic(topic, acks=False), name="agent")(consume)

    @property
    def consumer(self) -> Consumer:
        found: Consumer = self.app.consumer
        return found

    @property
    def generation(self) -> int:
        """Of the group, as this member knows it."""
        return int(self.app.consumer_generation_id)

    @property
    def tenure(self) -> int:
        """Of this member."""
        return self.consumer.tenure

    def values(self, partition: int) -> list[bytes | None]:
        """All that was delivered of a partition."""
        return [value for batch in self.batches if batch.tp.partition == partition for value in batch.records]


@asynccontextmanager
async def member(address: str, topic: str, data: Path, **offsets: int) -> AsyncIterator[Member]:
    """A member of the group, which owns partitions when the block begins."""
    found = Member(address, topic, data)
    found.owner.offsets = {TP(topic, int(name.removeprefix("p"))): offset for name, offset in offsets.items()}
    await found.app.start()
    try:
        await until(lambda: found.owner.asked > 0, "the member owns partitions")
        yield found
    finally:
        found.go_on.set()
        await found.app.stop()


@pytest.fixture
async def topic(broker_address: str) -> str:
    """A topic of two partitions with 200 record batches of 10 records each, 1 kB a record."""
    name = f"t-{uuid4().hex}"
    client = KafkaAdminClient(bootstrap_servers=broker_address)
    configs = {"retention.ms": "-1"}  # the records are years old, and a broker looks every five minutes
    client.create_topics(
        {name: {"num_partitions": 2, "replication_factor": 1, "configs": configs}}, wait_for_metadata=True
    )
    client.close()
    producer = AIOKafkaProducer(bootstrap_servers=broker_address)
    await producer.start()
    for number in range(200):
        batch = producer.create_batch()
        for i in range(10):
            batch.append(key=None, value=b"%06d" % (number // 2 * 10 + i) + b"." * 1000, timestamp=1_700_000_000_000)
        await (await producer.send_batch(batch, name, partition=number % 2))
    await producer.stop()
    return name


RECORDS = 1000
"""In each partition of `topic`."""


async def until(ready: Callable[[], bool], what: str) -> None:
    """Wait for it."""
    deadline = time.monotonic() + PATIENCE_S
    while not ready():
        assert time.monotonic() < deadline, f"not yet: {what}"
        await asyncio.sleep(0.05)


async def test_no_more_than_two_unfinished_batches_of_a_partition(
    broker_address: str, topic: str, tmp_path: Path
) -> None:
    async with member(broker_address, topic, tmp_path) as found:
        # Nothing is finished: the stream gives the agent one batch, all others wait before it.
        await until(
            lambda: sum(found.consumer._unfinished.values()) == 2 * CREDIT, "both partitions have used their credit"
        )
        for _ in range(30):
            await asyncio.sleep(0.1)
            assert all(count <= CREDIT for count in found.consumer._unfinished.values())
        found.go_on.set()
        await until(lambda: len(found.values(0)) == len(found.values(1)) == RECORDS, "everything has come")
    for partition in range(2):
        batches = [batch for batch in found.batches if batch.tp.partition == partition]
        assert [batches[0].begin, batches[-1].end] == [0, RECORDS]
        assert all(a.end == b.begin for a, b in pairwise(batches))
        assert [int((value or b"")[:6]) for value in found.values(partition)] == list(range(RECORDS))


async def test_a_partition_is_read_from_its_seat_under_its_epoch(
    broker_address: str, topic: str, tmp_path: Path
) -> None:
    async with member(broker_address, topic, tmp_path, p0=123, p1=990) as found:
        found.go_on.set()
        await until(lambda: len(found.values(0)) == RECORDS - 123 and len(found.values(1)) == 10, "everything has come")
        first = {batch.tp.partition: batch.begin for batch in reversed(found.batches)}
        assert first == {0: 123, 1: 990}
        assert {batch.epoch for batch in found.batches} == {found.owner.epoch}
        assert {batch.generation for batch in found.batches} == {found.generation}


async def test_after_a_rebalance_batches_carry_the_new_epoch(broker_address: str, topic: str, tmp_path: Path) -> None:
    async with member(broker_address, topic, tmp_path) as found:
        await until(lambda: len(found.batches) > 0, "the first batch is in work")
        old_epoch, old_generation = found.owner.epoch, found.generation
        found.owner.offsets = {TP(topic, 0): 500, TP(topic, 1): 500}
        async with rival(broker_address, topic, found):
            await until(lambda: found.generation > old_generation, "the group has moved on")
            await until(lambda: found.owner.epoch > old_epoch, "the remaining partition has a new seat")
            seen = len(found.batches)
            found.go_on.set()
            (mine,) = found.consumer.assignment()
            await until(
                lambda: any(b.end == RECORDS and b.tp == mine for b in found.batches[seen:]), "it is read to its end"
            )
        later = [batch for batch in found.batches if batch.epoch > old_epoch]
        assert later[0].begin == 500
        assert {batch.tp for batch in later} == {mine}
        assert sum(batch.epoch == old_epoch for batch in found.batches) <= 2 * CREDIT


async def test_commits_are_fenced(broker_address: str, topic: str, tmp_path: Path) -> None:
    tp, other = TP(topic, 0), TP(topic, 1)
    async with member(broker_address, topic, tmp_path) as found:
        consumer, tenure = found.consumer, found.tenure
        assert await consumer.committed([tp, other]) == {tp: None, other: None}
        await consumer.commit_fenced({tp: 5, other: 6}, tenure)
        assert await consumer.committed([tp, other]) == {tp: 5, other: 6}

        for stale in (tenure - 1, tenure + 1, -1):
            with pytest.raises(Fenced):
                await consumer.commit_fenced({tp: 7}, stale)
        with pytest.raises(Fenced):
            await consumer.commit_fenced({tp: 7, TP(topic, 2): 1}, tenure)  # not assigned

        async with rival(broker_address, topic, found):
            await until(lambda: found.tenure > tenure, "the group has moved on")
            with pytest.raises(Fenced):
                await consumer.commit_fenced({tp: 7, other: 7}, tenure)
        assert await consumer.committed([tp, other]) == {tp: 5, other: 6}


async def test_the_broker_refuses_a_stale_generation_by_itself(broker_address: str, topic: str, tmp_path: Path) -> None:
    """The check in this process could be passed by a worker that slept: what counts is the coordinator's."""
    tp = TP(topic, 0)
    async with member(broker_address, topic, tmp_path) as found:
        await found.consumer.commit_fenced({tp: 5}, found.tenure)
        coordinator = found.consumer._thread._consumer._coordinator
        coordinator.generation += 1
        found.consumer._thread._generation += 1
        with pytest.raises(Fenced, match="the group refused generation"):
            await found.consumer.commit_fenced({tp: 7}, found.tenure)
        await until(lambda: found.consumer.assignment() != set(), "it has joined again")
        assert await found.consumer.committed([tp]) == {tp: 5}


@pytest.mark.parametrize("broker_address", [pytest.param("kafka", marks=pytest.mark.kafka)], indirect=True)
async def test_a_member_that_takes_over_again_under_the_same_generation_is_fenced_from_before(
    broker_address: str, topic: str, tmp_path: Path
) -> None:
    """The group assigns nothing anew when another member than its leader asks: the generation stays."""
    async with member(broker_address, topic, tmp_path / "a"), member(broker_address, topic, tmp_path / "b") as found:
        await until(lambda: len(found.consumer.assignment()) == 1, "each has its partition")
        tenure, generation = found.tenure, found.generation
        (mine,) = found.consumer.assignment()
        await found.consumer.rejoin()
        await until(lambda: found.tenure > tenure and found.consumer.assignment() == {mine}, "it has joined again")
        assert found.generation == generation
        with pytest.raises(Fenced, match="is over"):
            await found.consumer.commit_fenced({mine: 7}, tenure)
        await found.consumer.commit_fenced({mine: 5}, found.tenure)


async def test_tails_tell_position_and_end(broker_address: str, topic: str, tmp_path: Path) -> None:
    async with member(broker_address, topic, tmp_path, p0=10) as found:
        found.go_on.set()
        await until(
            lambda: len(found.values(0)) == RECORDS - 10 and len(found.values(1)) == RECORDS, "everything has come"
        )
        began = time.time()
        tails = await found.consumer.tails()
        while min(tail.fetched_at for tail in tails.values()) / 1e6 < began:
            await asyncio.sleep(0.2)
            tails = await found.consumer.tails()
        assert {tp.partition: (t.position, t.high_watermark) for tp, t in tails.items()} == {
            0: (RECORDS,) * 2,
            1: (RECORDS,) * 2,
        }


@asynccontextmanager
async def rival(address: str, topic: str, found: Member) -> AsyncIterator[AIOKafkaConsumer]:
    """Another member of the same group, which takes one of the two partitions."""
    joining = AIOKafkaConsumer(
        topic, bootstrap_servers=address, group_id=f"g-{topic}", partition_assignment_strategy=[RangePartitionAssignor],
        enable_auto_commit=False, heartbeat_interval_ms=500, session_timeout_ms=6000,
    )  # fmt: skip
    await joining.start()
    try:
        await until(lambda: len(found.consumer.assignment()) == 1, "the partitions are shared")
        yield joining
    finally:
        with suppress(Exception):
            await joining.stop()
