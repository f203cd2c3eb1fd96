"""What lies in the input topics, what lay there before they were deleted, and what nobody could read any more."""

from __future__ import annotations

from dataclasses import dataclass, field

from faust.types import TP

from streams.config import INPUT_TOPICS, USAGE_TOPIC
from streams.join.partition import OFFSET_BITS
from tests.simulation.broker import Broker
from tests.simulation.events import Publication
from tests.simulation.store import SimulatedStore
from tests.store.memory import Row

OFFSET = (1 << OFFSET_BITS) - 1


def side_of(topic: str) -> str:
    """What its columns in the store are called after."""
    return "usage" if topic == USAGE_TOPIC else "items"


@dataclass
class Life:
    """A partition of a topic from its creation to its deletion: what lies, or lay, at each offset."""

    topic_id: str
    records: list[Publication] = field(default_factory=list)
    begin: int = 0
    lost: set[int] = field(default_factory=set)
    """Offsets that were deleted while the store did not hold their records: these may be missing from the results."""


class Inputs:
    """The lives of every input partition, the last of which is what the broker has."""

    def __init__(self, broker: Broker, store: SimulatedStore) -> None:
        self.broker, self.store = broker, store
        self.lives = {
            TP(topic, p): [Life(broker.ids[topic])] for topic in INPUT_TOPICS for p in range(broker.partitions)
        }

    @property
    def changed(self) -> bool:
        """Whether any log is not what it was."""
        return any(len(lives) > 1 or lives[-1].begin for lives in self.lives.values())

    def publish(self, one: Publication) -> None:
        """One record at the end of its partition."""
        self.lives[self.broker.append(one.topic, one.key, one.value, one.partition)][-1].records.append(one)

    def sent(self, topic: str) -> list[Publication]:
        """All that was ever published to a topic."""
        return [one for tp, lives in self.lives.items() if tp.topic == topic for life in lives for one in life.records]

    def recreate(self, topic: str) -> None:
        """Delete the topic and create it anew."""
        self.broker.recreate(topic)
        for tp, lives in self.lives.items():
            if tp.topic == topic:
                lives.append(Life(self.broker.ids[topic]))
        self.count_lost()

    def delete_before(self, tp: TP, offset: int) -> None:
        """Retention: records below an offset are gone."""
        self.broker.begins[tp] = self.lives[tp][-1].begin = offset
        self.count_lost()

    def count_lost(self) -> None:
        """Note what was deleted that the store does not hold now."""
        for tp, lives in self.lives.items():
            for life in lives:
                deleted_to = life.begin if life is lives[-1] else len(life.records)
                life.lost.update(range(self.held(tp, life), deleted_to))

    def held(self, tp: TP, life: Life) -> int:
        """The offset below which the store holds what a life had, as its checkpoint and the closed incarnations say."""
        side = side_of(tp.topic)
        found = 0
        for row in self.incarnations(tp.partition):
            if row[f"{side}_topic_id"] == life.topic_id:
                closed = row[f"{side}_end"]
                found = max(found, self.reached(tp, row["incarnation"]) if closed < 0 else closed)
        return found

    def reached(self, tp: TP, incarnation: int) -> int:
        """The next offset of a partition that the store's checkpoint names for an incarnation; 0: it has none."""
        row = self.store.tables["checkpoints"].get((tp.partition,))
        if row is None or row["incarnation"] != incarnation:
            return 0
        return int(row[f"{side_of(tp.topic)}_next"]) & OFFSET

    def stored(self, tp: TP) -> int:
        """The next offset that the store has reached in the present life; -1: its incarnation has not begun yet."""
        found = self.incarnations(tp.partition)
        if found and found[-1][f"{side_of(tp.topic)}_topic_id"] != self.broker.ids[tp.topic]:
            return -1
        row = self.store.tables["checkpoints"].get((tp.partition,))
        if not found or row is None or row["incarnation"] != found[-1]["incarnation"]:
            return self.broker.begins[tp]  # nothing was flushed yet
        return self.reached(tp, found[-1]["incarnation"])

    def incarnations(self, kpart: int) -> list[Row]:
        """Of an input partition, as the store has them, in their order."""
        return sorted(
            (row for row in self.store.rows("incarnations") if row["kpart"] == kpart),
            key=lambda row: row["incarnation"],
        )
