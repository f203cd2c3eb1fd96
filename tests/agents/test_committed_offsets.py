"""The group's committed offsets are known or waited for: a coordinator that cannot say is not one that has none."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError
from aiokafka.protocol.commit import OffsetFetchResponse_v1, OffsetFetchResponse_v3
from faust.types import TP

from streams.agents.transport import committed_offsets
from tests.local.test_broker import make_topic

LOADING, NOT_AVAILABLE, NOT_COORDINATOR, FORBIDDEN = 14, 15, 16, 30
FIRST, SECOND = TP("usage-events", 0), TP("usage-events", 1)


class Coordinator:
    """aiokafka's coordinator as far as the question goes: answers one after the other, as the broker words them."""

    group_id = "group"

    def __init__(self, *answers: Any) -> None:
        self._answers = iter(answers)
        self.found = self.lost = 0

    async def ensure_coordinator_known(self) -> None:
        self.found += 1

    def coordinator_dead(self) -> None:
        self.lost += 1

    async def _send_req(self, _: object) -> Any:
        return next(self._answers)


def known(*parts: tuple[int, int, str, int], error: int = 0) -> Any:
    return OffsetFetchResponse_v3(0, [("usage-events", list(parts))] if parts else [], error)


async def test_an_error_that_stands_for_the_whole_answer_is_no_answer() -> None:
    answers = [known(error=code) for code in (LOADING, NOT_AVAILABLE, NOT_COORDINATOR)]
    coordinator = Coordinator(*answers, known((0, 7, "", 0), (1, -1, "", 0)))
    assert await committed_offsets(coordinator, [FIRST, SECOND]) == {FIRST: 7, SECOND: None}
    assert (coordinator.found, coordinator.lost) == (4, 2)


async def test_an_error_of_one_partition_is_no_answer() -> None:
    loading = OffsetFetchResponse_v1([("usage-events", [(0, 7, "", 0), (1, -1, "", LOADING)])])
    known_later = OffsetFetchResponse_v1([("usage-events", [(0, 7, "", 0), (1, 9, "", 0)])])
    assert await committed_offsets(Coordinator(loading, known_later), [FIRST, SECOND]) == {FIRST: 7, SECOND: 9}


async def test_what_does_not_pass_is_raised() -> None:
    with pytest.raises(GroupAuthorizationFailedError):
        await committed_offsets(Coordinator(known(error=FORBIDDEN)), [FIRST])


async def test_brokers_answer_what_was_committed_and_none_otherwise(broker_address: str) -> None:
    topic = make_topic(broker_address)
    member = AIOKafkaConsumer(
        bootstrap_servers=broker_address, group_id=f"group-{uuid4().hex}", enable_auto_commit=False
    )
    await member.start()
    try:
        member.assign([TopicPartition(topic, p) for p in range(4)])
        await member.commit({TopicPartition(topic, 2): 7})
        found = await committed_offsets(member._coordinator, [TP(topic, 1), TP(topic, 2)])
        assert found == {TP(topic, 1): None, TP(topic, 2): 7}
    finally:
        await member.stop()
