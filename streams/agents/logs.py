"""Whether the input topics are still the logs that this worker reads: a topic may be created anew, and records be deleted unread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from faust.types import TP

from streams.agents.positions import records_lost
from streams.agents.topics import TopicState, partitions_of
from streams.agents.transport import Consumer
from streams.config import INPUT_TOPICS
from streams.errors import LogLost

LOOK_EVERY_S: Final = 30.0
"""How long nothing may come before somebody looks whether the topics are still the same."""


class InputLogs:
    """The input topics as they were at the take-over."""

    def __init__(self, partitions: int, monotonic: Callable[[], float]) -> None:
        self._partitions, self._monotonic = partitions, monotonic
        self._ids: dict[str, str] = {}
        self._looked_at = 0.0
        self._looked: dict[TP, int] = {}

    async def identify(self, consumer: Consumer) -> Mapping[str, str]:
        """Remember the topics' present ids, and give them by name. Raises SetupError when their partitions are not as many as they must be."""
        topics = await self._topics(consumer)
        self._ids = {topic: topics[topic].topic_id for topic in INPUT_TOPICS}
        return self._ids

    async def same(self, consumer: Consumer) -> None:
        """Raises LogLost when a topic was created anew: what it holds must not be committed as what its name held before."""
        topics = await self._topics(consumer)
        for topic, known in self._ids.items():
            if topics[topic].topic_id != known:
                raise LogLost(
                    f"{topic} was created anew while this worker read it",
                    remedy="start the worker again: it begins a new incarnation and reads the topic from its begin",
                )

    async def look(self, consumer: Consumer, next_offsets: Callable[[], Mapping[TP, int]]) -> None:
        """What becomes of a topic from which no record comes shows in no batch and no flush: look now and then.

        `next_offsets` says what each log is expected to go on with. Raises LogLost when a topic is another one, or has lost that.
        """
        if not next_offsets() or self._monotonic() - self._looked_at < LOOK_EVERY_S:
            return
        await self.same(consumer)
        before, tails = self._looked, await consumer.tails()
        self._looked, self._looked_at = dict(next_offsets()), self._monotonic()
        skipped = [
            tp for tp, at in self._looked.items() if before.get(tp) == at and tp in tails and tails[tp].position > at
        ]
        for tp, begin in (await consumer.earliest_offsets(*skipped)).items() if skipped else ():
            if begin > self._looked[tp]:  # else a batch is on its way
                raise records_lost(tp.topic, tp.partition, begin, self._looked[tp])

    async def _topics(self, consumer: Consumer) -> dict[str, TopicState]:
        topics: dict[str, TopicState] = await consumer.topics()
        partitions_of(topics, self._partitions)
        return topics
