"""Replay publishes every event of a table, at the pace that was asked for."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from streams.config import Settings
from streams.publish import UsageEvent, UsagePublisher, WorkItemEvent, WorkItemPublisher
from streams.publish.replay import Table, replay
from tests.publish.kafka_topic import make_topic, stored

NOON = datetime(2024, 1, 2, 12, tzinfo=UTC)


def a_table(seconds: list[float]) -> Table:
    """A usage event at each second after noon, and a completion at the end."""
    events: list[UsageEvent | WorkItemEvent] = [
        UsageEvent(event_id=f"u{number}", occurred_at=NOON + timedelta(seconds=second), tenant="acme", work_item_id="A")
        for number, second in enumerate(seconds)
    ]
    end = NOON + timedelta(seconds=seconds[-1])
    done = WorkItemEvent(event_id="w", occurred_at=end, tenant="acme", work_item_id="A", kind="completed")
    return Table(len(seconds), [*events, done], [])


@pytest.fixture
def topics(tansu_address: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Topics of the usage events and of the work-item events."""
    names = make_topic(tansu_address, 2), make_topic(tansu_address, 2)
    monkeypatch.setattr(UsagePublisher, "_topic", names[0])
    monkeypatch.setattr(WorkItemPublisher, "_topic", names[1])
    return names


def test_at_full_speed(tansu_address: str, topics: tuple[str, str]) -> None:
    """Years of event time take no time."""
    table = a_table([86_400.0 * day for day in range(1000)])
    told: list[int] = []
    began = time.monotonic()
    replay(Settings(kafka=tansu_address), table, progress=told.append)
    assert time.monotonic() - began < 10
    assert [record.value for record in stored(tansu_address, topics[0], 2)] == [
        event.to_wire() for event in table.events[:-1]
    ]
    assert len(stored(tansu_address, topics[1], 2)) == 1
    assert told == [0, 1000, 1001]


def test_in_scaled_event_time(tansu_address: str, topics: tuple[str, str]) -> None:
    """An event comes when its time has come, counted from the first."""
    table = a_table([0.0, 3600.0, 7200.0])
    at: list[float] = []
    began = time.monotonic()
    replay(Settings(kafka=tansu_address), table, speed=7200.0, progress=lambda _: at.append(time.monotonic() - began))
    # Never early; how late is the machine's business, and the first may be late while the others are not.
    assert all(moment >= due for moment, due in zip(at, (0.0, 0.499, 0.999, 0.999), strict=False)), at
    assert at[-1] < 30
    assert len(stored(tansu_address, topics[0], 2)) == 3


def test_topics_without_events_are_left_alone(tansu_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of work items needs no right to publish usage."""
    topic = make_topic(tansu_address, 1)
    monkeypatch.setattr(WorkItemPublisher, "_topic", topic)
    monkeypatch.setattr(UsagePublisher, "__init__", lambda *_: pytest.fail("connected"))
    replay(Settings(kafka=tansu_address), Table(1, a_table([0.0]).events[-1:], []))
    assert len(stored(tansu_address, topic, 1)) == 1
