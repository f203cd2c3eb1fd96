"""The real outbox, deliverer and rows under crashes between any two steps: what is told, how often, and in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from streams.agents.delivery import Deliverer
from streams.deliver.channel import Channel, ChannelPolicy, Delivered, Outcome, Refused, Retry
from streams.deliver.notice import Notice
from streams.detect.alert import Alert, alert_rows
from streams.detect.silences import Acknowledgement, Silence, matchers_of, silencing
from streams.metrics import Metrics
from streams.store.silences import acknowledgement_rows, silence_rows
from tests.deliver.made import T0, alert

MINUTE = 60_000_000
IDENTITY = {
    "alerts": ("fingerprint", "started_at"),
    "alert_deliveries": ("fingerprint", "started_at", "event", "channel"),
}


NEVER = silence_rows(Silence("", matchers_of(["team=x"]), 0, 0, 0, "ann", "none"), 0).drop("version")
NOBODY = acknowledgement_rows(Acknowledgement("", 0, 0, "ann", "none")).drop("version")


class Crash(BaseException):
    """kill -9"""


@dataclass
class World:
    """Store, clock, receivers: what survives a crash. `crashes`: numbers of the steps at which the worker dies."""

    crashes: frozenset[int]
    tables: dict[str, dict[Any, dict[str, Any]]] = field(default_factory=lambda: {name: {} for name in IDENTITY})
    now: int = T0
    steps: int = 0
    received: list[tuple[str, Notice]] = field(default_factory=list)
    messages: list[Notice] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    silences: list[Silence] = field(default_factory=list)

    def step(self) -> None:
        self.steps += 1
        if self.steps in self.crashes:
            raise Crash

    def rows(self, table: str, frame: pl.DataFrame) -> None:
        """As ReplacingMergeTree: the highest version wins, of equal ones the last."""
        for row in frame.with_columns(pl.col(pl.Datetime).cast(pl.Int64)).iter_rows(named=True):
            kept = self.tables[table].setdefault(tuple(row[name] for name in IDENTITY[table]), row)
            if row["version"] >= kept["version"]:
                self.tables[table][tuple(row[name] for name in IDENTITY[table])] = row

    def read(self, name: str, **_: Any) -> pl.DataFrame:
        if name == "alerts/silences":
            return pl.concat([NEVER, *(silence_rows(one, 0).drop("version") for one in self.silences)])
        if name == "alerts/acknowledgements":
            return NOBODY
        table = {"alerts/told": "alerts", "alerts/deliveries": "alert_deliveries"}[name]
        rows = list(self.tables[table].values())
        schema = None if rows else dict.fromkeys(("started_at", "due_at", "sent_at"), pl.Int64)
        return pl.DataFrame(rows, schema=schema, infer_schema_length=None).drop("version", strict=False)


class Around:
    """The context of one life of a worker."""

    partitions = 1

    def __init__(self, world: World) -> None:
        self.stored = self.sink = world
        self.metrics = Metrics()

    def wall_us(self) -> int:
        return self.stored.now

    async def persist(self, alive: Callable[[], bool], step: Callable[..., Any], *arguments: Any) -> Any:
        self.stored.step()
        result = step(*arguments)
        self.stored.step()
        return result


class Receiver(Channel):
    """Takes notices; answers as the story says, then always well. The worker may die before and after."""

    def __init__(self, name: str, world: World) -> None:
        super().__init__(ChannelPolicy(name, "webhook", url=SecretStr("https://hooks.example")))
        self.world = world

    def send(self, notice: Notice) -> Outcome:
        self.world.step()
        outcome = self.world.outcomes.pop() if self.world.outcomes else Delivered()
        if isinstance(outcome, Delivered):
            self.world.received += [(self.policy.name, one) for one in notice.members or (notice,)]
            self.world.messages.append(notice)
        self.world.step()
        return outcome


def worker(world: World) -> Deliverer:
    channels = {name: Receiver(name, world) for name in ("a", "b")}
    return Deliverer(Around(world), channels, lambda: (1, frozenset({0})))  # type: ignore[arg-type]


def episodes(count: int, fired: int) -> list[list[Alert]]:
    """Changes of `count` episodes of one alert, one after the other."""
    found = []
    for number in range(count):
        at = T0 + number * 60 * MINUTE
        begun = alert(started_at=at, fired_at=at + 10 * MINUTE, window_end=at + 10 * MINUTE, team=f"team-{fired}")
        clear = replace(begun, clear_since=at + 20 * MINUTE, window_end=at + 20 * MINUTE)
        ended = replace(clear, state="resolved", resolved_at=at + 30 * MINUTE, window_end=at + 30 * MINUTE)
        found.append([begun, clear, ended])
    return found


@st.composite
def stories(draw: st.DrawFn) -> list[Any]:
    """Changes of up to three alerts, in their order, mixed with rounds; some changes come in one step."""
    waiting = [
        [change for part in episodes(draw(st.integers(1, 2)), n) for change in part]
        for n in range(draw(st.integers(1, 3)))
    ]
    if draw(st.booleans()):
        waiting[-1] = [replace(change, deliver=False) for change in waiting[-1]]
    if draw(st.booleans()):  # it inhibits the second, which may have been told before
        waiting[0] = [
            replace(change, rule="feed_silent", team="team-1", fired_at=change.fired_at + 1) for change in waiting[0]
        ]
    story: list[Any] = []
    while any(waiting):
        take = draw(st.sampled_from([n for n, left in enumerate(waiting) if left]))
        story.append([waiting[take].pop(0)])
        story += draw(st.sampled_from([[], ["round"], ["round", "round"]]))
    return story


failures = st.sampled_from([Retry("away"), Retry("slow down", 40.0), Delivered()])


def quiet(team: int, begin: int, minutes: int) -> Silence:
    begin = T0 + begin * MINUTE
    return Silence("s", matchers_of([f"team=team-{team}"]), begin, begin + minutes * MINUTE, 0, "ann", "load test")


silences = st.lists(st.builds(quiet, st.integers(0, 2), st.integers(-9, 30), st.integers(1, 60)), max_size=2)


@settings(max_examples=40)
@given(stories(), st.frozensets(st.integers(1, 80), max_size=6), st.lists(failures, max_size=12), silences)
def test_each_episode_is_told_at_least_once_in_order_and_shows_as_one(
    story: list[Any], crashes: frozenset[int], outcomes: list[Outcome], silences: list[Silence]
) -> None:
    world = World(crashes, outcomes=list(outcomes), silences=silences)
    asyncio.run(live(world, story))
    told: dict[tuple[str, str, int], list[Notice]] = {}
    for name, notice in world.received:
        told.setdefault((name, notice.fingerprint, notice.starts_at), []).append(notice)
    changes = [change for step in story if step != "round" for change in step]
    for name in ("a", "b"):
        for change in changes:
            found = told.get((name, change.fingerprint, change.started_at), [])
            events = [notice.event for notice in found]
            assert "resolved" in events or "firing" not in events
            inhibited = change.rule != "feed_silent" and any(
                (other.rule, other.team) == ("feed_silent", change.team) for other in changes
            )
            if not inhibited and not any(silence.matches(change.labels) for silence in silences):
                assert ("firing" in events and "resolved" in events) == change.deliver
            assert change.deliver or not events
            assert sorted(events) == events  # all of firing, then all of resolved
            assert len({notice.id for notice in found}) == len(set(events))  # what was repeated is the same message
            for notice in found:  # its end is told even then
                assert notice.event == "resolved" or not silencing(silences, notice.labels, notice.told_at)
        assert incidents([notice for to, notice in world.received if to == name]) == (
            len(
                {(one.fingerprint, one.starts_at) for to, one in world.received if to == name and one.event == "firing"}
            ),
            0,
        )


async def live(world: World, story: list[Any]) -> None:
    """Lives of workers until the story is told and the receivers work again."""
    deliverer, left = worker(world), [*story]
    while left:
        try:
            if left[0] == "round":
                world.now += MINUTE
                await deliverer.round()
            elif not stored(world, left[0]):  # what is stored was judged and is not judged again
                await deliverer.expect(left[0], lambda: True)
                world.rows("alerts", alert_rows(left[0]))
                world.step()
            left.pop(0)
        except Crash:
            deliverer = worker(world)
    world.crashes = frozenset()
    world.outcomes.clear()
    for _ in range(40):
        world.now += 10 * MINUTE
        await deliverer.round()
        deliverer = worker(world)


def stored(world: World, changes: list[Alert]) -> bool:
    kept = world.tables["alerts"].get((changes[0].fingerprint, changes[0].started_at))
    return kept is not None and kept["version"] >= changes[0].window_end


def incidents(received: list[Notice]) -> tuple[int, int]:
    """(opened, still open) at a receiver that keeps one incident a fingerprint, as PagerDuty does."""
    opened, now_open = 0, set[str]()
    for notice in received:
        if notice.event == "firing" and notice.fingerprint not in now_open:
            opened += 1
            now_open.add(notice.fingerprint)
        elif notice.event == "resolved":
            now_open.discard(notice.fingerprint)
    return opened, len(now_open)


async def test_a_refused_notice_is_told_again_while_it_fires_and_holds_up_nothing() -> None:
    world = World(frozenset(), outcomes=[Refused("wrong key")] * 2)
    world.rows("alerts", alert_rows([alert(), alert(rule="other")]))
    deliverer = worker(world)
    await deliverer.round()
    assert len(world.received) == 2
    world.now += 4 * 3600 * 1_000_000
    await deliverer.round()
    assert len(world.received) == 6  # the refused ones, and a reminder of the others


async def test_a_fault_in_a_message_stops_neither_the_worker_nor_other_notices() -> None:
    world = World(frozenset())
    broken = alert(team="broken", clear_since=0, fired_at=10**18)  # no such time
    world.rows("alerts", alert_rows([alert()]))
    row = {**next(iter(world.tables["alerts"].values())), "team": "broken", "fingerprint": "f", "started_at": 10**18}
    world.tables["alerts"]["f", 0] = row
    deliverer = worker(world)
    for _ in range(3):
        await deliverer.round()
        world.now += MINUTE
    assert {name for name, _ in world.received} == {"a", "b"}
    assert broken.team not in {notice.labels["team"] for _, notice in world.received}
    errors = [row["error"] for row in world.tables["alert_deliveries"].values() if row["error"]]
    assert set(errors) == {"a fault of tokenworth (OverflowError)"}


async def test_what_begins_together_is_one_message_and_is_tried_again_as_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(frozenset(), outcomes=[Retry("away")] * 2)
    teams = [alert(team=f"team-{n}") for n in range(3)]
    world.rows("alerts", alert_rows([*teams, alert(rule="other")]))
    tried: list[str] = []
    for _ in range(3):
        deliverer = worker(world)
        channel = deliverer.channels["a"]
        monkeypatch.setattr(channel, "send", _listening(tried, channel.send))
        await deliverer.round()
        world.now += MINUTE
    sent = [notice for name, notice in world.received if name == "a"]
    assert sorted(notice.labels["team"] for notice in sent) == ["search", "team-0", "team-1", "team-2"]
    assert len(world.messages) == 4  # of three teams, and of the other rule, to each of the channels
    assert {len(notice.members) for notice in world.messages} == {0, 3}
    assert len(tried) == 3
    assert len(set(tried)) == 2
    ended = [
        replace(one, state="resolved", clear_since=T0, resolved_at=T0 + MINUTE, window_end=T0 + MINUTE) for one in teams
    ]
    world.rows("alerts", alert_rows(ended))
    await worker(world).round()
    assert [(notice.event, len(notice.members)) for notice in world.messages[4:]] == [("resolved", 3)] * 2


def _listening(ids: list[str], send: Callable[[Notice], Outcome]) -> Callable[[Notice], Outcome]:
    def listen(notice: Notice) -> Outcome:
        ids.append(notice.id)
        return send(notice)

    return listen
