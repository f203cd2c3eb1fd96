"""What agents notice when topics, logs or the store change under their eyes, and what they take for their state then."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import polars as pl
import pytest
from faust.types import TP

from streams.agents.alerts import AlertAgent
from streams.agents.batches import Batch, Chunk
from streams.agents.join import JoinAgent
from streams.agents.logs import LOOK_EVERY_S, InputLogs
from streams.agents.rebuilding import Rebuilding
from streams.agents.topics import TopicState
from streams.agents.transport import Tail
from streams.agents.windows import Updates, WindowAgent
from streams.config import ITEMS_TOPIC, PANES_TOPIC, TOPICS, USAGE_TOPIC, Settings
from streams.detect.alert import Alert, alert_rows
from streams.errors import LogLost, StoreRestored
from streams.events.records import Records
from streams.join.flush import FlushBuffer
from streams.join.partition import JoinPartition
from streams.metrics import Metrics
from streams.store.alerts import alert_checkpoint_row
from streams.store.rebuilds import ALWAYS_US, Rebuild, pending, write_rebuilds
from streams.store.sink import Sink
from streams.store.windows import WindowCheckpoint, load_checkpoints, window_checkpoint_rows
from streams.value.prices import PriceBook
from streams.value.rules import Rules
from streams.windows.measures import DAY_US
from streams.windows.watermark import InputWatermarks
from tests.simulation.store import SimulatedStore

HERE = TP(USAGE_TOPIC, 0)


@dataclass
class Surroundings:
    """Consumer and context of an agent. `asked`: called at each question with its name."""

    now: float = 100.0
    ids: dict[str, str] = field(default_factory=lambda: dict.fromkeys(TOPICS, "old"))
    begin: int = 0
    position: int = 0
    asked: Callable[[str], None] = lambda _name: None
    settings: Settings = field(default_factory=Settings)
    stored: SimulatedStore = field(default_factory=SimulatedStore)
    partitions: int = 1
    metrics: Metrics = field(default_factory=Metrics)
    published: list[dict[str, Any]] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def wall_us(self) -> int:
        return 0

    @property
    def sink(self) -> Sink:
        return Sink(self.stored, "test")

    async def persist(self, _alive: Any, step: Callable[..., Any], *args: Any) -> Any:
        return step(*args)

    async def publish(self, _topic: str, messages: Iterable[tuple[bytes, bytes]]) -> None:
        self.published += [json.loads(message) for _, message in messages]

    async def compute(self, step: Callable[..., Any], *args: Any) -> Any:
        return step(*args)

    async def topics(self) -> dict[str, TopicState]:
        self.asked("topics")
        return {topic: TopicState(topic_id, 1, 1) for topic, topic_id in self.ids.items()}

    async def tails(self) -> dict[TP, Tail]:
        return {HERE: Tail(self.position, self.position, 0)}

    async def committed(self, tps: Iterable[TP]) -> dict[TP, int | None]:
        self.asked("committed")
        return dict.fromkeys(tps)

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        self.asked("begin")
        return dict.fromkeys(tps, self.begin)

    async def log_ends(self, committed: Mapping[TP, int | None]) -> dict[TP, int]:
        self.asked("end")
        return dict.fromkeys(committed, 9)


@pytest.fixture
def around() -> Surroundings:
    return Surroundings()


@dataclass
class Watched:
    """Logs that are looked at after a while, and what is read of one of them next."""

    around: Surroundings
    logs: InputLogs
    next_offset: int = 0

    async def look(self) -> None:
        self.around.now += LOOK_EVERY_S
        await self.logs.look(self.around, lambda: {HERE: self.next_offset})  # type: ignore[arg-type]


@pytest.fixture
async def watched(around: Surroundings) -> Watched:
    found = InputLogs(around.partitions, around.monotonic)
    await found.identify(around)  # type: ignore[arg-type]
    return Watched(around, found)


def part() -> FlushBuffer:
    return FlushBuffer(JoinPartition(0, DAY_US, Rules.shipped(), PriceBook.shipped()), 1)


async def test_a_topic_that_was_created_anew_is_noticed_although_nothing_comes(watched: Watched) -> None:
    await watched.look()
    watched.around.ids[ITEMS_TOPIC] = "new"
    with pytest.raises(LogLost, match="work-item-events was created anew"):
        await watched.look()


async def test_so_is_a_log_of_which_everything_was_deleted_before_it_was_read(watched: Watched) -> None:
    watched.around.position = 7
    await watched.look()
    await watched.look()  # all that time a batch was on its way
    watched.around.position = watched.around.begin = 12
    watched.next_offset = 9
    await watched.look()
    with pytest.raises(LogLost, match="begins at 12, 3 records after the position 9"):
        await watched.look()


@pytest.mark.parametrize("question", ["committed", "begin", "end"])
async def test_offsets_of_a_former_topic_never_go_under_the_id_of_the_next(around: Surroundings, question: str) -> None:
    agent = JoinAgent(around)  # type: ignore[arg-type]
    around.begin = 5

    def asked(name: str) -> None:
        if name == question:
            around.ids[USAGE_TOPIC], around.begin = "new", 0

    around.asked = asked
    tps = [HERE, TP(ITEMS_TOPIC, 0)]
    start = (await agent._starts(around, tps, {0: 1}, {}, lambda: True))[0]  # type: ignore[arg-type]
    assert (start.lives[-1].usage_topic_id, start.offsets[USAGE_TOPIC]) in {("old", 5), ("old", 0), ("new", 0)}


def test_a_store_that_was_restored_while_a_worker_ran_gets_nothing_from_it(around: Surroundings) -> None:
    """What the worker wrote since the backup was committed to the group: the next mirror would hide that it is not there."""
    agent = JoinAgent(around)  # type: ignore[arg-type]
    agent.parts = {0: part()}
    backup = around.stored.backup()
    for last in (False, True):
        agent.parts[0].add(True, pl.DataFrame(), None, [], 1)
        (flush,) = agent._cut()
        if last:
            around.stored.restore(backup)
            with pytest.raises(StoreRestored, match="restored from a backup while this worker ran"):
                agent._look_for_holes([flush])
        else:
            agent._look_for_holes([flush])
            around.sink.write([flush])
            agent._settle([flush])


def test_nor_does_it_get_a_checkpoint_of_windows_that_it_lost(around: Surroundings) -> None:
    agent = WindowAgent(around)  # type: ignore[arg-type]
    known, reached = (WindowCheckpoint(0, offset, 1_700_000_000_000_000, []) for offset in (5, 9))
    part = Updates(0, known, InputWatermarks(1), 0, 9, 9, updates_lost=False)
    with pytest.raises(StoreRestored, match="up to offset 5"):
        agent._check_in([part], {0: reached}, 0)
    around.sink.rows("window_checkpoints", window_checkpoint_rows({0: known}, 0))
    agent._check_in([part], {0: reached}, 0)
    assert load_checkpoints(around.stored, [0]) == {0: reached}


@pytest.mark.parametrize(("begin", "lost"), [(5, False), (9, True), (0, True)])
async def test_updates_that_are_gone_make_the_agent_look_at_every_window_again(
    around: Surroundings, begin: int, lost: bool
) -> None:
    agent = WindowAgent(around)  # type: ignore[arg-type]
    agent.tenure, agent.parts = 1, {0: Updates(0, None, InputWatermarks(1), 0, 5, 5, updates_lost=False)}
    nothing = np.zeros(0, np.int64)
    await agent.process(Batch(TP(PANES_TOPIC, 0), 1, 0, (Chunk(begin, begin + 1, Records.of([]), nothing, nothing),)))
    found = agent.parts[0]
    assert (found.updates_lost, found.incarnation, found.next_offset) == (lost, int(lost), begin + 1)


async def test_alerts_that_were_stored_and_perhaps_not_told_are_told_at_the_take_over(around: Surroundings) -> None:
    """That one fired is told even if the stored row says only that it has ended since."""
    judged = 1_700_000_400_000_000
    end = judged - around.settings.allowed_lateness_s * 1_000_000
    times = dict.fromkeys(("started_at", "fired_at", "clear_since", "resolved_at", "window_end"), end)
    texts = dict.fromkeys(("tenant", "team", "kind", "size", "unit", "summary"), "1h")
    rest: dict[str, Any] = (
        {entry.name: 0 for entry in fields(Alert)} | texts | times | {"deliver": True, "state": "resolved"}
    )
    later = end + 300_000_000
    alerts = [
        Alert(**rest | {"rule": "told"}),
        Alert(**rest | {"rule": "untold", "resolved_at": later, "window_end": later}),
        Alert(**rest | {"rule": "fired and ended", "fired_at": later, "resolved_at": later + 1, "window_end": later + 1}),
    ]  # fmt: skip
    around.sink.rows("alerts", alert_rows(alerts))
    around.sink.rows("alert_checkpoints", alert_checkpoint_row(0, 3, judged, 0))
    await AlertAgent(around)._loaded(0, 3, lambda: True)  # type: ignore[arg-type]
    said = [(message["labels"]["alertname"], message["state"]) for message in around.published]
    assert sorted(said) == [("fired and ended", "firing"), ("fired and ended", "resolved"), ("untold", "resolved")]


def test_a_rebuild_that_meets_more_than_was_counted_ends(around: Surroundings) -> None:
    begun = Rebuild(0, 1, *ALWAYS_US, epoch=1, done=2, total=0, cursor=["3600"])
    write_rebuilds(around.sink, [begun])
    done = Rebuilding(around)._next(part(), begun)  # type: ignore[arg-type]
    write_rebuilds(around.sink, [done])
    assert done.finished
    assert pending(around.stored, [0]) == {}
