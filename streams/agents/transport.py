"""Faust transport that delivers one message per partition and fetch, and leaves positions to the agents (DESIGN.md §7).

- Every partition starts where `app.ownership` says, set in the consumer thread after each rebalance.
- A batch carries the epoch and generation under which it was fetched; records fetched before that seek are dropped.
- Positions are committed only through `commit_fenced`, which refuses when the group has moved on: every assignment begins another tenure.
- At most CREDIT unfinished batches per partition are handed out; Faust's own buffer pausing starves partitions.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import structlog
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    IllegalGenerationError,
    KafkaError,
    NotCoordinatorForGroupError,
    RebalanceInProgressError,
    UnknownMemberIdError,
    for_code,
)
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport import drivers
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from streams.agents.batches import Batch, read_fetches_as_chunks
from streams.agents.topics import TopicState, TopicWatch, end_offsets
from streams.errors import BrokerUnavailable, Fenced

log = structlog.get_logger(__name__)

R = TypeVar("R")

FIRST_RETRY_S: Final = 0.2
LONGEST_RETRY_S: Final = 5.0

CREDIT: Final = 2
"""Unfinished batches per partition: one being applied, one ready behind it."""


FETCH_WAIT_MS: Final = 100
FETCH_MIN_BYTES: Final = 1 << 20
"""A broker answers a fetch when this much waits in all partitions together, or after this long. A batch costs as much as hundreds of its records:
without it, a thousand records a second would arrive in eighty batches."""

ASK_AGAIN_S: Final = 0.1
"""Between two questions to a group coordinator that cannot answer yet."""


class Seat(NamedTuple):
    """Where a partition is read from, and the epoch under which this worker owns it."""

    offset: int
    epoch: int


class Tail(NamedTuple):
    """What the consumer knows of a partition's end: next offset to read, high watermark, time of the last answer (us)."""

    position: int
    high_watermark: int
    fetched_at: int


class Ownership(Protocol):
    """What the transport asks of the agents."""

    def seats(self, assigned: Iterable[TP]) -> Mapping[TP, Seat]: ...


class _NoReadOffsets(defaultdict[TP, Any]):
    """Faust's gate of read offsets, which drops rewound messages: the batches' own contiguity check replaces it."""

    def __init__(self) -> None:
        super().__init__(lambda: None)

    def __getitem__(self, tp: TP) -> None:
        return None


