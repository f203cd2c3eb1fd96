"""What lies in the input topics, what lay there before they were deleted, and what nobody could read any more."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa
from faust.types import TP

from streams.config import INPUT_TOPICS
from streams.join.flush import EPOCH_SHIFT
from streams.join.input import OFFSET_MASK
from streams.store.positions import SIDE
from tests.simulation.broker import Broker
from tests.simulation.events import Publication
from tests.simulation.store import RESULTS, SimulatedStore
from tests.store.memory import Row

RECORDS = ("usage_events", "work_item_events", "duplicates", "dead_letters")


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

    def out_of_time(self, table: str, rows: pa.Table) -> bool:
        """Whether a former owner would write what docs/guarantees.md does not promise to bear: results of a topic that is no more after the next
        incarnation has begun, or what became of records that are lost after another worker has gone on without them."""
        if table not in (*RESULTS, *RECORDS):
            return False
        wanted = ["kpart", "version", *(["koff"] if table in RECORDS else [])]
        for kpart, version, *offset in pl.DataFrame(rows.select(wanted)).unique().iter_rows():
            epoch = version >> EPOCH_SHIFT
            if offset:
                lost = any(offset[0] in lives[-1].lost for tp, lives in self.lives.items() if tp.partition == kpart)
                if lost and any(claimed[1] > epoch for claimed in self.store.tables["claims"] if claimed[0] == kpart):
                    return True
                continue
            lives = [(row["epoch"], row["usage_topic_id"], row["items_topic_id"]) for row in self.incarnations(kpart)]
            own = [life for life in lives if life[0] <= epoch]
            if own and own[-1][1:] != lives[-1][1:]:
                return True
        return False

    def held(self, tp: TP, life: Life) -> int:
        """The offset below which the store holds what a life had, as its checkpoint and the closed incarnations say."""
        side = SIDE[tp.topic]
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
        return int(row[f"{SIDE[tp.topic]}_next"]) & OFFSET_MASK

    def stored(self, tp: TP) -> int:
        """The next offset that the store has reached in the present life; -1: its incarnation has not begun yet."""
        found = self.incarnations(tp.partition)
        if found and found[-1][f"{SIDE[tp.topic]}_topic_id"] != self.broker.ids[tp.topic]:
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
