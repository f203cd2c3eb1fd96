"""Probes from the store to a channel, on the engine: asked in their intervals, told once, over when it is over; a worker may die at any step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from streams.agents import probes
from streams.agents.delivery import Deliverer
from streams.agents.probes import Prober
from streams.deliver.channel import Channel, ChannelPolicy, Delivered, Outcome
from streams.deliver.messages import notice
from streams.deliver.notice import Notice
from streams.detect.policy import AlertPolicy, shipped_probes
from streams.detect.probes import PROBES, Finding, Probe, judged
from streams.metrics import Metrics
from streams.store.client import Client, connect
from streams.store.migrations import migrate
from streams.store.reading import ClickHouseStored
from streams.store.sink import ClickHouseInserts, Sink
from streams.windows.measures import HOUR_US

BEGIN = 1_800_000_000 // 60 * 60


class Killed(Exception):
    """kill -9."""


class Around:
    """The context of workers over one store; a worker dies before its step number `dies_at`."""

    partitions = 4

    def __init__(self, client: Client) -> None:
        self.stored, self.sink = ClickHouseStored(client), Sink(ClickHouseInserts(client), "test")
        self.client, self.metrics, self.now_s, self.steps = client, Metrics(), BEGIN, 0
        self.dies_at = 0
        self.published: list[bytes] = []

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.dies_at:
            raise Killed

    def wall_us(self) -> int:
        return self.now_s * 1_000_000

    async def persist(self, alive: Callable[[], bool], step: Callable[..., Any], *arguments: Any) -> Any:
        self.step()
        return step(*arguments)

    async def publish(self, topic: str, messages: list[tuple[bytes, bytes]]) -> None:
        self.step()
        self.published += [value for _, value in messages]

    def watermark(self, at_s: int) -> None:
        self.client.command(
            f"INSERT INTO window_checkpoints (upart, watermark, version) VALUES (0, {at_s}, {self.now_s})"
        )


class Receiver(Channel):
    def __init__(self) -> None:
        super().__init__(ChannelPolicy("on-call", "webhook", url=SecretStr("https://hooks.example")))
        self.received: list[Notice] = []

    def send(self, notice: Notice) -> Outcome:
        self.received.append(notice)
        return Delivered()


@pytest.fixture
def around(clickhouse_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Around]:
    monkeypatch.setattr(probes, "PROBES", [probe for probe in PROBES if probe.name == "results_late"])
    with closing(connect(clickhouse_database)) as client:
        migrate(client)
        client.command(f"INSERT INTO value_windows (tenant, window_end, backfill) VALUES ('acme', {BEGIN}, 0)")
        yield Around(client)


def worker(around: Around, receiver: Receiver) -> tuple[Prober, Deliverer]:
    seat = (1, frozenset(range(4)))
    deliverer = Deliverer(around, {"on-call": receiver}, lambda: seat)  # type: ignore[arg-type]
    return Prober(around, deliverer, lambda: seat, AlertPolicy()), deliverer  # type: ignore[arg-type]


def live(around: Around, receiver: Receiver, late: Callable[[int], bool], minutes: range) -> int:
    """Minutes of workers, each of them replaced by the next when it dies; returns how many died."""
    one, deaths = worker(around, receiver), 0
    for minute in minutes:
        around.now_s = BEGIN + 60 * minute
        if not late(minute):
            around.watermark(around.now_s - 5)
        try:
            asyncio.run(one[0].round())
            asyncio.run(one[1].round())
        except Killed:
            one, deaths = worker(around, receiver), deaths + 1
    return deaths


def test_results_that_are_late_are_told_once_and_when_they_are_back(around: Around) -> None:
    receiver = Receiver()
    live(around, receiver, lambda minute: 2 <= minute < 45, range(55))
    fired, over = receiver.received
    # The last watermark is 5 s before minute 1; it is more than 15 minutes old at 16, and 15 minutes later that is told.
    assert fired.event == "firing"
    assert fired.starts_at == (BEGIN + 16 * 60) * 1_000_000
    assert fired.told_at == (BEGIN + 31 * 60) * 1_000_000
    assert "30 min behind" in fired.text
    assert fired.title == "[page] tokenworth: results are late"
    assert [what for what, _ in fired.facts] == ["What", "Since", "Next"]
    assert over.event == "resolved"
    assert over.ends_at == (BEGIN + 50 * 60) * 1_000_000
    assert over.fingerprint == fired.fingerprint
    assert [b'"pending"' in told for told in around.published] == [True, False, False, False]


@pytest.mark.parametrize("dies_at", [9, 10, 11, 12, 17, 20, 26, 29])
def test_whoever_dies_the_next_one_goes_on(around: Around, dies_at: int) -> None:
    receiver = Receiver()
    around.dies_at = dies_at
    assert live(around, receiver, lambda minute: 5 <= minute < 45, range(0, 70, 5)) == 1
    told = dict.fromkeys((notice.id, notice.event) for notice in receiver.received)
    assert [event for _, event in told] == ["firing", "resolved"]


def test_a_probe_that_is_refused_stops_no_other(around: Around, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        probes, "PROBES", [probe for probe in PROBES if probe.name in ("verify_mismatch", "dead_letters")]
    )
    around.client.command("RENAME TABLE dead_letters TO elsewhere")
    around.client.command(f"INSERT INTO verifications VALUES (toDateTime64({BEGIN - 60}, 6), 10, 2, ['panes'])")
    receiver = Receiver()
    live(around, receiver, lambda _: False, range(2))
    assert [notice.labels["alertname"] for notice in receiver.received] == ["verify_mismatch"]


@pytest.mark.parametrize("probe", shipped_probes(), ids=lambda probe: probe.name)
@pytest.mark.parametrize("group", [("", ""), ("acme", ""), ("acme", "search")])
def test_a_message_says_what_is_wrong_and_what_to_do(probe: Probe, group: tuple[str, str]) -> None:
    finding = Finding(*group, 250, 100, 150, 90_000_000, 30, 120, ["PAY 12"])
    [begun] = judged(probe, [], [finding], BEGIN * 1_000_000)
    fired = replace(begun, state="firing", fired_at=begun.started_at)
    told = notice(fired, "id", BEGIN * 1_000_000 + 90_000_000)
    facts = dict(told.facts)
    assert told.title.startswith(f"[{probe.kind}] {group[1] or group[0] or 'tokenworth'}: ")
    assert "`" in facts["Next"] or "." in facts["Next"]
    assert "{" not in told.text
    assert (probe.name != "token_sink") or "tokenworth explain 'PAY 12'" in facts["Next"]
    over = replace(
        fired, state="resolved", resolved_at=BEGIN * 1_000_000 + HOUR_US, window_end=BEGIN * 1_000_000 + HOUR_US
    )
    assert notice(over, "id", over.resolved_at).title.endswith("over after 1 h")