class RebalanceListener(driver.ConsumerRebalanceListener):  # type: ignore[misc]
    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> Any:
        self._thread.seats = {}  # in the consumer thread, before anything can be fetched under the next generation
        return super().on_partitions_revoked(revoked)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> Any:
        self._thread.begin_tenure()
        return super().on_partitions_assigned(assigned)


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    def __post_init__(self) -> None:
        super().__post_init__()
        self.seats: dict[TP, Seat] = {}
        self.tenure = 0
        self._generation = -1

    def begin_tenure(self) -> None:
        """The group has assigned partitions; to a member that asked by itself under the same generation as before."""
        self.tenure += 1
        self._generation = self._ensure_consumer()._coordinator.generation  # noqa: SLF001 - the only place that knows it

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Range keeps partition p of both input topics on one worker; Faust's own assignor does not spread evenly.
        consumer._partition_assignment_strategy = [RangePartitionAssignor]  # noqa: SLF001 - no public seam
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001 - Faust's driver fixes 1.5 s
        consumer._fetch_min_bytes = FETCH_MIN_BYTES  # noqa: SLF001
        return consumer

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Any,
        timeout: Any = None,  # noqa: ASYNC109 - Faust's signature
        max_records: Any = None,
    ) -> Any:
        records = await super()._fetch_records(consumer, active_partitions, timeout, max_records)
        generation = consumer._coordinator.generation  # noqa: SLF001 - the only place that knows it
        out = {}
        for tp, chunks in records.items():
            seat = self.seats.get(TP(*tp))
            if seat is not None and chunks:
                out[tp] = [Batch(TP(*tp), seat.epoch, generation, tuple(chunks))]
        return out

    async def take_seats(self, seats: Mapping[TP, Seat]) -> None:
        consumer = self._ensure_consumer()
        for tp, seat in seats.items():
            consumer.seek(TopicPartition(*tp), seat.offset)
        self.seats = dict(seats)

    async def commit_fenced(self, offsets: Mapping[TP, int], tenure: int) -> None:
        consumer = self._ensure_consumer()
        coordinator = consumer._coordinator  # noqa: SLF001 - the public commit retries under whatever generation is current then
        wanted = {TopicPartition(*tp): OffsetAndMetadata(offset, "") for tp, offset in offsets.items()}
        while True:
            await coordinator.ensure_coordinator_known()
            async with coordinator._commit_lock:  # noqa: SLF001
                # No await stands between this check and the request that carries the generation.
                same = self.tenure == tenure and coordinator.generation == self._generation
                if not same or not wanted.keys() <= consumer.assignment():
                    raise Fenced(f"tenure {tenure} is over")
                try:
                    subscription = consumer._subscription.subscription  # noqa: SLF001
                    await asyncio.shield(coordinator._do_commit_offsets(subscription.assignment, wanted))  # noqa: SLF001
                except (UnknownMemberIdError, IllegalGenerationError, RebalanceInProgressError) as refused:
                    raise Fenced(f"the group refused generation {self._generation}") from refused
                except KafkaError as error:
                    if not error.retriable:
                        raise
                else:
                    return
            await asyncio.sleep(0.1)

    async def log_ends(self, tps: Iterable[TP]) -> dict[TP, int]:
        found = await self._ensure_consumer().end_offsets([TopicPartition(*tp) for tp in tps])
        return {TP(*tp): end for tp, end in found.items()}

    async def rejoin(self) -> None:
        self._ensure_consumer()._coordinator.request_rejoin()  # noqa: SLF001 - no public seam

    async def committed(self, tps: Iterable[TP]) -> dict[TP, int | None]:
        return await committed_offsets(self._ensure_consumer()._coordinator, list(tps))  # noqa: SLF001 - see there

    async def tails(self) -> dict[TP, Tail]:
        consumer = self._ensure_consumer()
        subscription = consumer._subscription.subscription  # noqa: SLF001 - high watermark and time of the last answer
        out: dict[TP, Tail] = {}
        if subscription is None or subscription.assignment is None or not subscription.assignment.active:
            return out
        for tp in subscription.assignment.tps:
            state = subscription.assignment.state_value(tp)
            if state.has_valid_position and state.highwater is not None and state.timestamp:
                out[TP(*tp)] = Tail(state.position, state.highwater, int(state.timestamp * 1000))
        return out

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's detector of stuck event streams counts acknowledged messages: it has no meaning here."""


async def committed_offsets(coordinator: Any, tps: Sequence[TP]) -> dict[TP, int | None]:
    """The group's committed offsets, None where it has none; waits while the coordinator cannot say.

    aiokafka asks the same, but looks past the error that stands for the whole answer: a coordinator that has just been restarted and
    is still loading its offsets would seem to have none.
    """
    topics: defaultdict[str, list[int]] = defaultdict(list)
    for tp in tps:
        topics[tp.topic].append(tp.partition)
    request = OffsetFetchRequest(coordinator.group_id, list(topics.items()))
    while True:
        await coordinator.ensure_coordinator_known()
        try:
            answer = await coordinator._send_req(request)  # noqa: SLF001 - the public question drops the error
            found = {
                TP(topic, part): (offset, code) for topic, parts in answer.topics for part, offset, _, code in parts
            }
            codes = {getattr(answer, "error_code", 0), *(code for _, code in found.values())} - {0}
            if not codes:
                return {tp: found[tp][0] if found[tp][0] >= 0 else None for tp in tps}
            raise for_code(codes.pop())
        except KafkaError as error:
            if not error.retriable:
                raise
            if isinstance(error, NotCoordinatorForGroupError | GroupCoordinatorNotAvailableError):
                coordinator.coordinator_dead()
        await asyncio.sleep(ASK_AGAIN_S)


