"""A deliverer over the real engine: what people say is heard in the next round."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from streams.agents.delivery import Deliverer
from streams.detect.alert import alert_rows
from streams.detect.silences import Acknowledgement, Silence, matchers_of
from streams.metrics import Metrics
from streams.store.client import connect
from streams.store.migrations import migrate
from streams.store.reading import ClickHouseStored
from streams.store.silences import acknowledgement_rows, silence_rows
from streams.store.sink import ClickHouseInserts, Sink
from tests.deliver.made import T0, alert, channel
from tests.deliver.servers import receiving

MINUTE = 60_000_000
SILENCE = Silence("s", matchers_of(["team=search"]), T0 - MINUTE, T0 + 60 * MINUTE, T0, "ann", "load test")


class Around:
    """The context of a worker whose clock stands still."""

    partitions = 1

    def __init__(self, client: Any) -> None:
        self.stored, self.sink = ClickHouseStored(client), Sink(ClickHouseInserts(client), "test")
        self.metrics, self.now_us = Metrics(), T0

    def wall_us(self) -> int:
        return self.now_us

    async def persist(self, alive: Callable[[], bool], step: Callable[..., Any], *arguments: Any) -> Any:
        return step(*arguments)


@pytest.fixture
def around(clickhouse_database: str) -> Iterator[Around]:
    with closing(connect(clickhouse_database)) as client:
        migrate(client)
        yield Around(client)


async def test_silenced_then_told_then_taken_on_then_over(around: Around) -> None:
    with receiving() as receiver:
        receiver.status = 202
        deliverer = Deliverer(
            around,  # type: ignore[arg-type]
            {"test": channel("pagerduty", f"{receiver.url}/in")},
            lambda: (1, frozenset({0})),
        )

        async def heard() -> list[str]:
            before = len(receiver.requests)
            await deliverer.round()
            return [request.json["event_action"] for request in receiver.requests[before:]]

        rows = around.sink.rows
        rows("alerts", alert_rows([alert()]))
        rows("alert_silences", silence_rows(SILENCE, T0))
        assert await heard() == []
        rows("alert_silences", silence_rows(replace(SILENCE, ends_at=T0), T0 + 1))  # expired early
        assert await heard() == ["trigger"]
        taken = Acknowledgement(alert().fingerprint, alert().started_at, T0, "ann", "on it")
        rows("alert_acknowledgements", acknowledgement_rows(taken))
        assert await heard() == ["acknowledge"]
        around.now_us += 24 * 60 * MINUTE
        assert await heard() == []
        rows("alerts", alert_rows([alert("resolved")]))
        assert await heard() == ["resolve"]
        assert await heard() == []


async def test_what_was_over_before_its_silence_is_never_told(around: Around) -> None:
    with receiving() as receiver:
        deliverer = Deliverer(
            around,  # type: ignore[arg-type]
            {"test": channel("webhook", f"{receiver.url}/in")},
            lambda: (1, frozenset({0})),
        )
        await deliverer.expect([alert()], lambda: True)
        around.sink.rows("alert_silences", silence_rows(SILENCE, T0))
        for state in (alert(), alert("resolved")):
            around.sink.rows("alerts", alert_rows([state]))
            await deliverer.round()
        around.now_us += 24 * 60 * MINUTE
        await deliverer.round()
        assert receiver.requests == []
    (row,) = around.stored.read(
        "alerts/notices", fingerprint=alert().fingerprint, started_at=alert().started_at
    ).to_dicts()
    assert (row["status"], row["attempts"], row["error"]) == ("dropped", 0, "over before its silence")