class Consumer(driver.Consumer):  # type: ignore[misc]
    """Delivers batches and takes positions from `app.ownership`."""

    RebalanceListener = RebalanceListener

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._read_offset = _NoReadOffsets()
        self._unfinished: defaultdict[tuple[TP, int], int] = defaultdict(int)
        self._credit = asyncio.Event()
        self._watch = TopicWatch(self.app.context.settings)
        self._asking = ThreadPoolExecutor(1, "topics")

    def _new_consumer_thread(self) -> ConsumerThread:
        read_fetches_as_chunks()
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        """Called by Faust after the agents have taken over and before messages flow again."""
        seats = self.app.ownership.seats(self.assignment())
        live = {(tp, seat.epoch) for tp, seat in seats.items()}
        for key in [key for key in self._unfinished if key not in live]:
            del self._unfinished[key]
        await self._thread.call_thread(self._thread.take_seats, seats)

    @property
    def tenure(self) -> int:
        """The number of the present assignment of partitions to this process."""
        return int(self._thread.tenure)

    async def commit_fenced(self, offsets: Mapping[TP, int], tenure: int) -> None:
        """Commit next offsets in a tenure; raises Fenced when it is over, or the group has moved on."""
        await self._thread.call_thread(self._thread.commit_fenced, offsets, tenure)

    async def committed(self, tps: Iterable[TP]) -> dict[TP, int | None]:
        """The group's committed offsets, None where it has none."""
        result: dict[TP, int | None] = await self._thread.call_thread(self._thread.committed, list(tps))
        return result

    async def tails(self) -> dict[TP, Tail]:
        """What is known of the end of each assigned partition."""
        result: dict[TP, Tail] = await self._thread.call_thread(self._thread.tails)
        return result

    async def topics(self) -> dict[str, TopicState]:
        """The topics as the broker describes them now; asks until it answers."""
        return await self._asked(self._watch.look)

    async def log_ends(self, committed: Mapping[TP, int | None]) -> dict[TP, int]:
        """The next offset of partitions of input topics. What lies before a committed position is asked again in another way: Tansu's is too low."""
        found: dict[TP, int] = await self._thread.call_thread(self._thread.log_ends, list(committed))
        if any(found[tp] < (position or 0) for tp, position in committed.items()):
            ends = await self._asked(lambda: end_offsets(self.app.context.settings))
            found = {tp: ends[tp] for tp in found}
        return found

    async def _asked(self, question: Callable[[], R]) -> R:
        delay = FIRST_RETRY_S
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(self._asking, question)
            except BrokerUnavailable as error:
                log.warning("broker is away, trying again", error=error.message)
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_RETRY_S)

    async def rejoin(self) -> None:
        """Have the partitions assigned again, so that this member at least takes over anew."""
        await self._thread.call_thread(self._thread.rejoin)

    def on_buffer_full(self, tp: TP) -> None:
        """Credit replaces it."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Credit replaces it."""

    def finished(self, batch: Batch) -> None:
        """An agent is done with a batch: the next one of its partition may come."""
        key = (batch.tp, batch.epoch)
        if self._unfinished.get(key):
            self._unfinished[key] -= 1
        self._credit.set()

    async def _wait_next_records(self, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's signature
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        seats, everything = self._thread.seats, self._get_active_partitions()
        active = {tp for tp in everything if tp in seats and self._unfinished.get((tp, seats[tp].epoch), 0) < CREDIT}
        if not active:  # never ask for an empty set: to aiokafka it means everything
            self._credit.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._credit.wait(), 0.5)
            return {}, active
        records = await self._getmany(active, timeout if len(active) == len(everything) else min(timeout, 0.1))
        for batches in records.values():
            self._unfinished[batches[0].tp, batches[0].epoch] += 1
        return records, active

    def _to_message(self, tp: TP, record: Batch) -> Any:
        last = record.chunks[-1].appended_at
        at = last[-1] / 1e6 if len(last) else 0.0
        return ConsumerMessage(
            tp.topic, tp.partition, record.end - 1, at, 0, (), None, record, None, 0, 0, tp,
            generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    def highwater(self, tp: TP) -> int:
        """For Faust's monitor, which asks also in the moment in which the partition is revoked."""
        try:
            return super().highwater(tp) or 0
        except (AssertionError, KafkaError):
            return 0

    def verify_event_path(self, now: float, tp: TP) -> None:
        """See ConsumerThread.verify_event_path."""


class Transport(driver.Transport):  # type: ignore[misc]
    """Registered as kafkabatch:// (entry point faust.transports)."""

    Consumer = Consumer


SCHEME: Final = "kafkabatch"
drivers.TRANSPORTS.aliases.setdefault(SCHEME, f"{__name__}:Transport")
